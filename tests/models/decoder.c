/* The forward of every family against logits recorded from transformers, computed three ways that must agree: each sequence alone, all of them laid
 * end to end, and token by token through a cache.
 *
 * Records lie in tests/reference/records (see make.py there): model/, score.jsonl with {"ids"}, expected.safetensors with logits.N [length, vocab]. A
 * difference is measured in parts of the largest logit.
 */
#include "autograd/plan.h"
#include "common/json.h"
#include "models/model.h"
#include "tests/unit/scratch.h"

#include <math.h>

enum { MAX_SEQUENCES = 16, MAX_RECORDS = 512, LEAST_RECORDS = 8 };
static const double tolerance = 2e-5;
static const double bfloat16_noise = 0.0313; /* the most that transformers' own bfloat16 has on any sequence of these records */

struct sequence {
    int32_t *ids;
    int64_t length;
    const float *logits; /* [length, vocab], recorded */
};

struct record {
    const char *name;
    struct safetensors expected;
    struct model model;
    struct sequence sequence[MAX_SEQUENCES];
    int sequences;
};

/* A program that computes logits, and room to run it. */
struct runner {
    struct pass pass;
    struct tensor *logits, *labels, *weight;
    struct head_loss loss;
    struct program *program;
    struct device *device;
    void *memory;
};

/* One batch: sequence i has rows[i] new tokens after past[i] cached ones; the cache holds it from slot first_slot[i] on. */
struct batch {
    int sequences;
    const int32_t *ids[MAX_SEQUENCES];
    int32_t rows[MAX_SEQUENCES], past[MAX_SEQUENCES], first_slot[MAX_SEQUENCES];
};

static struct device open_cpu(struct scratch *s, int threads)
{
    struct device device;
    assert_fine(s, device_open(&device, "cpu", threads, &s->err));
    return device;
}

static struct runner make_runner(struct scratch *s, struct device *device, const struct model *model, struct kv_cache *cache, bool loss)
{
    int64_t capacity[EXTENTS] = { [ROWS] = 256, [SELECTED] = 256, [SEQUENCES] = MAX_SEQUENCES };
    struct graph *g = graph_new(s->arena, capacity, false);
    struct runner r = { .pass = pass_new(g, model, NULL, 0, cache, false), .device = device };
    struct tensor *hidden = decoder(&r.pass);
    r.logits = graph_keep(g, decoder_logits(&r.pass, hidden));
    if (loss) {
        r.labels = graph_input(g, "labels", I32, SELECTED, 0, 1);
        r.weight = graph_input(g, "weight", F32, FIXED, 1, 1);
        r.loss = decoder_loss(&r.pass, hidden, r.labels, r.weight);
        graph_keep(g, r.loss.loss), graph_keep(g, r.loss.row_loss), graph_keep(g, r.loss.greedy);
    }
    assert_fine(s, plan(&r.program, g, NULL, (struct plan_options){ .threads = device->threads }, &s->err));
    assert_fine(s, device_allocate(device, "activations", r.program->arena_bytes, &r.memory, &s->err));
    program_bind(r.program, r.memory);
    return r;
}

static void drop_runner(struct runner *r)
{
    device_release(r->device, r->memory, r->program->arena_bytes);
}

/* Uploads and runs; the logits of all rows, in order. */
static float *run_batch(struct scratch *s, struct runner *r, const struct batch *b)
{
    int32_t ids[256], positions[256], selected[256], slots[256], spans[4 * MAX_SEQUENCES];
    int32_t rows = 0, keys = 0;
    bool cached = r->pass.cache != NULL;
    for (int i = 0; i < b->sequences; i++) {
        int32_t *span = spans + 4 * i;
        span[0] = rows;
        span[1] = b->rows[i];
        span[2] = cached ? b->first_slot[i] : keys;
        span[3] = b->past[i] + b->rows[i];
        keys += span[3];
        for (int32_t t = 0; t < b->rows[i]; t++, rows++) {
            assert_true(rows < 256);
            ids[rows] = b->ids[i][t];
            positions[rows] = (int32_t)r->pass.model->config.first_position + b->past[i] + t;
            selected[rows] = rows;
            slots[rows] = b->first_slot[i] + b->past[i] + t;
        }
    }
    program_resize(r->program, ROWS, rows);
    program_resize(r->program, SELECTED, rows);
    program_resize(r->program, SEQUENCES, b->sequences);
    tensor_upload(r->device, r->pass.ids, ids);
    tensor_upload(r->device, r->pass.positions, positions);
    tensor_upload(r->device, r->pass.spans, spans);
    tensor_upload(r->device, r->pass.selected, selected);
    if (cached)
        tensor_upload(r->device, r->pass.slots, slots);
    assert_fine(s, program_run(r->program, r->device));
    float *logits = NEW_ARRAY(s->arena, rows * r->logits->cols, float);
    tensor_download(r->device, r->logits, logits);
    return logits;
}

/* ---- records ---- */

static int record_names(struct scratch *s, const char **names)
{
    DIR *folder = opendir(TESTS_FOLDER "/reference/records");
    assert_non_null(folder);
    int count = 0;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (entry->d_name[0] != '.' && folder_exists(arena_print(s->arena, TESTS_FOLDER "/reference/records/%s/model", entry->d_name))) {
            assert_true(count < MAX_RECORDS);
            names[count++] = arena_print(s->arena, "%s", entry->d_name);
        }
    closedir(folder);
    return count;
}

static void read_sequences(struct scratch *s, struct record *record, const char *folder)
{
    struct json_lines *lines;
    json_t *value;
    int64_t line;
    assert_fine(s, json_lines_open(&lines, s->arena, path_join(s->arena, folder, "score.jsonl"), &s->err));
    for (;; json_decref(value)) {
        assert_fine(s, json_lines_next(lines, &value, &line, &s->err));
        if (!value)
            break;
        assert_true(record->sequences < MAX_SEQUENCES);
        struct sequence *q = &record->sequence[record->sequences];
        assert_fine(s, json_get_ids(s->arena, value, folder, "ids", 0, record->model.config.vocab - 1, &q->ids, &q->length, &s->err));
        const struct safetensor *t = safetensors_find(&record->expected, arena_print(s->arena, "logits.%d", record->sequences));
        assert_non_null(t);
        assert_true(t->rank == 2 && t->shape[0] == q->length && t->shape[1] == record->model.config.vocab && strcmp(t->dtype, "F32") == 0);
        q->logits = t->data;
        record->sequences++;
    }
    json_lines_close(lines);
    assert_true(record->sequences > 0);
}

static struct record *open_record(struct scratch *s, struct device *device, const char *name, enum dtype dtype)
{
    struct record *record = NEW(s->arena, struct record);
    struct model_config config;
    const char *folder = arena_print(s->arena, TESTS_FOLDER "/reference/records/%s", name);
    record->name = name;
    assert_fine(s, model_config_read(&config, s->arena, path_join(s->arena, folder, "model"), &s->err));
    assert_fine(s, model_load(&record->model, s->arena, &config, dtype, device, &s->err));
    assert_fine(s, safetensors_open(&record->expected, s->arena, path_join(s->arena, folder, "expected.safetensors"), &s->err));
    read_sequences(s, record, folder);
    return record;
}

static void close_record(struct record *record)
{
    model_release(&record->model);
    safetensors_close(&record->expected);
}

/* The largest difference, in parts of the largest logit; infinite where anything is not finite. */
static double difference(const float *got, const float *expected, int64_t count)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(got[i]))
            return INFINITY;
        largest = fmax(largest, fabs((double)expected[i]));
        worst = fmax(worst, fabs((double)got[i] - (double)expected[i]));
    }
    return worst / largest;
}

static void expect_near(const struct record *record, const char *way, int sequence, const float *got, const float *expected, int64_t rows, double allowed)
{
    double found = difference(got, expected, rows * record->model.config.vocab);
    if (!(found <= allowed))
        print_error("%s, sequence %d, %s: the logits differ by %.3g of the largest (%.3g allowed)\n", record->name, sequence, way, found, allowed);
    assert_true(found <= allowed);
}

static void for_each_record(void **state, enum dtype dtype, int threads, void (*check)(struct scratch *, struct device *, struct record *))
{
    struct scratch *s = *state;
    const char *names[MAX_RECORDS];
    int count = record_names(s, names);
    assert_true(count >= LEAST_RECORDS);
    for (int i = 0; i < count; i++) {
        struct device device = open_cpu(s, threads);
        struct record *record = open_record(s, &device, names[i], dtype);
        check(s, &device, record);
        close_record(record);
        device_close(&device);
    }
}

/* ---- the ways ---- */

static struct batch whole_sequence(const struct sequence *q)
{
    return (struct batch){ .sequences = 1, .ids = { q->ids }, .rows = { (int32_t)q->length } };
}

static struct batch all_sequences(const struct record *record)
{
    struct batch b = { .sequences = record->sequences };
    for (int i = 0; i < record->sequences; i++) {
        b.ids[i] = record->sequence[i].ids;
        b.rows[i] = (int32_t)record->sequence[i].length;
    }
    return b;
}

static void check_alone(struct scratch *s, struct device *device, struct record *record)
{
    struct runner r = make_runner(s, device, &record->model, NULL, false);
    for (int i = 0; i < record->sequences; i++) {
        const struct sequence *q = &record->sequence[i];
        struct batch b = whole_sequence(q);
        expect_near(record, "alone", i, run_batch(s, &r, &b), q->logits, q->length, tolerance);
    }
    drop_runner(&r);
}

static void check_together(struct scratch *s, struct device *device, struct record *record)
{
    struct runner r = make_runner(s, device, &record->model, NULL, false);
    struct batch b = all_sequences(record);
    float *logits = run_batch(s, &r, &b);
    for (int i = 0; i < record->sequences; i++) {
        const struct sequence *q = &record->sequence[i];
        expect_near(record, "end to end with the others", i, logits, q->logits, q->length, tolerance);
        logits += q->length * record->model.config.vocab;
    }
    drop_runner(&r);
}

static void check_cached(struct scratch *s, struct device *device, struct record *record)
{
    const struct model_config *config = &record->model.config;
    int32_t slots = 0, steps = 0;
    struct kv_cache cache;
    struct batch b = { .sequences = record->sequences };
    for (int i = 0; i < record->sequences; i++) {
        b.first_slot[i] = slots;
        slots += (int32_t)record->sequence[i].length;
        steps = record->sequence[i].length > steps ? (int32_t)record->sequence[i].length : steps;
        /* with dynamic frequencies, keys of the past keep the angles of the shorter sequence that they were made in */
        if (config->rope.type == ROPE_DYNAMIC && record->sequence[i].length > config->max_positions)
            return;
    }
    assert_fine(s, kv_cache_create(&cache, s->arena, &record->model, slots, device, &s->err));
    struct runner r = make_runner(s, device, &record->model, &cache, false);
    /* half of each sequence at once, then a token at a time; a finished sequence repeats its last token */
    for (int32_t step = 0; step <= steps; step++) {
        for (int i = 0; i < record->sequences; i++) {
            int32_t length = (int32_t)record->sequence[i].length, half = (length + 1) / 2;
            b.past[i] = step == 0 ? 0 : half + step - 1 < length ? half + step - 1 : length - 1;
            b.rows[i] = step == 0 ? half : 1;
            b.ids[i] = record->sequence[i].ids + b.past[i];
        }
        const float *logits = run_batch(s, &r, &b);
        for (int i = 0; i < record->sequences; i++) {
            expect_near(record, "through a cache", i, logits, record->sequence[i].logits + b.past[i] * config->vocab, b.rows[i], tolerance);
            logits += b.rows[i] * config->vocab;
        }
    }
    drop_runner(&r);
    kv_cache_destroy(&cache);
}

/* Root mean square of the difference, in parts of that of the expected values. */
static double noise(const float *got, const float *expected, int64_t count)
{
    double wrong = 0, all = 0;
    for (int64_t i = 0; i < count; i++) {
        wrong += ((double)got[i] - (double)expected[i]) * ((double)got[i] - (double)expected[i]);
        all += (double)expected[i] * (double)expected[i];
    }
    return sqrt(wrong / all);
}

static void check_bfloat16(struct scratch *s, struct device *device, struct record *record)
{
    struct runner r = make_runner(s, device, &record->model, NULL, false);
    for (int i = 0; i < record->sequences; i++) {
        const struct sequence *q = &record->sequence[i];
        struct batch b = whole_sequence(q);
        double found = noise(run_batch(s, &r, &b), q->logits, q->length * record->model.config.vocab);
        if (!(found <= bfloat16_noise))
            print_error("%s, sequence %d, in bfloat16: noise of %.4f (%.4f allowed)\n", record->name, i, found, bfloat16_noise);
        assert_true(found <= bfloat16_noise);
    }
    drop_runner(&r);
}

/* -log softmax(logits)[label], in double precision */
static double negative_log_probability(const float *logits, int64_t vocab, int32_t label)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < vocab; i++)
        largest = fmax(largest, (double)logits[i]);
    for (int64_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - largest);
    return log(sum) + largest - (double)logits[label];
}

static void check_loss(struct scratch *s, struct device *device, struct record *record)
{
    struct runner r = make_runner(s, device, &record->model, NULL, true);
    const struct sequence *q = &record->sequence[record->sequences - 1];
    int64_t rows = q->length, vocab = record->model.config.vocab;
    int32_t *labels = NEW_ARRAY(s->arena, rows, int32_t);
    float *row_loss = NEW_ARRAY(s->arena, rows, float), weight = 0.25F, loss;
    struct batch b = whole_sequence(q);
    for (int64_t i = 0; i < rows; i++)
        labels[i] = q->ids[(i + 1) % rows];
    program_resize(r.program, SELECTED, rows);
    tensor_upload(device, r.labels, labels);
    tensor_upload(device, r.weight, &weight);
    run_batch(s, &r, &b);
    tensor_download(device, r.loss.row_loss, row_loss);
    tensor_download(device, r.loss.loss, &loss);
    double sum = 0;
    for (int64_t i = 0; i < rows; i++) {
        double expected = negative_log_probability(q->logits + i * vocab, vocab, labels[i]);
        sum += expected;
        if (!(fabs((double)row_loss[i] - expected) < 2e-4))
            print_error("%s, row %lld: loss %.7g, not %.7g\n", record->name, (long long)i, (double)row_loss[i], expected);
        assert_true(fabs((double)row_loss[i] - expected) < 2e-4);
    }
    assert_true(fabs((double)loss - 0.25 * sum) < 1e-5 * sum);
    drop_runner(&r);
}

static void each_sequence_alone_has_the_recorded_logits(void **state)
{
    for_each_record(state, F32, 2, check_alone);
}
static void sequences_laid_end_to_end_have_the_recorded_logits(void **state)
{
    for_each_record(state, F32, 1, check_together);
}
static void prefill_and_decoding_have_the_recorded_logits(void **state)
{
    for_each_record(state, F32, 2, check_cached);
}
static void bfloat16_is_no_noisier_than_in_transformers(void **state)
{
    for_each_record(state, BF16, 1, check_bfloat16);
}
static void the_fused_loss_is_that_of_the_recorded_logits(void **state)
{
    for_each_record(state, F32, 1, check_loss);
}

/* Rows that go through the head are chosen before it: their logits are those of all rows. */
static void selected_rows_have_the_logits_of_all_rows(void **state)
{
    struct scratch *s = *state;
    struct device device = open_cpu(s, 1);
    struct record *record = open_record(s, &device, "llama_mha", F32);
    struct runner r = make_runner(s, &device, &record->model, NULL, false);
    struct batch b = all_sequences(record);
    int64_t vocab = record->model.config.vocab;
    const float *all = run_batch(s, &r, &b);
    const int32_t some[] = { 1, 5, 6, 30 };
    float *logits = NEW_ARRAY(s->arena, (int64_t)COUNT(some) * vocab, float);
    program_resize(r.program, SELECTED, COUNT(some));
    tensor_upload(&device, r.pass.selected, some);
    assert_fine(s, program_run(r.program, &device));
    tensor_download(&device, r.logits, logits);
    for (size_t i = 0; i < COUNT(some); i++)
        expect_near(record, "selected", some[i], logits + (int64_t)i * vocab, all + some[i] * vocab, 1, 1e-6);
    drop_runner(&r);
    close_record(record);
    device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(each_sequence_alone_has_the_recorded_logits),   SCRATCH_TEST(sequences_laid_end_to_end_have_the_recorded_logits),
        SCRATCH_TEST(prefill_and_decoding_have_the_recorded_logits), SCRATCH_TEST(the_fused_loss_is_that_of_the_recorded_logits),
        SCRATCH_TEST(selected_rows_have_the_logits_of_all_rows),     SCRATCH_TEST(bfloat16_is_no_noisier_than_in_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
