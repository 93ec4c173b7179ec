/* A walk through a model with adapters, for tests: a batch of sequences in, logits or loss and gradients out. */
#ifndef GRAFT_TESTS_ADAPTERS_WALK_H
#define GRAFT_TESTS_ADAPTERS_WALK_H

#include "autograd/plan.h"
#include "tests/adapters/small.h"

struct batch {
    int sequences;
    const int32_t *ids[16];
    const int32_t *labels[16]; /* at their own token, -100: not trained; NULL: logits of all rows are wanted */
    int64_t length[16];
    int32_t first_row; /* random numbers of its rows are those of rows from here on */
    float weight;      /* of a trained token's loss; 0: the mean of them */
};

/* What a batch looks like laid end to end. */
struct laid_out {
    int64_t rows, selected;
    float weight;
    int32_t *ids, *positions, *spans, *chosen, *labels, *row_key;
};

static inline struct laid_out lay_out(struct arena *arena, const struct batch *batch, const struct model *model, const struct adapter *adapter)
{
    struct laid_out l = { 0 };
    const int32_t in_front = adapter ? (int32_t)adapter->seams.virtual_tokens : 0,
                  at = (int32_t)model->config.first_position + (adapter ? (int32_t)adapter->seams.first_position : 0);
    int64_t rows = 0;
    for (int i = 0; i < batch->sequences; i++)
        rows += in_front + batch->length[i];
    l.ids = NEW_ARRAY(arena, rows, int32_t), l.positions = NEW_ARRAY(arena, rows, int32_t), l.chosen = NEW_ARRAY(arena, rows, int32_t);
    l.labels = NEW_ARRAY(arena, rows, int32_t), l.row_key = NEW_ARRAY(arena, rows, int32_t), l.spans = NEW_ARRAY(arena, 4 * batch->sequences, int32_t);
    for (int i = 0; i < batch->sequences; i++) {
        const int32_t first = (int32_t)l.rows, length = in_front + (int32_t)batch->length[i];
        memcpy(&l.spans[4 * i], (int32_t[]){ first, length, first, length }, 4 * sizeof(int32_t));
        for (int32_t t = 0; t < length; t++, l.rows++) {
            const int32_t next = t + 1 - in_front; /* of the real ids */
            const bool trained = batch->labels[i] && next >= 0 && t + 1 < length && batch->labels[i][next] != -100;
            l.ids[l.rows] = t < in_front ? (int32_t)model->config.vocab + t : batch->ids[i][t - in_front];
            l.positions[l.rows] = at + t, l.row_key[l.rows] = batch->first_row + (int32_t)l.rows;
            if (batch->labels[i] ? !trained : t < in_front)
                continue;
            l.labels[l.selected] = trained ? batch->labels[i][next] : 0;
            l.chosen[l.selected++] = (int32_t)l.rows;
        }
    }
    l.weight = batch->weight ? batch->weight : 1 / (float)l.selected;
    return l;
}

static inline void upload_inputs(struct device *device, const struct pass *p, const struct laid_out *l)
{
    tensor_upload(device, p->ids, l->ids);
    tensor_upload(device, p->positions, l->positions);
    tensor_upload(device, p->spans, l->spans);
    tensor_upload(device, p->selected, l->chosen);
    if (p->row_key)
        tensor_upload(device, p->row_key, l->row_key);
    if (p->draw)
        tensor_upload(device, p->draw, (int32_t[]){ 11, 12, 13 });
}

/* Runs a planned program over the batch; label and weight inputs may be NULL. The arena of the program is the test's. */
static inline void walk_run(struct scratch *s, struct program *program, struct device *device, const struct pass *p, const struct laid_out *l,
                            struct tensor *labels, struct tensor *weight)
{
    program_bind(program, arena_alloc(s->arena, program->arena_bytes));
    program_resize(program, ROWS, l->rows);
    program_resize(program, SELECTED, l->selected);
    program_resize(program, SEQUENCES, p->spans->capacity);
    upload_inputs(device, p, l);
    if (labels)
        tensor_upload(device, labels, l->labels);
    if (weight)
        tensor_upload(device, weight, &l->weight);
    assert_fine(s, program_run(program, device));
}

static inline struct graph *walk_graph(struct scratch *s, const struct laid_out *l, const struct batch *batch, bool gradients)
{
    return graph_new(s->arena, (int64_t[EXTENTS]){ [FIXED] = 1, [ROWS] = l->rows, [SELECTED] = l->selected, [SEQUENCES] = batch->sequences }, gradients);
}

/* Logits of every row, [rows, vocab]. adapter may be NULL. */
static inline float *walk_logits(struct scratch *s, const struct model *model, const struct adapter *adapter, const struct batch *batch, bool training)
{
    const struct laid_out l = lay_out(s->arena, batch, model, adapter);
    struct graph *g = walk_graph(s, &l, batch, false);
    struct program *program;
    struct pass p = pass_new(g, model, (const struct seams *[]){ adapter ? &adapter->seams : NULL }, adapter ? 1 : 0, NULL, training);
    struct tensor *logits = graph_keep(g, decoder_logits(&p, decoder(&p)));
    assert_fine(s, plan(&program, g, NULL, (struct plan_options){ .threads = 1 }, &s->err));
    walk_run(s, program, model->device, &p, &l, NULL, NULL);
    float *values = arena_alloc(s->arena, tensor_bytes(logits));
    tensor_download(model->device, logits, values);
    return values;
}

/* The loss, weighed as the batch says; gradients go to adapter->parameters (sealed for training). */
static inline float walk_loss_with(struct scratch *s, const struct model *model, struct adapter *adapter, const struct batch *batch,
                                   struct plan_options options)
{
    const struct laid_out l = lay_out(s->arena, batch, model, adapter);
    struct graph *g = walk_graph(s, &l, batch, true);
    struct program *program;
    struct pass p = pass_new(g, model, (const struct seams *[]){ &adapter->seams }, 1, NULL, true);
    struct tensor *labels = graph_input(g, "labels", I32, SELECTED, 0, 1), *weight = graph_input(g, "weight", F32, FIXED, 1, 1);
    struct head_loss head = decoder_loss(&p, decoder(&p), labels, weight);
    graph_keep(g, head.loss);
    parameters_zero_gradient(adapter->parameters);
    assert_fine(s, plan(&program, g, head.loss, options, &s->err));
    walk_run(s, program, model->device, &p, &l, labels, weight);
    float loss;
    tensor_download(model->device, head.loss, &loss);
    return loss;
}

static inline float walk_loss(struct scratch *s, const struct model *model, struct adapter *adapter, const struct batch *batch, bool recompute)
{
    return walk_loss_with(s, model, adapter, batch, (struct plan_options){ .threads = 1, .recompute = recompute });
}

#endif
