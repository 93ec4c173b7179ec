/* What the dataset tests share: records read from a line of JSON with a tiny tokenizer, and a sequence spelled with its trained span marked. */
#ifndef GRAFT_TESTS_DATASETS_WORLD_H
#define GRAFT_TESTS_DATASETS_WORLD_H

#include "datasets/dataset.h"
#include "tests/datasets/tiny_tokenizers.h"
#include "tests/unit/scratch.h"

struct world {
    struct scratch *scratch;
    struct tokenizer *tokenizer;
    int32_t eos;
    int64_t vocab;
    struct data_settings settings;
    struct source source;
    struct dataset dataset;
};

static inline void open_tokenizer(struct world *w, const char *json)
{
    assert_fine(w->scratch,
                tokenizer_open(&w->tokenizer, w->scratch->arena, scratch_write(w->scratch, "tokenizer.json", json, strlen(json)), &w->scratch->err));
}

/* Byte-level tokenizer, EOS 1, max_length 1024, over_length error. */
static inline struct world world_new(struct scratch *scratch)
{
    struct world w = { .scratch = scratch, .eos = EOS, .vocab = BYTE_VOCAB, .settings = { .max_length = 1024 }, .source = { .where = "run.yaml:3:5" } };
    open_tokenizer(&w, byte_tokenizer_json(scratch->arena, false));
    return w;
}

static inline struct world llama_world(struct scratch *scratch)
{
    struct world w = world_new(scratch);
    tokenizer_close(w.tokenizer);
    w.eos = L_EOS;
    w.vocab = L_VOCAB;
    open_tokenizer(&w, llama_tokenizer_json(scratch->arena));
    return w;
}

static inline enum status read_bytes(struct world *w, const char *format, const char *bytes, size_t size)
{
    w->source.path = scratch_write(w->scratch, "data.jsonl", bytes, size);
    w->source.format = format;
    return dataset_read(&w->dataset, w->scratch->arena, &w->source, 1, &w->settings, w->tokenizer, w->eos, w->vocab, &w->scratch->err);
}

static inline enum status read_text(struct world *w, const char *format, const char *json)
{
    return read_bytes(w, format, json, strlen(json));
}

/* The text of byte-level ids, trained runs in [[ ]]; knows nothing but the ids above. */
static inline const char *spelled(struct world *w, const struct sequence *s)
{
    struct text out = text_new(w->scratch->arena);
    bool inside = false;
    text_add(&out, "", 0);
    for (int64_t t = 0; t <= s->count; t++) {
        bool trained = t > 0 && t < s->count && s->labels[t] != NOT_TRAINED;
        if (trained != inside)
            text_add_string(&out, trained ? "[[" : "]]");
        inside = trained;
        if (t == s->count)
            break;
        const int32_t id = s->ids[t];
        if (trained)
            assert_int_equal(s->labels[t], id);
        const char byte = (char)(id - BYTE);
        if (id < BYTE)
            text_add_string(&out, id == EOS ? "</s>" : "<s>");
        else if (id < BLANK_B)
            text_add(&out, &byte, 1);
        else
            text_add_string(&out, id == AB ? "ab" : " b");
    }
    return out.bytes;
}

/* trained and prompt_count follow from the labels behind the first. */
static inline void assert_counts_fit(const struct sequence *s)
{
    int64_t trained = 0, run = s->count;
    for (int64_t t = 1; t < s->count; t++)
        if (s->labels[t] != NOT_TRAINED) {
            trained++;
            run = t == 1 || s->labels[t - 1] == NOT_TRAINED ? t : run;
        }
    assert_int_equal(s->trained, trained);
    assert_int_equal(s->prompt_count, run); /* the last run */
    assert_true(trained > 0);
}

static inline void assert_ids(const int32_t *ids, int64_t count, const int32_t *wanted, int64_t wanted_count)
{
    assert_int_equal(count, wanted_count);
    for (int64_t t = 0; t < count; t++)
        assert_int_equal(ids[t], wanted[t]);
}

#endif
