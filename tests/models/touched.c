/* Which bytes of the mapped weights a program brings into memory: all of what its steps read, of the embedding the windows around the rows of the ids looked
 * up, nothing of a tensor that an adapter trains a copy of. */
#include "autograd/plan.h"
#include "tests/harness/tiny_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 500, WINDOW = 64 << 10 };

static struct program *open_program(struct tiny_run *t, struct forward *forward)
{
    tiny_run_open(t, &(struct tiny_model){ .layers = 2, .width = 256, .mlp_width = 512, .vocab = VOCAB }, (const char *const[]){ NULL });
    assert_true(t->run.model.head != t->run.model.embed);
    assert_int_equal(forward_new(forward, t->arena, &t->run.session, FOR_LOSS, (struct capacity){ 8, 8, 1, 0 }, NULL, false, &t->err), OK);
    return forward->program;
}

/* All weights but the embedding and the norms, of which the tiny run trains copies. */
static size_t read_whole(const struct model *model)
{
    size_t bytes = tensor_bytes(model->head);
    for (int64_t l = 0; l < model->config.layers; l++) {
        const struct layer *layer = &model->layer[l];
        for (int i = 0; i < HEAD; i++)
            bytes += (layer->w[i] ? tensor_bytes(layer->w[i]) : 0) + (layer->bias[i] ? tensor_bytes(layer->bias[i]) : 0);
    }
    return bytes;
}

static void what_steps_read_counts_whole_and_what_none_reads_not_at_all(void **state)
{
    (void)state;
    struct tiny_run t;
    struct forward forward;
    const struct program *program = open_program(&t, &forward);
    const bool used[VOCAB] = { false };
    assert_int_equal(model_touched_bytes(&t.run.model, program, used), read_whole(&t.run.model));
    tiny_run_close(&t);
}

static void without_ids_the_whole_table_counts(void **state)
{
    (void)state;
    struct tiny_run t;
    struct forward forward;
    const struct program *program = open_program(&t, &forward);
    bool used[VOCAB];
    memset(used, true, sizeof used);
    const size_t whole = read_whole(&t.run.model) + tensor_bytes(t.run.model.embed);
    assert_int_equal(model_touched_bytes(&t.run.model, program, NULL), whole);
    assert_int_equal(model_touched_bytes(&t.run.model, program, used), whole);
    tiny_run_close(&t);
}

/* Windows of the file that hold a byte of a row of these ids, byte by byte. */
static size_t windows_by_hand(const struct model *model, const bool *used)
{
    const struct tensor *table = model->embed;
    const size_t row = (size_t)table->cols * dtype_bytes(table->dtype);
    const size_t start = (size_t)((const uint8_t *)table->data - model->files.file[0].map.bytes);
    size_t last = SIZE_MAX, windows = 0;
    for (size_t i = 0; i < tensor_bytes(table); i++)
        if (used[i / row] && (start + i) / WINDOW != last) {
            last = (start + i) / WINDOW;
            windows++;
        }
    return windows;
}

static void looked_up_rows_count_by_windows(void **state)
{
    (void)state;
    static const int ids[][4] = { { 0, 0, 0, 0 }, { 0, 1, 2, 3 }, { 0, 200, 201, 499 }, { 63, 64, 127, 128 }, { 70, 140, 290, 360 } };
    struct tiny_run t;
    struct forward forward;
    const struct program *program = open_program(&t, &forward);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        bool used[VOCAB] = { false };
        for (int j = 0; j < 4; j++)
            used[ids[i][j]] = true;
        const size_t windows = windows_by_hand(&t.run.model, used);
        assert_true(windows >= 1 && windows * WINDOW < tensor_bytes(t.run.model.embed));
        assert_int_equal(model_touched_bytes(&t.run.model, program, used), read_whole(&t.run.model) + windows * WINDOW);
    }
    tiny_run_close(&t);
}

/* The ids say nothing about a table of positions: it has rows of its own number, and a text as long as it may be reads them all. */
static void a_table_of_positions_counts_whole(void **state)
{
    (void)state;
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct device device;
    struct model_config config;
    struct model model;
    struct program *program;
    assert_int_equal(device_open(&device, "cpu", 1, &err), OK);
    assert_int_equal(model_config_read(&config, arena, TESTS_FOLDER "/reference/records/opt_plain/model", &err), OK);
    assert_int_equal(model_load(&model, arena, &config, F32, &device, &err), OK);
    assert_true(model.position_table && model.head == model.embed);
    struct graph *g = graph_new(arena, (int64_t[EXTENTS]){ [ROWS] = 8, [SELECTED] = 8, [SEQUENCES] = 1 }, false);
    struct pass p = pass_new(g, &model, NULL, 0, NULL, false);
    graph_keep(g, decoder_logits(&p, decoder(&p)));
    assert_int_equal(plan(&program, g, NULL, (struct plan_options){ .threads = 1 }, &err), OK);
    const bool *used = NEW_ARRAY(arena, config.vocab, bool);
    assert_int_equal(model_touched_bytes(&model, program, used), model_touched_bytes(&model, program, NULL));
    model_release(&model);
    device_close(&device);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_of_positions_counts_whole),
        cmocka_unit_test(what_steps_read_counts_whole_and_what_none_reads_not_at_all),
        cmocka_unit_test(without_ids_the_whole_table_counts),
        cmocka_unit_test(looked_up_rows_count_by_windows),
    };
    return cmocka_run_group_tests_name("models/touched", tests, NULL, NULL);
}
