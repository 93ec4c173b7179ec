/* The checks that every op passes. */
#include "tests/harness/op_case.h"
#include "common/random.h"
#include "tests/harness/op_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ELEMENTS = 40 }; /* of each input, for which the gradient is differenced one by one */
#define STEP 1e-5       /* of central differences: their error is then about 1e-10 */

struct named_case {
    const struct op_test *test;
    const struct op_case *c;
};

bool op_close(double a, double b, double size, double tolerance)
{
    if (isnan(a) || isnan(b) || isinf(a) || isinf(b))
        return (isnan(a) && isnan(b)) || a == b;
    return fabs(a - b) <= tolerance * (fabs(b) + size);
}

int64_t op_random(uint64_t stream, int64_t index, int64_t below)
{
    return (int64_t)random_below(2, stream, (uint64_t)index, (uint64_t)below);
}

static double tolerance_of(const struct named_case *t, bool gradient)
{
    double of_case = gradient ? t->c->gradient_tolerance : t->c->tolerance, of_test = gradient ? t->test->gradient_tolerance : t->test->tolerance;
    if (of_case > 0)
        return of_case;
    if (t->c->dtype != F32 || t->c->weight_dtype != F32)
        return 0x1p-8;
    return of_test > 0 ? of_test : 3e-6;
}

static double root_mean_square(const double *values, int64_t count)
{
    double sum = 0;
    int64_t counted = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            sum += values[i] * values[i], counted++;
    return counted ? sqrt(sum / (double)counted) : 0;
}

static int64_t elements(const struct tensor *t)
{
    return t->rows * t->cols;
}

static void compare(const char *what, int number, const struct tensor *t, const double *got, const double *want, double tolerance)
{
    double size = root_mean_square(want, elements(t));
    for (int64_t i = 0; i < elements(t); i++) {
        if (t->dtype == I32 && !isnan(want[i]) ? got[i] != want[i] : isnan(want[i]) ? false : !op_close(got[i], want[i], size, tolerance))
            fail_msg("%s %d, row %lld, column %lld: %.9g, expected %.9g (within %.1e)", what, number, (long long)(i / t->cols), (long long)(i % t->cols),
                     got[i], want[i], tolerance);
    }
}

static void same(const char *what, int number, const struct tensor *t, const void *got, const void *want, size_t bytes)
{
    const unsigned char *a = got, *b = want;
    size_t row_bytes = (size_t)t->cols * dtype_bytes(t->dtype);
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            fail_msg("%s %d: row %zu (of %lld), byte %zu: %02x, expected %02x", what, number, i / row_bytes, (long long)t->rows, i % row_bytes, a[i], b[i]);
}

/* Spare rows too. */
static void same_bytes(const char *what, int number, const struct tensor *t, const void *got, const void *want)
{
    if (got && want)
        same(what, number, t, got, want, tensor_capacity_bytes(t));
}

static void spare_rows_are_unwritten(const char *what, int number, const struct tensor *t, const void *before, const void *after)
{
    size_t live = tensor_bytes(t);
    if (memcmp((const char *)before + live, (const char *)after + live, tensor_capacity_bytes(t) - live) != 0)
        fail_msg("%s %d: something was written behind the %lld live rows", what, number, (long long)t->rows);
}

/* ----- 1: outputs */

static struct op_values evaluate(struct op_run *run, double *const value[])
{
    struct op_values v = { .c = run->c, .n = run->node };
    for (int i = 0; i < MAX_IN; i++) {
        v.in[i] = value[i];
        if (!(run->test->op->writes & IN(i)))
            continue;
        v.state[i] = NEW_ARRAY(run->arena, elements(run->node->in[i]), double);
        memcpy(v.state[i], value[i], (size_t)elements(run->node->in[i]) * sizeof(double));
    }
    for (int j = 0; j < MAX_OUT; j++)
        if (run->node->out[j])
            v.out[j] = NEW_ARRAY(run->arena, elements(run->node->out[j]), double);
    run->test->reference(&v);
    return v;
}

static void compare_with_reference(const struct named_case *t, struct op_run *run, const struct op_result *before, const struct op_result *after)
{
    const struct node *n = run->node;
    struct op_values v = evaluate(run, run->value);
    for (int j = 0; j < MAX_OUT; j++) {
        if (!n->out[j])
            continue;
        compare("output", j, n->out[j], op_doubles(run->arena, n->out[j], after->out[j]), v.out[j], tolerance_of(t, false));
        spare_rows_are_unwritten("output", j, n->out[j], before->out[j], after->out[j]);
    }
    for (int i = 0; i < MAX_IN; i++) {
        if (!n->in[i])
            continue;
        if (!v.state[i]) {
            same_bytes("after forward, input", i, n->in[i], after->in[i], before->in[i]);
            continue;
        }
        compare("state", i, n->in[i], op_doubles(run->arena, n->in[i], after->in[i]), v.state[i], tolerance_of(t, false));
        spare_rows_are_unwritten("state", i, n->in[i], before->in[i], after->in[i]);
    }
}

static bool can_be_in_place(const struct node *n)
{
    int k = n->op->in_place;
    if (k == NONE || !n->in[k] || !n->out[0])
        return false;
    return n->in[k]->dtype == n->out[0]->dtype && n->in[k]->extent == n->out[0]->extent && tensor_bytes(n->in[k]) == tensor_bytes(n->out[0]);
}

static void in_place_is_the_same(const struct named_case *t, const struct op_result *expected)
{
    struct op_run run;
    op_run_open(&run, t->test, t->c, op_differentiable(t->test, t->c), 2);
    run.node->out[0]->data = run.node->in[t->test->op->in_place]->data;
    struct op_result before = op_run_result(&run);
    assert_int_equal(op_run_forward(&run), OK);
    struct op_result after = op_run_result(&run);
    spare_rows_are_unwritten("in place, output", 0, run.node->out[0], before.out[0], after.out[0]);
    for (int j = 0; j < MAX_OUT; j++)
        if (run.node->out[j])
            same("in place, output", j, run.node->out[j], after.out[j], expected->out[j], tensor_bytes(run.node->out[j]));
    op_run_close(&run);
}

static void outputs_equal_the_reference(void **state)
{
    const struct named_case *t = *state;
    struct op_run run, other;
    op_run_open(&run, t->test, t->c, op_differentiable(t->test, t->c), 2);
    struct op_result before = op_run_result(&run);
    assert_int_equal(op_run_forward(&run), OK);
    struct op_result after = op_run_result(&run);
    compare_with_reference(t, &run, &before, &after);

    op_run_open(&other, t->test, t->c, 0, 2);
    assert_int_equal(op_run_forward(&other), OK);
    struct op_result without = op_run_result(&other);
    for (int j = 0; j < MAX_OUT; j++)
        same_bytes("without gradients, output", j, run.node->out[j], without.out[j], after.out[j]);
    op_run_close(&other);

    if (can_be_in_place(run.node))
        in_place_is_the_same(t, &after);
    op_run_close(&run);
}

enum status op_forward_status(const struct op_test *test, const struct op_case *c, struct error *err)
{
    struct op_run run;
    op_run_open(&run, test, c, op_differentiable(test, c), 2);
    enum status status = op_run_forward(&run);
    *err = run.err;
    op_run_close(&run);
    return status;
}

/* ----- 2: gradients */

/* sum over outputs of r * y at the point `value` + step * direction (of input i). */
static double loss_at(struct op_run *run, int i, const double *direction, double step)
{
    struct arena *kept = run->arena;
    run->arena = arena_create_like(kept);
    double *value[MAX_IN], *moved = NEW_ARRAY(run->arena, elements(run->node->in[i]), double), sum = 0;
    memcpy(value, run->value, sizeof value);
    for (int64_t e = 0; e < elements(run->node->in[i]); e++)
        moved[e] = value[i][e] + step * direction[e];
    value[i] = moved;
    struct op_values v = evaluate(run, value);
    for (int j = 0; j < MAX_OUT; j++)
        for (int64_t e = 0; run->upstream[j] && e < elements(run->node->out[j]); e++)
            sum += run->upstream[j][e] * v.out[j][e];
    arena_destroy(run->arena);
    run->arena = kept;
    return sum;
}

static double difference(struct op_run *run, int i, const double *direction)
{
    return (loss_at(run, i, direction, STEP) - loss_at(run, i, direction, -STEP)) / (2 * STEP);
}

static void check_gradient(const struct named_case *t, struct op_run *run, int i, const double *gradient)
{
    int64_t count = elements(run->node->in[i]), stride = count / ELEMENTS + 1;
    double *direction = NEW_ARRAY(run->arena, count, double), along = 0, squares = 0, tolerance = tolerance_of(t, true);
    double size = root_mean_square(gradient, count);
    for (int64_t e = 0; e < count; e++) {
        direction[e] = (double)random_normal(3, (uint64_t)i, (uint64_t)e);
        along += gradient[e] * direction[e];
        squares += gradient[e] * direction[e] * gradient[e] * direction[e];
    }
    double expected = difference(run, i, direction);
    if (!op_close(along, expected, sqrt(squares), tolerance))
        fail_msg("gradient of input %d along a direction: %.9g, expected %.9g (terms %.3g, within %.1e)", i, along, expected, sqrt(squares), tolerance);
    memset(direction, 0, (size_t)count * sizeof *direction);
    for (int64_t e = 0; e < count; e += stride) {
        int64_t at = stride == 1 ? e : e + op_random((uint64_t)i, e, count - e < stride ? count - e : stride);
        direction[at] = 1;
        expected = difference(run, i, direction);
        direction[at] = 0;
        if (!op_close(gradient[at], expected, size, tolerance))
            fail_msg("gradient of input %d, row %lld, column %lld: %.9g, expected %.9g (within %.1e)", i, (long long)(at / run->node->in[i]->cols),
                     (long long)(at % run->node->in[i]->cols), gradient[at], expected, tolerance);
    }
}

static void gradients_equal_central_differences(void **state)
{
    const struct named_case *t = *state;
    uint32_t all = op_differentiable(t->test, t->c);
    struct op_run run;
    struct op_result before;
    op_run_open(&run, t->test, t->c, all, 2);
    assert_int_equal(op_run_forward(&run), OK);
    op_run_backward(&run, all, 0, &before);
    for (int i = 0; i < MAX_IN; i++) {
        if (!(all >> i & 1u))
            continue;
        struct op_result after = op_run_result(&run);
        check_gradient(t, &run, i, op_doubles(run.arena, run.node->in[i]->grad, after.grad[i]));
    }
    op_run_close(&run);
}

/* ----- 3: subsets */

static void nothing_else_was_written(struct op_run *run, uint32_t grad_to, const struct op_result *before, const struct op_result *after)
{
    const struct node *n = run->node;
    for (int i = 0; i < MAX_IN; i++) {
        if (!n->in[i])
            continue;
        same_bytes("after backward, input", i, n->in[i], after->in[i], before->in[i]);
        if (!n->in[i]->grad)
            continue;
        if (grad_to >> i & 1u)
            spare_rows_are_unwritten("gradient of input", i, n->in[i]->grad, before->grad[i], after->grad[i]);
        else
            same_bytes("unwanted gradient of input", i, n->in[i]->grad, after->grad[i], before->grad[i]);
    }
    for (int j = 0; j < MAX_OUT; j++) {
        if (!n->out[j])
            continue;
        same_bytes("after backward, output", j, n->out[j], after->out[j], before->out[j]);
        if (n->out[j]->grad)
            same_bytes("after backward, gradient of output", j, n->out[j]->grad, after->upstream[j], before->upstream[j]);
    }
}

static void subset(const struct named_case *t, struct op_run *full, const struct op_result *expected, uint32_t recorded, uint32_t wanted)
{
    struct op_run run;
    struct op_result before;
    op_run_open(&run, t->test, t->c, recorded, 2);
    assert_int_equal(op_run_forward(&run), OK);
    struct op_result forward = op_run_result(&run);
    for (int j = 0; j < MAX_OUT; j++)
        if (full->node->out[j])
            same_bytes("with fewer gradients, output", j, full->node->out[j], forward.out[j], expected->out[j]);
    op_run_backward(&run, wanted, 0, &before);
    struct op_result after = op_run_result(&run);
    nothing_else_was_written(&run, wanted, &before, &after);
    for (int i = 0; i < MAX_IN; i++)
        if (wanted >> i & 1u)
            same_bytes("with fewer gradients, gradient of input", i, run.node->in[i]->grad, after.grad[i], expected->grad[i]);
    op_run_close(&run);
}

static void any_subset_of_gradients_is_the_same_and_writes_nothing_else(void **state)
{
    const struct named_case *t = *state;
    uint32_t all = op_differentiable(t->test, t->c);
    struct op_run full;
    struct op_result before;
    op_run_open(&full, t->test, t->c, all, 2);
    assert_int_equal(op_run_forward(&full), OK);
    struct op_result expected = op_run_result(&full);
    op_run_backward(&full, all, 0, &before);
    struct op_result after = op_run_result(&full);
    memcpy(expected.grad, after.grad, sizeof expected.grad);
    for (uint32_t wanted = 1; wanted <= all; wanted++) {
        if ((wanted & all) != wanted)
            continue;
        subset(t, &full, &expected, all, wanted);
        subset(t, &full, &expected, wanted, wanted);
    }
    op_run_close(&full);
}

/* ----- 4: adding */

/* The set gradient was rounded, the sum is rounded: where they cancel, both still count. */
static void compare_sum(const struct named_case *t, struct op_run *run, int i, const void *set_bytes, const void *base_bytes, const void *sum_bytes)
{
    const struct tensor *grad = run->node->in[i]->grad;
    const double *set = op_doubles(run->arena, grad, set_bytes), *base = op_doubles(run->arena, grad, base_bytes);
    const double *sum = op_doubles(run->arena, grad, sum_bytes), size = root_mean_square(set, elements(grad));
    for (int64_t e = 0; e < elements(grad); e++)
        if (!op_close(sum[e], base[e] + set[e], size + fabs(set[e]), tolerance_of(t, true)))
            fail_msg("added gradient of input %d, row %lld, column %lld: %.9g, expected %.9g + %.9g", i, (long long)(e / grad->cols),
                     (long long)(e % grad->cols), sum[e], base[e], set[e]);
}

static void adding_equals_setting_plus_what_was_there(void **state)
{
    const struct named_case *t = *state;
    uint32_t all = op_differentiable(t->test, t->c);
    struct op_run run;
    struct op_result before;
    op_run_open(&run, t->test, t->c, all, 2);
    assert_int_equal(op_run_forward(&run), OK);
    op_run_backward(&run, all, 0, &before);
    struct op_result set = op_run_result(&run);
    for (uint32_t add = 1; add <= all; add++) {
        if ((add & all) != add)
            continue;
        struct op_run other;
        op_run_open(&other, t->test, t->c, all, 2);
        assert_int_equal(op_run_forward(&other), OK);
        op_run_backward(&other, all, add, &before);
        struct op_result added = op_run_result(&other);
        nothing_else_was_written(&other, all, &before, &added);
        for (int i = 0; i < MAX_IN; i++) {
            if (!(all >> i & 1u))
                continue;
            if (add >> i & 1u)
                compare_sum(t, &other, i, set.grad[i], before.grad[i], added.grad[i]);
            else
                same_bytes("gradient set beside an added one, input", i, other.node->in[i]->grad, added.grad[i], set.grad[i]);
        }
        op_run_close(&other);
    }
    op_run_close(&run);
}

/* ----- 5: threads */

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    static const int threads[] = { 1, 2, 3, 5 };
    const struct named_case *t = *state;
    uint32_t all = op_differentiable(t->test, t->c);
    struct op_run run[COUNT(threads)];
    struct op_result first = { 0 }, before;
    for (size_t k = 0; k < COUNT(threads); k++) {
        op_run_open(&run[k], t->test, t->c, all, threads[k]);
        assert_int_equal(op_run_forward(&run[k]), OK);
        struct op_result result = op_run_result(&run[k]);
        if (all) {
            op_run_backward(&run[k], all, 0, &before);
            struct op_result after = op_run_result(&run[k]);
            memcpy(result.grad, after.grad, sizeof result.grad);
        }
        if (k == 0)
            first = result;
        for (int i = 0; i < MAX_IN; i++) {
            same_bytes("input", i, run[0].node->in[i], result.in[i], first.in[i]);
            if (result.grad[i])
                same_bytes("gradient of input", i, run[0].node->in[i]->grad, result.grad[i], first.grad[i]);
        }
        for (int j = 0; j < MAX_OUT; j++)
            same_bytes("output", j, run[0].node->out[j], result.out[j], first.out[j]);
    }
    for (size_t k = 0; k < COUNT(threads); k++)
        op_run_close(&run[k]);
}

static const struct {
    const char *claim;
    CMUnitTestFunction check;
    bool gradient; /* only for cases that have one */
} checks[] = {
    { "outputs equal the reference", outputs_equal_the_reference, false },
    { "gradients equal central differences", gradients_equal_central_differences, true },
    { "any subset of gradients is the same and writes nothing else", any_subset_of_gradients_is_the_same_and_writes_nothing_else, true },
    { "adding equals setting plus what was there", adding_equals_setting_plus_what_was_there, true },
    { "any number of threads gives the same bits", any_number_of_threads_gives_the_same_bits, false },
};

int op_test_run(const struct op_test *test, const struct op_case *cases, size_t count, const struct CMUnitTest *more, size_t more_count)
{
    struct error why = { 0 };
    struct device device;
    if (device_open(&device, op_test_device(), 1, &why) != OK) {
        printf("SKIP: %s\n", why.what);
        return 77;
    }
    device_close(&device);
    struct arena *arena = arena_create(NULL);
    struct CMUnitTest *tests = NEW_ARRAY(arena, count * COUNT(checks) + more_count, struct CMUnitTest);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct named_case *t = NEW(arena, struct named_case);
        *t = (struct named_case){ .test = test, .c = &cases[i] };
        for (size_t k = 0; k < COUNT(checks); k++)
            if (!checks[k].gradient || op_differentiable(test, &cases[i]))
                tests[used++] = (struct CMUnitTest){ .name = arena_print(arena, "%s, %s: %s", test->op->name, cases[i].name, checks[k].claim),
                                                     .test_func = checks[k].check,
                                                     .initial_state = t };
    }
    for (size_t i = 0; i < more_count; i++)
        tests[used++] = more[i];
    int failed = _cmocka_run_group_tests(test->op->name, tests, used, NULL, NULL);
    arena_destroy(arena);
    return failed != 0; /* not the number: some numbers mean something to ctest */
}
