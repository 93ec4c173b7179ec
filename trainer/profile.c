/* Where a run's time goes. */
#include "trainer/profile.h"
#include "autograd/ops.h"
#include "trainer/progress.h"

#include <stdlib.h>
#include <string.h>

static double product(const struct tensor *rows, int64_t n, int64_t k)
{
    return 2.0 * (double)rows->rows * (double)n * (double)k;
}

/* Query-key pairs of a batch times heads, from the spans: causal, so about half of a square. */
static double attention_pairs(const struct node *n)
{
    const struct tensor *spans = n->in[3];
    const int32_t *span = spans->data;
    double pairs = 0;
    for (int64_t s = 0; s < spans->rows; s++, span += 4)
        pairs += (double)span[1] * ((double)span[3] - ((double)span[1] - 1) / 2);
    return pairs * n->params.heads.heads;
}

static int bits(uint32_t mask)
{
    return __builtin_popcount(mask);
}

/* Of the ops that are products; the others are bound by memory. */
static double operations(const struct step *step)
{
    const struct node *n = step->node;
    if (n->op == &op_linear) {
        uint32_t products = step->what == FORWARD ? 1 : n->grad_to & 3u;
        return bits(products) * product(n->out[0], n->out[0]->cols, n->in[0]->cols);
    }
    if (n->op == &op_head_loss && step->what == FORWARD)
        return (n->in[0]->wants_grad ? 2 : 1) * product(n->in[0], n->in[1]->rows, n->in[1]->cols);
    if (n->op == &op_attention)
        return (step->what == FORWARD ? 4.0 : 10.0) * attention_pairs(n) * n->params.heads.head_size;
    return 0;
}

static double bytes_touched(const struct step *step)
{
    const struct node *n = step->node;
    double bytes = 0;
    for (int i = 0; i < MAX_IN; i++)
        if (n->in[i])
            bytes += (double)tensor_bytes(n->in[i]) * (step->what == BACKWARD && wants(n, i) ? 2 : 1);
    for (int j = 0; j < MAX_OUT; j++)
        if (n->out[j])
            bytes += (double)tensor_bytes(n->out[j]);
    return bytes;
}

void profile_step(void *self, const struct program *p, int index)
{
    struct profile *profile = self;
    double now = monotonic_seconds();
    if (index < 0) {
        profile->last = now;
        return;
    }
    const struct step *step = &p->step[index];
    int i = 0;
    while (i < profile->rows &&
           (profile->row[i].op != step->node->op || profile->row[i].what != (int)step->what || profile->row[i].recomputed != step->recomputed))
        i++;
    CHECK(i < PROFILE_ROWS);
    if (i == profile->rows)
        profile->row[profile->rows++] = (struct profile_row){ .op = step->node->op, .what = (int)step->what, .recomputed = step->recomputed };
    profile->row[i].steps++;
    profile->row[i].seconds += now - profile->last;
    profile->row[i].operations += operations(step);
    profile->row[i].bytes += bytes_touched(step);
    profile->last = now;
}

static int slowest_first(const void *a, const void *b)
{
    const struct profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static void print_row(const struct profile_row *row, const char *name, double all, double peak, struct output *out)
{
    const char *what = !row->op ? "" : row->what == BACKWARD ? "backward" : row->recomputed ? "again" : "forward";
    double rate = row->operations / row->seconds / 1e9;
    output_print(out, "%-12s %-9s %8lld %9.3f %6.1f %9.1f %8.1f %8.1f", name, what, (long long)row->steps, row->seconds, 100 * row->seconds / all,
                 row->operations / 1e9, row->bytes / 1e9, row->bytes / row->seconds / 1e9);
    if (row->operations > 0)
        output_print(out, " %8.1f %6.1f", rate, 100 * rate / peak);
    output_print(out, "\n");
}

void profile_print(const struct profile *profile, double peak, struct output *out)
{
    struct profile sorted = *profile;
    struct profile_row all = { 0 };
    for (int i = 0; i < sorted.rows; i++) {
        all.steps += sorted.row[i].steps;
        all.seconds += sorted.row[i].seconds;
        all.operations += sorted.row[i].operations;
        all.bytes += sorted.row[i].bytes;
    }
    qsort(sorted.row, (size_t)sorted.rows, sizeof *sorted.row, slowest_first);
    output_print(out, "%-12s %-9s %8s %9s %6s %9s %8s %8s %8s %6s\n", "op", "", "steps", "seconds", "%", "GFLOP", "GB", "GB/s", "GFLOP/s", "% peak");
    for (int i = 0; i < sorted.rows; i++)
        print_row(&sorted.row[i], sorted.row[i].op->name, all.seconds, peak, out);
    print_row(&all, "all", all.seconds, peak, out);
    output_print(out, "peak: %.1f GFLOP/s, the best float32 product measured here\n", peak);
}
