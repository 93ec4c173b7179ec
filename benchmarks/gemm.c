/* How fast the CPU's products and the ops built on them are: GFLOP/s, best of several, and as a share of what one core reaches on a large square product times
 * the threads. Usage: gemm [threads]. Prints one line per shape.
 */
#include "autograd/cpu/gemm.h"
#include "autograd/cpu/rows.h"
#include "autograd/op.h"
#include "autograd/ops.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS = 7, HEADS = 9, KV_HEADS = 3, HEAD_SIZE = 64 };

struct bench {
    struct device device;
    struct error err;
    double core; /* GFLOP/s of one core */
};

/* Small numbers of both signs. */
static void *matrix(struct bench *b, enum dtype dtype, int64_t count)
{
    void *data = NULL;
    if (device_allocate(&b->device, "a matrix", (size_t)count * dtype_bytes(dtype), &data, &b->err) != OK) {
        fprintf(stderr, "%s\n", b->err.what);
        exit(1);
    }
    for (int64_t i = 0; i < count; i++)
        narrow((char *)data + (size_t)i * dtype_bytes(dtype), &(float){ (float)(i % 17 - 8) / 64.0f }, dtype, 1);
    return data;
}

static void report(const struct bench *b, const char *what, double operations, double seconds)
{
    double rate = operations / seconds * 1e-9;
    printf("%-64s %9.3f ms %8.1f GFLOP/s %6.1f %%\n", what, seconds * 1e3, rate, 100 * rate / (b->core * b->device.threads));
}

static double one_core(struct bench *b)
{
    enum { SIDE = 768 };
    float *m = matrix(b, F32, 3 * SIDE * SIDE);
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        double start = omp_get_wtime();
        gemm_tile(SIDE, SIDE, SIDE, 1, m, SIDE, false, m + SIDE * SIDE, SIDE, false, 0, m + 2 * SIDE * SIDE, SIDE);
        double seconds = omp_get_wtime() - start;
        best = seconds < best ? seconds : best;
    }
    device_release(&b->device, m, 3 * SIDE * SIDE * sizeof(float));
    return 2.0 * SIDE * SIDE * SIDE / best * 1e-9;
}

static void product(struct bench *b, int64_t m, int64_t n, int64_t k, enum dtype a_dtype, bool a_transposed, enum dtype b_dtype, bool b_transposed,
                    enum dtype c_dtype)
{
    void *a = matrix(b, a_dtype, m * k), *w = matrix(b, b_dtype, n * k), *c = matrix(b, c_dtype, m * n);
    double best = 1e9, work = 2.0 * (double)m * (double)n * (double)k;
    for (int i = 0; i < (work > 2e10 ? 3 : REPEATS); i++) {
        double start = omp_get_wtime();
        if (gemm(&b->device, m, n, k, 1, (struct operand){ a, a_dtype, a_transposed ? m : k, a_transposed },
                 (struct operand){ w, b_dtype, b_transposed ? k : n, b_transposed }, 0, c, c_dtype, n) != OK)
            fprintf(stderr, "%s\n", b->err.what);
        double seconds = omp_get_wtime() - start;
        best = seconds < best ? seconds : best;
    }
    char what[128];
    snprintf(what, sizeof what, "[%d, %d] %s%s x [%d, %d] %s%s", (int)m, (int)k, dtype_name(a_dtype), a_transposed ? "^T" : "", (int)k, (int)n,
             dtype_name(b_dtype), b_transposed ? "^T" : "");
    report(b, what, work, best);
    device_release(&b->device, a, (size_t)(m * k) * dtype_bytes(a_dtype));
    device_release(&b->device, w, (size_t)(n * k) * dtype_bytes(b_dtype));
    device_release(&b->device, c, (size_t)(m * n) * dtype_bytes(c_dtype));
}

static void projections(struct bench *b)
{
    static const int64_t shapes[][2] = { { 576, 576 }, { 576, 192 }, { 576, 1536 }, { 1536, 576 }, { 2048, 5632 }, { 576, 49152 } }; /* in, out */
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int64_t rows = 256; rows <= 2048; rows *= 8) {
            int64_t in = shapes[s][0], out = shapes[s][1];
            if (in * out > 20000000 && rows > 256)
                continue;
            product(b, rows, out, in, F32, false, F32, true, F32);
            product(b, rows, in, out, F32, false, F32, false, F32);
            product(b, rows, out, in, F32, false, BF16, true, F32);
            product(b, rows, out, in, BF16, false, BF16, true, BF16);
            product(b, rows, in, out, BF16, false, BF16, false, BF16);
        }
    product(b, 2048, 16, 576, F32, false, F32, true, F32); /* LoRA: into the rank, out of it, and the gradients of both */
    product(b, 2048, 576, 16, F32, false, F32, true, F32);
    product(b, 16, 576, 2048, F32, true, F32, false, F32);
    product(b, 576, 16, 2048, F32, true, F32, false, F32);
    product(b, 2048, 16, 576, BF16, false, F32, true, BF16);
    product(b, 1, 49152, 576, F32, false, F32, true, F32); /* decode */
    product(b, 1, 49152, 576, F32, false, BF16, true, F32);
    product(b, 4, 5632, 2048, F32, false, F32, true, F32);
}

static double timed(struct bench *b, kernel *run, const struct node *n)
{
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        double start = omp_get_wtime();
        if (run(&b->device, n) != OK)
            fprintf(stderr, "%s\n", b->err.what);
        double seconds = omp_get_wtime() - start;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static struct tensor *input(struct bench *b, struct graph *g, enum dtype dtype, int64_t rows, int64_t cols)
{
    struct tensor *t = graph_input(g, "in", dtype, FIXED, rows, cols);
    t->data = matrix(b, dtype, rows * cols);
    t->wants_grad = dtype != I32;
    t->grad = graph_input(g, "gradient", dtype, FIXED, rows, cols);
    t->grad->data = matrix(b, dtype, rows * cols);
    return t;
}

static void allocate_outputs(struct bench *b, struct node *n)
{
    for (int j = 0; j < MAX_OUT; j++)
        if (n->out[j]) {
            n->out[j]->data = matrix(b, n->out[j]->dtype, n->out[j]->capacity * n->out[j]->cols);
            n->out[j]->grad = graph_input(n->graph, "gradient", n->out[j]->dtype, FIXED, n->out[j]->capacity, n->out[j]->cols);
            n->out[j]->grad->data = matrix(b, n->out[j]->dtype, n->out[j]->capacity * n->out[j]->cols);
        }
    n->scratch = matrix(b, F32, (int64_t)(n->op->scratch(n, b->device.threads) / sizeof(float)));
}

static void attention_of_length(struct bench *b, int64_t queries, int64_t keys, int64_t sequences, enum dtype dtype)
{
    struct arena *arena = arena_create(NULL);
    struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ 0 }, true);
    struct tensor *q = input(b, g, dtype, sequences * queries, HEADS * HEAD_SIZE), *k = input(b, g, dtype, sequences * keys, KV_HEADS * HEAD_SIZE);
    struct tensor *v = input(b, g, dtype, sequences * keys, KV_HEADS * HEAD_SIZE), *spans = graph_input(g, "spans", I32, FIXED, sequences, 4);
    spans->data = NEW_ARRAY(arena, 4 * sequences, int32_t);
    for (int64_t s = 0; s < sequences; s++)
        memcpy((int32_t *)spans->data + 4 * s, (int32_t[]){ (int32_t)(s * queries), (int32_t)queries, (int32_t)(s * keys), (int32_t)keys }, 16);
    attention(g, q, k, v, spans, NULL, NULL, NULL, (struct heads){ .heads = HEADS, .kv_heads = KV_HEADS, .head_size = HEAD_SIZE, .scale = 0.125f });
    struct node *n = g->node[0];
    allocate_outputs(b, n);
    n->grad_to = 7;
    double pairs = (double)sequences * HEADS * (double)queries * ((double)keys - ((double)queries - 1) / 2); /* (query, key) that are seen */
    char what[128];
    snprintf(what, sizeof what, "attention forward, %d x %d queries of %d keys, %s", (int)sequences, (int)queries, (int)keys, dtype_name(dtype));
    report(b, what, pairs * 4 * HEAD_SIZE, timed(b, n->op->forward[CPU], n));
    snprintf(what, sizeof what, "attention backward, %d x %d queries of %d keys, %s", (int)sequences, (int)queries, (int)keys, dtype_name(dtype));
    report(b, what, pairs * 10 * HEAD_SIZE, timed(b, n->op->backward[CPU], n));
    arena_destroy(arena); /* device memory stays until the end: this is a measurement, not a server */
}

static void head(struct bench *b, int64_t rows, enum dtype dtype)
{
    struct arena *arena = arena_create(NULL);
    struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ 0 }, true);
    struct tensor *x = input(b, g, dtype, rows, 576), *weight = input(b, g, F32, 1, 1), *labels = graph_input(g, "labels", I32, FIXED, rows, 1);
    struct tensor *w = tensor_new(arena, "w", dtype, WEIGHT, 49152, 576, matrix(b, dtype, (int64_t)49152 * 576));
    labels->data = NEW_ARRAY(arena, rows, int32_t);
    weight->wants_grad = false;
    head_loss(g, x, w, NULL, (struct low_rank){ 0 }, labels, weight);
    allocate_outputs(b, g->node[0]);
    char what[128];
    snprintf(what, sizeof what, "head_loss forward with dx, %d rows, %s", (int)rows, dtype_name(dtype));
    report(b, what, 4.0 * (double)rows * 49152 * 576, timed(b, g->node[0]->op->forward[CPU], g->node[0]));
    arena_destroy(arena);
}

int main(int argc, char **argv)
{
    struct bench b = { 0 };
    if (device_open(&b.device, "cpu", argc > 1 ? atoi(argv[1]) : 0, &b.err) != OK) {
        fprintf(stderr, "%s\n", b.err.what);
        return 1;
    }
    b.core = one_core(&b);
    printf("%s, %d threads, one core %.1f GFLOP/s in float32\n", b.device.name, b.device.threads, b.core);
    for (int d = F32; d <= BF16; d++) {
        attention_of_length(&b, 512, 512, 4, (enum dtype)d);
        attention_of_length(&b, 2048, 2048, 1, (enum dtype)d);
        attention_of_length(&b, 64, 64, 32, (enum dtype)d);
        attention_of_length(&b, 1, 4096, 4, (enum dtype)d);
        head(&b, 512, (enum dtype)d);
    }
    projections(&b);
    device_close(&b.device);
    return 0;
}
