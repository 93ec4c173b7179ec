/* The generic test of an op: a case is a line of a table, and what must hold for every op is written once.
 *
 * A test file of an op describes its inputs (struct op_test), gives the mathematics once more in double precision (reference), lists cases, and calls
 * op_test_run() from main. For every case the harness then proves, calling the kernels of the op's row directly, without a planner:
 *
 *  1. outputs equal the reference (and written states; with and without gradients being recorded; in place and not);
 *  2. gradients of sum(r * y), r random, equal central differences of the reference: along one dense direction per input, and element by element;
 *  3. every subset of wanted gradients gives the same bits and writes nothing else, while all that the row's `reads` does not name is NaN;
 *  4. a gradient that is added equals what was there plus the one that is set;
 *  5. any number of threads gives the same bits.
 *
 * In all runs scratch, outputs and gradients start as NaN, tensors have spare rows behind the live ones that must be neither read nor written, and inputs
 * must stay as they are. Floats are rounded to their storage dtype first, so the reference sees what the kernel sees.
 *
 *     static const struct op_case cases[] = {
 *         { "one row", .in = { { 1, 8 }, { 1, 8 } } },
 *         { "bf16", .in = { { 5, 40 }, { 1, 40 } }, .dtype = BF16, .weight_dtype = BF16 },
 *     };
 *     static const struct op_test test = {
 *         .op = &op_rmsnorm, .in = { { CASE_DTYPE, ROWS, GRADIENT }, { WEIGHT_DTYPE, FIXED, GRADIENT } }, .build = build, .reference = reference,
 *     };
 *     int main(void)
 *     {
 *         return op_test_run(&test, cases, COUNT(cases), NULL, 0);
 *     }
 */
#ifndef GRAFT_TESTS_HARNESS_OP_CASE_H
#define GRAFT_TESTS_HARNESS_OP_CASE_H

#include "autograd/op.h"
#include "autograd/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum input_type {
    CASE_DTYPE,   /* case->dtype, gradient of the same dtype: activations */
    WEIGHT_DTYPE, /* case->weight_dtype, gradient f32: weights, parameters and casts of parameters */
    FLOAT32,
    INT32, /* filled by test->fill */
};
enum { NO_GRADIENT, GRADIENT };

struct op_input {
    enum input_type type;
    enum extent extent; /* all inputs of one extent other than FIXED have the same rows */
    int gradient;       /* GRADIENT: the op has a gradient for this input */
};

struct op_case {
    const char *name;
    struct {
        int64_t rows, cols; /* live rows (0 is legal); cols 0: the input is NULL */
    } in[MAX_IN];
    enum dtype dtype, weight_dtype;       /* left out: F32 */
    union op_params params;               /* for build and reference */
    float number[4];                      /* likewise, whatever the op's test needs beside params */
    double tolerance, gradient_tolerance; /* left out: the test's, else 3e-6 (f32 throughout) or 2^-8 (any bf16), see op_close() */
    int64_t rows[EXTENTS];                /* live rows of an extent that no input has (outputs only); usually left out */
};

/* One evaluation in double precision. Shapes: n->in[i]->rows, ->cols, n->out[j]->rows, ->cols. Integers are doubles too. */
struct op_values {
    const struct op_case *c;
    const struct node *n;
    const double *in[MAX_IN]; /* NULL where the input is */
    double *out[MAX_OUT];     /* to be filled completely; NULL where the node has no such output. Outputs that are NaN in the reference are not compared
                                 (private ones, like softmax statistics, if their value is nobody's business) */
    double *state[MAX_IN];    /* for inputs that op->writes names: starts as a copy of in[i], becomes what forward leaves there */
};

struct op_test {
    const struct op *op;
    struct op_input in[MAX_IN];
    /* Records exactly one node through the op's builder. in[i] is NULL where the case leaves it out. */
    void (*build)(struct graph *g, const struct op_case *c, struct tensor *const in[]);
    void (*reference)(struct op_values *v);
    /* Values of input i (n->in[i] has its shape). Floats hold random normals already and may be left alone. NULL if there is no INT32 input. */
    void (*fill)(const struct op_case *c, const struct node *n, int i, double *values);
    double tolerance, gradient_tolerance; /* f32 cases; left out: 3e-6 */
};

/* Runs all checks on all cases, then `more` (tests of the op's own). Returns main's exit code. */
int op_test_run(const struct op_test *test, const struct op_case *cases, size_t count, const struct CMUnitTest *more, size_t more_count);

/* |a - b| <= tolerance * (|b| + size), size being the root mean square of the tensor that b belongs to; NaN equals NaN, infinities themselves. */
bool op_close(double a, double b, double size, double tolerance);

/* Uniform integers in [0, below), equal for equal (stream, index): for fill(). */
int64_t op_random(uint64_t stream, int64_t index, int64_t below);

/* For tests of an op's own: runs forward of the case's node as check 1 does and returns its status, with the device's error in *err. */
enum status op_forward_status(const struct op_test *test, const struct op_case *c, struct error *err);

#endif
