/* One op case, recorded and with memory: what the checks of op_case.c run. Everything that nobody wrote, or that a kernel may not read, is NaN. */
#ifndef GRAFT_TESTS_HARNESS_OP_RUN_H
#define GRAFT_TESTS_HARNESS_OP_RUN_H

#include "tests/harness/op_case.h"

enum { OP_MEMORIES = 64 };

struct op_run {
    const struct op_test *test;
    const struct op_case *c;
    struct arena *arena;
    struct device device;
    struct error err;
    struct graph *g;
    struct node *node;
    double *value[MAX_IN];     /* as stored; NULL where the input is */
    double *upstream[MAX_OUT]; /* gradients of outputs, as stored; NULL: none */
    struct {
        void *data;
        size_t size;
    } memory[OP_MEMORIES];
    int memories;
};

/* What a run left behind, as host bytes of the whole capacity. NULL where there is nothing. */
struct op_result {
    void *in[MAX_IN], *out[MAX_OUT], *grad[MAX_IN], *upstream[MAX_OUT];
};

/* Where ops run: what the environment's GRAFT_TEST_DEVICE says, else the CPU. */
const char *op_test_device(void);
/* Inputs with a gradient that this case has, as a mask. */
uint32_t op_differentiable(const struct op_test *test, const struct op_case *c);
/* Records with exactly those inputs wanting gradients (none: gradients are off) and uploads the inputs. */
void op_run_open(struct op_run *run, const struct op_test *test, const struct op_case *c, uint32_t wanted, int threads);
void op_run_close(struct op_run *run);
enum status op_run_forward(struct op_run *run);
/* Poisons what backward may not read, fills gradients of outputs, prepares those of inputs (adding starts from op_run_base()) and runs backward. Gradients of
 * inputs outside `wanted` of op_run_open are NULL, those outside grad_to are poison. *before is what stood there just before. */
void op_run_backward(struct op_run *run, uint32_t grad_to, uint32_t add_to, struct op_result *before);
struct op_result op_run_result(struct op_run *run);
/* What the gradient of input i starts from when it is added to, as stored. */
double *op_run_base(struct op_run *run, int i);
/* Live values of a tensor, given bytes of it. */
double *op_doubles(struct arena *arena, const struct tensor *t, const void *bytes);

#endif
