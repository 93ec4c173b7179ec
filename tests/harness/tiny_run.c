/* A whole training run on a tiny random model. */
#include "tests/harness/tiny_run.h"
#include "tests/harness/op_run.h"
#include "common/files.h"
#include "common/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SEQUENCES_MADE = 8 };

static void must(struct tiny_run *t, enum status status)
{
    if (status != OK)
        fail_msg("%s (%s)", t->err.what, t->err.cure);
}

static void write_file(struct tiny_run *t, const char *name, const char *text)
{
    struct output out;
    must(t, output_open(&out, t->arena, path_join(t->arena, t->folder, name), true, &t->err));
    output_string(&out, text);
    must(t, output_commit(&out));
}

static void write_records(struct tiny_run *t, int64_t vocab)
{
    struct text lines = text_new(t->arena);
    uint64_t draw = 0;
    for (int s = 0; s < SEQUENCES_MADE; s++) {
        int64_t count = 3 + (int64_t)random_below(1, 2, (uint64_t)s, 14);
        for (int part = 0; part < 2; part++) {
            text_add_string(&lines, part ? "], \"labels\": [" : "{\"ids\": [");
            for (int64_t i = 0; i < count; i++) {
                uint64_t id = random_below(1, 3, draw + (uint64_t)i, (uint64_t)vocab);
                text_print(&lines, "%s%lld", i ? ", " : "", part && i < count / 2 ? -100LL : (long long)id);
            }
        }
        draw += (uint64_t)count;
        text_add_string(&lines, "]}\n");
    }
    write_file(t, "train.jsonl", lines.bytes);
}

/* LoRA's B starts at zero, which would hide half of the gradients. */
static void shake(struct tiny_run *t)
{
    const struct parameters *p = t->run.adapter->parameters;
    for (int i = 0; i < p->tensors; i++) {
        float *value = NEW_ARRAY(t->arena, p->tensor[i]->rows * p->tensor[i]->cols, float);
        tensor_download(&t->device, p->tensor[i], value);
        for (int64_t j = 0; j < p->tensor[i]->rows * p->tensor[i]->cols; j++)
            value[j] += 0.3f * random_normal(5, random_stream(p->tensor[i]->name), (uint64_t)j);
        tensor_upload(&t->device, p->tensor[i], value);
    }
}

void tiny_run_open(struct tiny_run *t, const struct tiny_model *model, const char *const override[])
{
    int count = 0;
    memset(t, 0, sizeof *t);
    t->arena = arena_create(NULL);
    t->folder = tiny_model_make(t->arena, NULL, model);
    write_records(t, model->vocab ? model->vocab : 31);
    write_file(t, "run.yaml",
               "model: {path: .}\n"
               "adapter: {peft_type: LORA, r: 3, lora_alpha: 6, target_modules: all-linear, modules_to_save: [norm]}\n"
               "data: {train: [{path: train.jsonl, format: tokens}], max_length: 64, over_length: error}\n"
               "training: {output_dir: out, batch_size: 8, shuffle: false, max_steps: 4, learning_rate: 1.0e-2}\n");
    while (override && override[count])
        count++;
    must(t, device_open(&t->device, op_test_device(), 2, &t->err));
    must(t, run_open(&t->run, t->arena, &t->device, path_join(t->arena, t->folder, "run.yaml"), override, count, true, &t->err));
    shake(t);
}

void tiny_run_close(struct tiny_run *t)
{
    run_close(&t->run);
    device_close(&t->device);
    tiny_model_remove(t->folder);
    arena_destroy(t->arena);
}

struct batch *tiny_run_batch(struct tiny_run *t, int64_t count)
{
    const struct sequence **sequence = NEW_ARRAY(t->arena, count, const struct sequence *);
    int64_t rows = 0;
    for (int64_t i = 0; i < count; i++) {
        sequence[i] = &t->run.train.sequence[i];
        rows += sequence[i]->count;
    }
    struct batch *batch = batch_new(t->arena, rows, count);
    batch_fill(batch, sequence, count, NULL);
    return batch;
}

const float *tiny_run_gradient(struct tiny_run *t, struct plan_options options, bool poison, struct program **program)
{
    struct batch *batch = tiny_run_batch(t, t->run.train.count);
    struct parameters *parameters = t->run.adapter->parameters;
    struct forward forward;
    struct capacity capacity = { batch->rows, batch->rows, batch->sequences, 1 };
    options.threads = t->device.threads;
    must(t, forward_new_with(&forward, t->arena, &t->run.session, FOR_TRAINING, capacity, NULL, options, &t->err));
    *program = forward.program;
    parameters_zero_gradient(parameters);
    const struct feed feed = { .batch = batch, .weight = 0.125f, .seed = 3, .step = 1 };
    if (poison) {
        must(t, forward_run(&t->run.session, &forward, &feed, &t->err)); /* makes the arena */
        parameters_zero_gradient(parameters);
        memset(t->run.session.memory, 0xff, t->run.session.memory_bytes);
    }
    must(t, forward_run(&t->run.session, &forward, &feed, &t->err));
    float *copy = NEW_ARRAY(t->arena, parameters->count, float);
    memcpy(copy, parameters->grad->data, (size_t)parameters->count * sizeof *copy);
    return copy;
}
