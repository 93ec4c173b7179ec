/* sample: against its definition, with the items sorted. tests/inference/sampler.c looks at many draws. */
#include "tests/harness/op_case.h"
#include "common/random.h"

#include <math.h>
#include <stdlib.h>

enum { LOGITS, DRAWS, SEEN };

static void build(struct graph *g, const struct op_case *c, struct tensor *const in[])
{
    sample(g, in[LOGITS], in[DRAWS], in[SEEN], &c->params.sample.rules);
}

struct item {
    double logit;
    int64_t id;
};

static int by_logit(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static void penalize(const struct op_values *v, int64_t row, struct item *item, double penalty)
{
    const int64_t most = v->n->in[SEEN]->cols, vocab = v->n->in[LOGITS]->cols;
    for (int64_t j = 0; j < vocab; j++)
        for (int64_t i = 0; i < most && v->in[SEEN][row * most + i] >= 0; i++)
            if ((int64_t)v->in[SEEN][row * most + i] == j) {
                item[j].logit = (double)(float)(item[j].logit > 0 ? item[j].logit / penalty : item[j].logit * penalty);
                break;
            }
}

static int64_t chosen(const struct sampling *rules, const struct item *sorted, int64_t vocab, double draw)
{
    int64_t count = rules->top_k && rules->top_k < vocab ? rules->top_k : vocab, last = 0;
    double total = 0, kept = 0, sum = 0, *weight = test_malloc((size_t)vocab * sizeof *weight);
    for (int64_t i = 0; i < count; i++)
        total += weight[i] = exp((sorted[i].logit - sorted[0].logit) / rules->temperature);
    do
        kept += weight[last++];
    while (last < count && kept < rules->top_p * total);
    int64_t i = 0;
    while (i < last - 1 && draw * kept >= sum + weight[i])
        sum += weight[i++];
    test_free(weight);
    return sorted[i].id;
}

static void reference(struct op_values *v)
{
    const struct sampling *rules = &v->c->params.sample.rules;
    const int64_t vocab = v->n->in[LOGITS]->cols;
    struct item *item = test_malloc((size_t)vocab * sizeof *item);
    for (int64_t r = 0; r < v->n->in[LOGITS]->rows; r++) {
        for (int64_t j = 0; j < vocab; j++)
            item[j] = (struct item){ v->in[LOGITS][r * vocab + j], j };
        if (v->in[SEEN])
            penalize(v, r, item, rules->repetition_penalty);
        qsort(item, (size_t)vocab, sizeof *item, by_logit);
        const double *draw = v->in[DRAWS] + 2 * r;
        v->out[0][r] =
            (double)(rules->temperature == 0
                         ? item[0].id
                         : chosen(rules, item, vocab, (double)random_uniform(rules->seed, random_stream("sample") ^ (uint64_t)draw[0], (uint64_t)draw[1])));
    }
    test_free(item);
}

/* Logits as wide as those of models, in coarse steps where the case wants ties; ids seen end early in some rows, and some come twice. */
static void fill_inputs(const struct op_case *c, const struct node *n, int i, double *values)
{
    const struct tensor *t = n->in[i];
    for (int64_t k = 0; k < t->rows * t->cols; k++)
        if (i == LOGITS)
            values[k] = c->number[0] > 0 ? round(values[k] * 2) / 2 : (double)(float)(4 * values[k]);
        else if (i == DRAWS)
            values[k] = (double)op_random(8, k, 1000);
        else
            values[k] = k % t->cols > k / t->cols * 3 + 2 ? -1 : (double)op_random(9, k, n->in[LOGITS]->cols / 2 + 1);
}

static const struct op_test test = {
    .op = &op_sample,
    .in = { { FLOAT32, ROWS, NO_GRADIENT }, { INT32, ROWS, NO_GRADIENT }, { INT32, ROWS, NO_GRADIENT } },
    .build = build,
    .reference = reference,
    .fill = fill_inputs,
};

#define RULES(...) .params.sample.rules = { __VA_ARGS__ }

static const struct op_case cases[] = {
    { "greedy", .in = { { 5, 40 }, { 5, 2 } }, RULES(.top_p = 1, .repetition_penalty = 1) },
    { "greedy, ties", .in = { { 9, 3000 }, { 9, 2 } }, RULES(.top_p = 1, .repetition_penalty = 1), .number = { 1 } },
    { "greedy, penalized", .in = { { 7, 30 }, { 7, 2 }, { 7, 24 } }, RULES(.top_p = 1, .repetition_penalty = 1.4) },
    { "one id", .in = { { 2, 1 }, { 2, 2 } }, RULES(.temperature = 1, .top_p = 1) },
    { "drawn", .in = { { 40, 2500 }, { 40, 2 } }, RULES(.temperature = 1, .top_p = 1, .seed = 3) },
    { "drawn, hot", .in = { { 40, 700 }, { 40, 2 } }, RULES(.temperature = 30, .top_p = 1, .seed = 1ull << 40) },
    { "drawn, cold", .in = { { 20, 700 }, { 20, 2 } }, RULES(.temperature = 0.05, .top_p = 1) },
    { "top-k", .in = { { 40, 900 }, { 40, 2 } }, RULES(.temperature = 2, .top_k = 50, .top_p = 1) },
    { "top-k of ties", .in = { { 40, 900 }, { 40, 2 } }, RULES(.temperature = 2, .top_k = 13, .top_p = 1), .number = { 1 } },
    { "more than all", .in = { { 20, 9 }, { 20, 2 } }, RULES(.temperature = 2, .top_k = 13, .top_p = 1) },
    { "top-p", .in = { { 40, 1300 }, { 40, 2 } }, RULES(.temperature = 3, .top_p = 0.9) },
    { "top-p of ties", .in = { { 40, 300 }, { 40, 2 } }, RULES(.temperature = 3, .top_p = 0.3), .number = { 1 } },
    { "all rules", .in = { { 33, 1030 }, { 33, 2 }, { 33, 60 } }, RULES(0.8, 100, 0.95, 1.2, 11) },
    { "no rows", .in = { { 0, 30 }, { 0, 2 } }, RULES(.temperature = 1, .top_p = 1) },
};

int main(void)
{
    return op_test_run(&test, cases, COUNT(cases), NULL, 0);
}
