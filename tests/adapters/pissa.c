/* PiSSA: principal singular vectors, that a fresh adapter is the base model to rounding, and that what is saved is an ordinary LoRA of twice the rank. */
#include "adapters/lora.h"
#include "adapters/principal.h"
#include "common/random.h"
#include "tests/adapters/records.h"
#include "tests/adapters/walk.h"

#include <math.h>
#include <omp.h>

/* W [rows, cols] of normal values; or the sum of `terms` outer products with the given weights, the vectors orthonormal. */
static struct matrix normal_matrix(struct scratch *s, int64_t rows, int64_t cols)
{
    float *values = NEW_ARRAY(s->arena, rows * cols, float);
    for (int64_t i = 0; i < rows * cols; i++)
        values[i] = random_normal(3, 1, (uint64_t)i);
    return (struct matrix){ values, rows, cols };
}

/* Vector number k of an orthonormal set of n: discrete cosines. */
static double cosine(int64_t k, int64_t i, int64_t n)
{
    return sqrt((k ? 2.0 : 1.0) / (double)n) * cos(acos(-1) * (double)k * ((double)i + 0.5) / (double)n);
}

static struct matrix made_matrix(struct scratch *s, int64_t rows, int64_t cols, const double *weight, int terms)
{
    float *values = NEW_ARRAY(s->arena, rows * cols, float);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double sum = 0;
            for (int k = 0; k < terms; k++)
                sum += weight[k] * cosine(k, r, rows) * cosine(cols - 1 - k, c, cols);
            values[r * cols + c] = (float)sum;
        }
    return (struct matrix){ values, rows, cols };
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The largest violation of W right = value left, W^T left = value right and of orthonormality, as a share of the largest value. */
static double violation(struct matrix w, const struct principal *p)
{
    double worst = 0;
    for (int64_t k = 0; k < p->count; k++) {
        const double *left = p->left + k * w.rows, *right = p->right + k * w.cols;
        for (int64_t r = 0; r < w.rows; r++) {
            double sum = 0;
            for (int64_t c = 0; c < w.cols; c++)
                sum += (double)w.values[r * w.cols + c] * right[c];
            worst = fmax(worst, fabs(sum - p->value[k] * left[r]) / p->value[0]);
        }
        for (int64_t c = 0; c < w.cols; c++) {
            double sum = 0;
            for (int64_t r = 0; r < w.rows; r++)
                sum += (double)w.values[r * w.cols + c] * left[r];
            worst = fmax(worst, fabs(sum - p->value[k] * right[c]) / p->value[0]);
        }
        for (int64_t j = 0; j <= k && p->value[k] > 0; j++) {
            worst = fmax(worst, fabs(dot(left, p->left + j * w.rows, w.rows) - (j == k)));
            worst = fmax(worst, fabs(dot(right, p->right + j * w.cols, w.cols) - (j == k)));
        }
    }
    return worst;
}

static void principal_vectors_of_a_made_matrix_are_those_it_was_made_of(void **state)
{
    static const double distinct[] = { 9, 7, 5, 3, 2, 1, 0.5 }, equal[] = { 4, 4, 4, 4, 4, 1, 1 }, deficient[] = { 5, 2 };
    static const struct {
        int64_t rows, cols, count;
        const double *weight;
        int terms;
    } cases[] = {
        { 40, 23, 4, distinct, 7 },   { 23, 40, 4, distinct, 7 }, { 400, 301, 3, distinct, 7 },  { 301, 400, 3, distinct, 7 },
        { 400, 301, 4, equal, 7 },    { 40, 23, 5, equal, 7 },    { 301, 400, 4, deficient, 2 }, { 23, 40, 23, deficient, 2 },
        { 300, 300, 5, distinct, 0 }, { 1, 9, 1, distinct, 1 },   { 9, 1, 1, distinct, 1 },
    };
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct matrix w = made_matrix(s, cases[i].rows, cases[i].cols, cases[i].weight, cases[i].terms);
        const struct principal p = principal_of(s->arena, w, cases[i].count, 0, 5, 6);
        for (int64_t k = 0; k < cases[i].count; k++)
            assert_true(fabs(p.value[k] - (k < cases[i].terms ? cases[i].weight[k] : 0)) < 1e-5);
        const double error = cases[i].terms ? violation(w, &p) : 0;
        if (!(error < 1e-7))
            fail_msg("case %zu is off by %g", i, error);
    }
}

/* Normal values leave no gap between one singular value and the next. */
static void principal_vectors_without_a_gap_converge(void **state)
{
    static const int64_t sizes[][2] = { { 260, 180 }, { 180, 260 } };
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const struct matrix w = normal_matrix(s, sizes[i][0], sizes[i][1]);
        const struct principal some = principal_of(s->arena, w, 8, 0, 5, 6), whole = principal_of(s->arena, w, 180, 0, 7, 8);
        assert_true(violation(w, &some) < 1e-7 && violation(w, &whole) < 1e-7);
        for (int64_t k = 0; k < 8; k++)
            assert_true(fabs(some.value[k] - whole.value[k]) < 1e-9 * whole.value[0]);
    }
}

static void more_iterations_come_nearer_to_the_principal_part(void **state)
{
    struct scratch *s = *state;
    const struct matrix w = normal_matrix(s, 90, 120);
    const struct principal exact = principal_of(s->arena, w, 6, 0, 5, 6);
    const double whole = dot(exact.value, exact.value, 6);
    double before = INFINITY;
    for (int iterations = 1; iterations <= 64; iterations *= 4) {
        const struct principal p = principal_of(s->arena, w, 6, iterations, 5, 6);
        const double missing = 1 - dot(p.value, p.value, 6) / whole;
        assert_true(missing >= -1e-12 && missing < 0.6 * before);
        before = missing;
    }
    assert_true(before < 1e-3);
}

static const int32_t ids[] = { 3, 17, 42, 5, 5, 60, 33, 8, 21, 2, 54 };
static const struct batch batch = { .sequences = 2, .ids = { ids, ids + 4 }, .labels = { ids, ids + 4 }, .length = { 11, 7 } };
static const struct batch plain = { .sequences = 2, .ids = { ids, ids + 4 }, .length = { 11, 7 } };

static struct adapter *started(struct scratch *s, const struct model *model, struct device *device, const char *yaml)
{
    struct adapter *adapter;
    assert_fine(s, small_adapter(s, &adapter, model, arena_print(s->arena, "{peft_type: LORA, %s}", yaml)));
    assert_fine(s, adapter_start(adapter, s->arena, model, device, true, 3, &s->err));
    return adapter;
}

static double difference(const float *values, const float *expected, int64_t count)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs((double)values[i] - (double)expected[i]));
        largest = fmax(largest, fabs((double)expected[i]));
    }
    return worst / largest;
}

static const char *const settings[] = {
    "init_lora_weights: pissa",
    "init_lora_weights: pissa, target_modules: all-linear, r: 3, lora_alpha: 5, use_rslora: true",
    "init_lora_weights: pissa, target_modules: all-linear, rank_pattern: {q_proj: 2, up_proj: 24}, alpha_pattern: {q_proj: 1.5}, use_rslora: true",
    "init_lora_weights: pissa_niter_2, target_modules: all-linear, r: 1, bias: all, modules_to_save: [norm]",
};

/* What is taken away is what is added, up to the rounding of the two sums: 2^-24 of values as large as the principal part, a few layers deep. */
static void a_fresh_adapter_is_the_base_model_to_rounding(void **state)
{
    static const struct {
        enum dtype dtype;
        double bound;
    } types[] = { { F32, 3e-6 }, { BF16, 0.1 } };
    struct scratch *s = *state;
    for (size_t t = 0; t < COUNT(types); t++)
        for (size_t i = 0; i < COUNT(settings); i++) {
            struct model model;
            struct device device;
            record_model(s, &model, &device, "llama_biases", types[t].dtype);
            struct adapter *adapter = started(s, &model, &device, settings[i]);
            const float *base = walk_logits(s, &model, NULL, &plain, false), *fresh = walk_logits(s, &model, adapter, &plain, true);
            const double error = difference(fresh, base, 18 * model.config.vocab);
            if (!(error < types[t].bound))
                fail_msg("%s: the fresh adapter is off by %g", settings[i], error);
            adapter_release(adapter);
            model_release(&model);
            device_close(&device);
        }
}

/* A step of plain gradient descent on everything trained. */
static void descend(struct scratch *s, struct model *model, struct adapter *adapter)
{
    walk_loss(s, model, adapter, &batch, false);
    for (int i = 0; i < adapter->parameters->tensors; i++) {
        struct tensor *t = adapter->parameters->tensor[i];
        double moved = 0;
        for (int64_t k = 0; k < t->rows * t->cols; k++) {
            const float step = 0.3F * ((const float *)t->grad->data)[k];
            ((float *)t->data)[k] -= step;
            moved = fmax(moved, fabs((double)step));
        }
        assert_true(moved > 0);
    }
}

static void what_is_saved_is_an_ordinary_lora_of_twice_the_rank(void **state)
{
    struct scratch *s = *state;
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct model model;
        struct device device;
        struct adapter *again;
        record_model(s, &model, &device, "llama_biases", F32);
        struct adapter *adapter = started(s, &model, &device, settings[i]);
        descend(s, &model, adapter);
        const float *trained = walk_logits(s, &model, adapter, &plain, false), *base = walk_logits(s, &model, NULL, &plain, false);
        assert_true(difference(trained, base, 18 * model.config.vocab) > 1e-2);
        const char *folder = arena_print(s->arena, "%s/saved", s->folder);
        assert_fine(s, adapter_save(adapter, s->arena, &model, folder, &s->err));
        assert_fine(s, adapter_load(&again, s->arena, folder, &model, &device, &s->err));
        const struct lora *one = adapter->state, *other = again->state;
        assert_int_equal(((const struct lora_settings *)again->settings)->start.kind, START_DEFAULT);
        for (int m = 0; m < one->modules; m++) {
            assert_int_equal(other->module[m].rank, 2 * one->module[m].rank);
            assert_true(fabs((double)other->module[m].scale / (double)one->module[m].scale - 1) < 1e-6);
        }
        assert_true(difference(walk_logits(s, &model, again, &plain, false), trained, 18 * model.config.vocab) < 3e-6);
        adapter_release(adapter), adapter_release(again);
        model_release(&model);
        device_close(&device);
    }
}

static void the_start_is_the_same_for_any_number_of_threads(void **state)
{
    struct scratch *s = *state;
    char hash[2][65];
    const int before = omp_get_max_threads();
    for (int threads = 1; threads <= 2; threads++) {
        struct model model;
        struct device device;
        record_model(s, &model, &device, "llama_biases", F32);
        omp_set_num_threads(threads);
        struct adapter *adapter = started(s, &model, &device, settings[1]);
        assert_fine(s, adapter_hash(adapter, hash[threads - 1], &s->err));
        adapter_release(adapter);
        model_release(&model);
        device_close(&device);
    }
    omp_set_num_threads(before);
    assert_string_equal(hash[0], hash[1]);
}

static void an_adapter_for_a_changed_base_is_refused(void **state)
{
    static const char config[] = "{\"peft_type\": \"LORA\", \"r\": 4, \"init_lora_weights\": \"pissa\"}";
    struct scratch *s = *state;
    struct model model;
    struct adapter *adapter;
    small_model(s, &model, "");
    scratch_write(s, "adapter_config.json", config, sizeof config - 1);
    assert_failed(s, small_adapter(s, &adapter, &model, arena_print(s->arena, "{init_from: %s}", s->folder)), BAD_FILE, "'init_lora_weights' is pissa");
}

static void the_adapter_as_it_will_be_used_has_twice_the_values(void **state)
{
    static const char yaml[] = "{peft_type: LORA, init_lora_weights: pissa, target_modules: all-linear}";
    struct scratch *s = *state;
    struct model model;
    struct adapter *trained, *used;
    struct yaml *section;
    small_model(s, &model, "");
    assert_fine(s, small_adapter(s, &trained, &model, yaml));
    assert_fine(s, yaml_parse(s->arena, "run.yaml", yaml, strlen(yaml), &section, &s->err));
    assert_fine(s, adapter_new_for_use(&used, s->arena, section, s->folder, &model, &s->err));
    assert_int_equal(parameters_size(used->parameters), 2 * parameters_size(trained->parameters));
    assert_int_equal(parameters_size(trained->parameters->frozen), parameters_size(trained->parameters));
    assert_null(used->parameters->frozen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(principal_vectors_of_a_made_matrix_are_those_it_was_made_of),
        SCRATCH_TEST(principal_vectors_without_a_gap_converge),
        SCRATCH_TEST(more_iterations_come_nearer_to_the_principal_part),
        SCRATCH_TEST(a_fresh_adapter_is_the_base_model_to_rounding),
        SCRATCH_TEST(what_is_saved_is_an_ordinary_lora_of_twice_the_rank),
        SCRATCH_TEST(the_start_is_the_same_for_any_number_of_threads),
        SCRATCH_TEST(an_adapter_for_a_changed_base_is_refused),
        SCRATCH_TEST(the_adapter_as_it_will_be_used_has_twice_the_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
