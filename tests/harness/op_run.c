/* Recording one op, giving it memory, and running its kernels. */
#include "tests/harness/op_run.h"
#include "autograd/cpu/rows.h"
#include "common/random.h"

#include <stdlib.h>
#include <string.h>

enum { SPARE_ROWS = 3 };
/* Both are NaN in every float dtype and no index of anything. They differ, so that one written where the other stood shows. */
enum { UNWRITTEN = 0xFF, UNREADABLE = 0x7FD5 /* twice for four bytes */ };
enum { VALUES = 0, UPSTREAM = 100, BASE = 200 }; /* random streams */

static int64_t live_rows(const struct op_test *test, const struct op_case *c, enum extent extent)
{
    for (int i = 0; i < MAX_IN; i++)
        if (c->in[i].cols && test->in[i].extent == extent)
            return c->in[i].rows;
    return c->rows[extent];
}

uint32_t op_differentiable(const struct op_test *test, const struct op_case *c)
{
    uint32_t mask = 0;
    for (int i = 0; i < MAX_IN; i++)
        if (c->in[i].cols && test->in[i].gradient == GRADIENT)
            mask |= 1u << i;
    return mask;
}

const char *op_test_device(void)
{
    const char *device = getenv("GRAFT_TEST_DEVICE");
    return device ? device : "cpu";
}

static void *allocate(struct op_run *run, size_t size)
{
    void *data;
    CHECK(run->memories < OP_MEMORIES);
    CHECK(device_allocate(&run->device, "test", size, &data, &run->err) == OK);
    run->device.row->fill(&run->device, data, UNWRITTEN, size);
    run->memory[run->memories].data = data;
    run->memory[run->memories++].size = size;
    return data;
}

static void poison(struct op_run *run, const struct tensor *t)
{
    size_t bytes = tensor_capacity_bytes(t);
    uint16_t *pattern = NEW_ARRAY(run->arena, bytes / 2, uint16_t);
    for (size_t i = 0; i < bytes / 2; i++)
        pattern[i] = UNREADABLE;
    run->device.row->upload(&run->device, t->data, pattern, bytes);
}

/* values become what the dtype can hold; the live rows of t hold them afterwards. */
static void upload(struct op_run *run, struct tensor *t, double *values)
{
    int64_t count = t->rows * t->cols;
    float *floats = NEW_ARRAY(run->arena, count, float);
    int32_t *integers = NEW_ARRAY(run->arena, count, int32_t);
    void *stored = NEW_ARRAY(run->arena, count, float);
    for (int64_t i = 0; i < count; i++) {
        if (t->dtype == I32)
            integers[i] = (int32_t)values[i];
        else
            floats[i] = (float)values[i];
    }
    if (t->dtype != I32) {
        narrow(stored, floats, t->dtype, count);
        widen(floats, stored, t->dtype, count);
    }
    for (int64_t i = 0; i < count && t->dtype != I32; i++)
        values[i] = (double)floats[i];
    tensor_upload(&run->device, t, t->dtype == I32 ? (void *)integers : stored);
}

static double *normals(struct op_run *run, const struct tensor *t, uint64_t stream)
{
    double *values = NEW_ARRAY(run->arena, t->rows * t->cols, double);
    for (int64_t i = 0; i < t->rows * t->cols; i++)
        values[i] = (double)random_normal(1, stream, (uint64_t)i);
    return values;
}

static struct tensor *make_input(struct op_run *run, int i, bool wanted)
{
    static const char *const names[MAX_IN] = { "in 0", "in 1", "in 2", "in 3", "in 4", "in 5", "in 6", "in 7", "in 8", "in 9" };
    const struct op_input *input = &run->test->in[i];
    const enum dtype dtypes[] = { [CASE_DTYPE] = run->c->dtype, [WEIGHT_DTYPE] = run->c->weight_dtype, [FLOAT32] = F32, [INT32] = I32 };
    enum role role = run->test->op->writes & IN(i) ? STATE : input->extent == FIXED ? WEIGHT : INPUT;
    int64_t rows = input->extent == FIXED ? run->c->in[i].rows : run->g->capacity[input->extent];
    CHECK(input->extent == FIXED || run->c->in[i].rows == live_rows(run->test, run->c, input->extent));
    struct tensor *t = graph_tensor(run->g, names[i], dtypes[input->type], role, input->extent, rows, run->c->in[i].cols);
    t->wants_grad = wanted;
    if (input->type == WEIGHT_DTYPE)
        t->grad_dtype = F32;
    return t;
}

static void record_case(struct op_run *run, uint32_t wanted)
{
    int64_t capacity[EXTENTS] = { 0 };
    struct tensor *in[MAX_IN] = { 0 };
    for (int e = FIXED + 1; e < EXTENTS; e++)
        capacity[e] = live_rows(run->test, run->c, (enum extent)e) + SPARE_ROWS;
    run->g = graph_new(run->arena, capacity, wanted != 0);
    for (int i = 0; i < MAX_IN; i++)
        if (run->c->in[i].cols)
            in[i] = make_input(run, i, wanted >> i & 1u);
    run->test->build(run->g, run->c, in);
    if (run->g->error.code != OK)
        fail_msg("recording: %s", run->g->error.what);
    assert_int_equal(run->g->nodes, 1);
    run->node = run->g->node[0];
    assert_ptr_equal(run->node->op, run->test->op);
    for (int i = 0; i < MAX_IN; i++)
        assert_ptr_equal(run->node->in[i], in[i]);
    for (int i = 0; i < run->g->tensors; i++)
        if (run->g->tensor[i]->extent != FIXED)
            run->g->tensor[i]->rows = live_rows(run->test, run->c, run->g->tensor[i]->extent);
}

void op_run_open(struct op_run *run, const struct op_test *test, const struct op_case *c, uint32_t wanted, int threads)
{
    *run = (struct op_run){ .test = test, .c = c, .arena = arena_create(NULL) };
    assert_int_equal(device_open(&run->device, op_test_device(), threads, &run->err), OK);
    record_case(run, wanted);
    for (int i = 0; i < run->g->tensors; i++)
        run->g->tensor[i]->data = allocate(run, tensor_capacity_bytes(run->g->tensor[i]));
    for (int i = 0; i < MAX_IN; i++) {
        struct tensor *t = run->node->in[i];
        if (!t)
            continue;
        run->value[i] = normals(run, t, VALUES + (uint64_t)i);
        if (test->fill)
            test->fill(c, run->node, i, run->value[i]);
        poison(run, t); /* its spare rows */
        upload(run, t, run->value[i]);
    }
}

void op_run_close(struct op_run *run)
{
    for (int i = 0; i < run->memories; i++)
        device_release(&run->device, run->memory[i].data, run->memory[i].size);
    device_close(&run->device);
    arena_destroy(run->arena);
}

static void fresh_scratch(struct op_run *run)
{
    const struct op *op = run->node->op;
    size_t bytes = op->scratch ? op->scratch(run->node, run->device.threads) : 0;
    run->node->scratch = bytes ? allocate(run, bytes) : NULL;
}

enum status op_run_forward(struct op_run *run)
{
    fresh_scratch(run);
    TRY(run->node->op->forward[run->device.kind](&run->device, run->node));
    return run->device.row->synchronize(&run->device);
}

static void poison_unread(struct op_run *run, uint32_t grad_to)
{
    const struct node *n = run->node;
    uint32_t reads = 0;
    for (int i = 0; i < MAX_IN; i++)
        if (grad_to >> i & 1u)
            reads |= n->op->reads[i];
    for (int i = 0; i < MAX_IN; i++)
        if (n->in[i] && !(reads & IN(i)))
            poison(run, n->in[i]);
    for (int j = 0; j < MAX_OUT; j++)
        if (n->out[j] && !(reads & OUT(j)))
            poison(run, n->out[j]);
}

static struct tensor *make_gradient(struct op_run *run, const struct tensor *of)
{
    struct tensor *t = graph_tensor(run->g, of->name, of->grad_dtype, ACTIVATION, of->extent, of->capacity, of->cols);
    t->rows = of->rows;
    t->data = allocate(run, tensor_capacity_bytes(t));
    return t;
}

double *op_run_base(struct op_run *run, int i)
{
    struct tensor *grad = run->node->in[i]->grad;
    double *base = normals(run, grad, BASE + (uint64_t)i);
    upload(run, grad, base);
    return base;
}

void op_run_backward(struct op_run *run, uint32_t grad_to, uint32_t add_to, struct op_result *before)
{
    struct node *n = run->node;
    for (int j = 0; j < MAX_OUT; j++) {
        if (!n->out[j] || !n->out[j]->wants_grad)
            continue;
        n->out[j]->grad = make_gradient(run, n->out[j]);
        poison(run, n->out[j]->grad);
        run->upstream[j] = normals(run, n->out[j]->grad, UPSTREAM + (uint64_t)j);
        upload(run, n->out[j]->grad, run->upstream[j]);
    }
    for (int i = 0; i < MAX_IN; i++) {
        if (!n->in[i] || !n->in[i]->wants_grad)
            continue;
        n->in[i]->grad = make_gradient(run, n->in[i]);
        if (add_to >> i & 1u)
            op_run_base(run, i);
    }
    n->grad_to = grad_to;
    n->add_to = add_to;
    poison_unread(run, grad_to);
    fresh_scratch(run);
    *before = op_run_result(run);
    assert_non_null(n->op->backward[run->device.kind]);
    assert_int_equal(n->op->backward[run->device.kind](&run->device, n), OK);
    assert_int_equal(run->device.row->synchronize(&run->device), OK);
}

static void *bytes_of(struct op_run *run, const struct tensor *t)
{
    if (!t)
        return NULL;
    void *bytes = arena_alloc(run->arena, tensor_capacity_bytes(t));
    run->device.row->download(&run->device, bytes, t->data, tensor_capacity_bytes(t));
    return bytes;
}

struct op_result op_run_result(struct op_run *run)
{
    struct op_result result = { 0 };
    for (int i = 0; i < MAX_IN; i++) {
        result.in[i] = bytes_of(run, run->node->in[i]);
        result.grad[i] = bytes_of(run, run->node->in[i] ? run->node->in[i]->grad : NULL);
    }
    for (int j = 0; j < MAX_OUT; j++) {
        result.out[j] = bytes_of(run, run->node->out[j]);
        result.upstream[j] = bytes_of(run, run->node->out[j] ? run->node->out[j]->grad : NULL);
    }
    return result;
}

double *op_doubles(struct arena *arena, const struct tensor *t, const void *bytes)
{
    int64_t count = t->rows * t->cols;
    double *values = NEW_ARRAY(arena, count, double);
    float *floats = NEW_ARRAY(arena, count, float);
    if (t->dtype != I32)
        widen(floats, bytes, t->dtype, count);
    for (int64_t i = 0; i < count; i++)
        values[i] = t->dtype == I32 ? (double)((const int32_t *)bytes)[i] : (double)floats[i];
    return values;
}
