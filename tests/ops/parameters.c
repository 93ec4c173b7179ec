/* Parameters: named tensors inside flat vectors. */
#include "autograd/parameters.h"
#include "autograd/graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct arena *arena;
    struct device device;
    struct error err;
    struct parameters *p;
};

static const struct {
    const char *name;
    int64_t rows, cols;
} shapes[] = { { "a.lora_A", 4, 7 }, { "a.lora_B", 1, 1 }, { "b", 16, 2 }, { "none", 0, 5 }, { "c", 3, 100 } };

static int make(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->arena = arena_create(NULL);
    w->p = parameters_new(w->arena);
    *state = w;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        char name[16];
        strcpy(name, shapes[i].name); /* names are copied */
        parameters_add(w->p, name, shapes[i].rows, shapes[i].cols);
        memset(name, 'x', sizeof name);
    }
    return device_open(&w->device, "cpu", 1, &w->err) == OK ? 0 : -1;
}

static int drop(void **state)
{
    struct world *w = *state;
    parameters_release(w->p);
    device_close(&w->device);
    arena_destroy(w->arena);
    free(w);
    return 0;
}

static void tensors_lie_in_order_inside_the_vectors(void **state)
{
    struct world *w = *state;
    struct parameters *p = w->p;
    assert_int_equal(parameters_seal(p, &w->device, true, &w->err), OK);
    struct tensor *const vectors[] = { p->value, p->grad, p->first, p->second };
    for (size_t k = 0; k < COUNT(vectors); k++) {
        assert_true(vectors[k]->rows == 1 && vectors[k]->cols == p->count && vectors[k]->dtype == F32 && vectors[k]->role == STATE);
        for (int64_t i = 0; i < p->count; i++)
            assert_true(((float *)vectors[k]->data)[i] == 0);
    }
    int64_t at = 0;
    assert_int_equal(p->tensors, COUNT(shapes));
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct tensor *t = p->tensor[i];
        assert_string_equal(t->name, shapes[i].name);
        assert_true(t->role == PARAMETER && t->dtype == F32 && t->wants_grad && t->id == -1);
        assert_true(t->rows == shapes[i].rows && t->cols == shapes[i].cols && t->capacity == t->rows);
        assert_ptr_equal(t->data, (float *)p->value->data + at);
        assert_ptr_equal(t->grad->data, (float *)p->grad->data + at);
        assert_true(t->grad->rows == t->rows && t->grad->cols == t->cols && t->grad->id == -1);
        assert_true((uintptr_t)t->data % 64 == 0);
        at += (t->rows * t->cols + 15) / 16 * 16;
    }
    assert_int_equal(p->count, at);
    assert_int_equal(parameters_size(p), 4 * 7 + 1 + 16 * 2 + 3 * 100);
}

static void tensors_are_found_by_name(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(shapes); i++)
        assert_ptr_equal(parameters_find(w->p, shapes[i].name), w->p->tensor[i]);
    assert_null(parameters_find(w->p, "a"));
    assert_null(parameters_find(w->p, ""));
}

static void without_training_there_are_only_values(void **state)
{
    struct world *w = *state;
    assert_int_equal(parameters_seal(w->p, &w->device, false, &w->err), OK);
    assert_non_null(w->p->value);
    assert_true(!w->p->grad && !w->p->first && !w->p->second);
    for (int i = 0; i < w->p->tensors; i++)
        assert_null(w->p->tensor[i]->grad);
}

static void zeroing_touches_the_gradient_alone(void **state)
{
    struct world *w = *state;
    assert_int_equal(parameters_seal(w->p, &w->device, true, &w->err), OK);
    struct tensor *const vectors[] = { w->p->value, w->p->first, w->p->second, w->p->grad };
    for (size_t k = 0; k < COUNT(vectors); k++)
        for (int64_t i = 0; i < w->p->count; i++)
            ((float *)vectors[k]->data)[i] = 5;
    parameters_zero_gradient(w->p);
    for (size_t k = 0; k < COUNT(vectors); k++)
        for (int64_t i = 0; i < w->p->count; i++)
            assert_true(((float *)vectors[k]->data)[i] == (vectors[k] == w->p->grad ? 0 : 5));
}

static void nothing_trained_is_a_legal_set(void **state)
{
    struct world *w = *state;
    struct parameters *p = parameters_new(w->arena);
    assert_int_equal(parameters_seal(p, &w->device, true, &w->err), OK);
    assert_true(p->count == 0 && parameters_size(p) == 0);
    parameters_zero_gradient(p);
    parameters_release(p);
    parameters_release(p);
    parameters_release(NULL);
}

static void what_does_not_fit_is_reported_and_released(void **state)
{
    struct world *w = *state;
    struct parameters *p = parameters_new(w->arena);
    parameters_add(p, "huge", (int64_t)1 << 28, (int64_t)1 << 28);
    assert_int_equal(parameters_seal(p, &w->device, true, &w->err), NO_MEMORY);
    assert_true(!p->value && !p->grad);
    parameters_release(p);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(tensors_lie_in_order_inside_the_vectors), WITH_WORLD(tensors_are_found_by_name),      WITH_WORLD(without_training_there_are_only_values),
        WITH_WORLD(zeroing_touches_the_gradient_alone),      WITH_WORLD(nothing_trained_is_a_legal_set), WITH_WORLD(what_does_not_fit_is_reported_and_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
