/* Trained rows for some tokens: the setting, the parameters, and how the walk uses them. */
#include "adapters/tokens.h"

#include "autograd/cpu/rows.h"

#include <inttypes.h>
#include <string.h>

enum { MOST_TOKENS = 65536 };

static enum status is_no_list(const struct setting *row, const struct yaml *value, struct error *err)
{
    return fail_with(err, BAD_CONFIG, "%s: adapter.%s: expected a list of token ids, or a map from module names to such lists",
                     "write for instance [32000, 32001] or {embed_tokens: [32000, 32001]}", value->where, row->name);
}

static enum status parse_ids(struct arena *arena, const struct setting *row, const struct yaml *value, struct token_list *list, struct error *err)
{
    if (value->kind != YAML_LIST || value->count == 0 || value->count > MOST_TOKENS)
        return is_no_list(row, value, err);
    list->id = NEW_ARRAY(arena, value->count, int64_t);
    list->count = value->count;
    for (int i = 0; i < value->count; i++) {
        const struct yaml *item = value->item[i];
        if (item->kind != YAML_SCALAR || item->quoted || !text_to_int(item->text, &list->id[i]))
            return is_no_list(row, item, err);
    }
    return OK;
}

enum status token_lists_parse(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct token_lists *lists = field;
    (void)folder;
    *lists = (struct token_lists){ 0 };
    if (!value)
        return OK;
    const bool map = value->kind == YAML_MAP;
    if ((!map && value->kind != YAML_LIST) || value->count == 0 || (map && value->count > 2))
        return is_no_list(row, value, err);
    lists->where = arena_print(arena, "%s: adapter.%s", value->where, row->name);
    lists->count = map ? value->count : 1;
    lists->list = NEW_ARRAY(arena, lists->count, struct token_list);
    for (int i = 0; i < lists->count; i++) {
        lists->list[i].module = map ? value->key[i] : NULL;
        TRY(parse_ids(arena, row, map ? value->item[i] : value, &lists->list[i], err));
    }
    return OK;
}

void token_lists_print(struct text *out, const struct setting *row, const void *field)
{
    const struct token_lists *lists = field;
    const bool map = lists->where && lists->list[0].module;
    (void)row;
    text_add_string(out, !lists->where ? "null" : map ? "{" : "");
    for (int l = 0; l < lists->count; l++) {
        text_add_string(out, l ? ", " : "");
        if (map) {
            text_add_yaml(out, lists->list[l].module);
            text_add_string(out, ": ");
        }
        for (int i = 0; i < lists->list[l].count; i++)
            text_print(out, "%s%" PRId64, i ? ", " : "[", lists->list[l].id[i]);
        text_add_string(out, "]");
    }
    text_add_string(out, map ? "}" : "");
}

json_t *token_lists_json(const struct token_lists *lists)
{
    json_t *map = json_object(), *ids = NULL;
    for (int l = 0; l < lists->count; l++) {
        ids = json_array();
        for (int i = 0; i < lists->list[l].count; i++)
            json_array_append_new(ids, json_integer(lists->list[l].id[i]));
        if (lists->list[l].module)
            json_object_set_new(map, lists->list[l].module, ids);
    }
    if (lists->count && lists->list[0].module)
        return map;
    json_decref(map);
    return ids;
}

static bool same_ids(const struct token_list *a, const struct token_list *b)
{
    return a->count == b->count && memcmp(a->id, b->id, (size_t)a->count * sizeof *a->id) == 0;
}

static enum status fill_place(struct tensor *place, const struct token_list *list, const char *where, struct error *err)
{
    int32_t *row = place->data;
    memset(row, -1, tensor_bytes(place));
    for (int i = 0; i < list->count; i++) {
        if (list->id[i] < 0 || list->id[i] >= place->rows) {
            fail_with(err, BAD_CONFIG, "%s: token %" PRId64 " in a vocabulary of %" PRId64, "", where, list->id[i], place->rows);
            return cure_with(err, "ids go from 0 to %" PRId64, place->rows - 1);
        }
        if (row[list->id[i]] >= 0)
            return fail_with(err, BAD_CONFIG, "%s: token %" PRId64 " is named twice", "name every token once", where, list->id[i]);
        row[list->id[i]] = i;
    }
    return OK;
}

static enum status add_rows(struct tokens *tokens, struct arena *arena, struct parameters *parameters, const struct model *model,
                            const struct token_lists *lists, const struct token_list *list, const char *module, struct error *err)
{
    struct token_rows *rows = &tokens->rows[tokens->count++];
    const bool head = strcmp(module, model->head_site.module) == 0;
    const struct tensor *frozen = head ? model->head : model->embed;
    *rows = (struct token_rows){ .frozen = head ? model->head : model->embed, .id = list->id, .looked_up = !head, .head = head };
    rows->place = tensor_new(arena, "places of trained tokens", I32, WEIGHT, frozen->rows, 1, NEW_ARRAY(arena, frozen->rows, int32_t));
    TRY(fill_place(rows->place, list, lists->where, err));
    const char *key = arena_print(arena, "base_model.model.%s.token_adapter.trainable_tokens_delta", module);
    rows->value = parameters_add(parameters, key, list->count, frozen->cols);
    return OK;
}

enum status tokens_attach(struct tokens *tokens, struct arena *arena, struct parameters *parameters, const struct model *model, const struct token_lists *lists,
                          const struct names *save, struct error *err)
{
    const char *embed = arena_text(arena, model->embed->name, strlen(model->embed->name) - strlen(".weight")), *head = model->head_site.module;
    const struct token_list *of[2] = { NULL, NULL }; /* the embedding's, the head's */
    for (int i = 0; i < lists->count; i++) {
        const struct token_list *list = &lists->list[i];
        const bool at_head = list->module && name_ends_in(head, list->module);
        const char *module = at_head ? head : embed;
        if (list->module && !name_ends_in(module, list->module)) {
            fail_with(err, BAD_CONFIG, "%s: '%.200s' is neither the embedding nor the head", "", lists->where, list->module);
            return cure_with(err, "name %s or %s", embed, head);
        }
        if (of[at_head])
            return fail_with(err, BAD_CONFIG, "%s: %s is named twice", "name it once", lists->where, module);
        if (names_save(save, module))
            return fail_with(err, BAD_CONFIG, "%s: %s is in modules_to_save too, where all its rows are trained", "keep one of the two", lists->where, module);
        of[at_head] = list;
    }
    const bool follows = model->head == model->embed && of[0] && (!of[1] || same_ids(of[0], of[1]));
    if ((of[1] || follows) && model->head_bias)
        return fail_with(err, BAD_CONFIG, "%s: %s has a bias, which PEFT 0.21 leaves out as soon as rows of it are trained", "put a LoRA on it: target_modules",
                         lists->where, head);
    if (follows && names_save(save, head))
        return fail_with(err, BAD_CONFIG, "%s: %s follows the embedding, but is in modules_to_save", "keep one of the two", lists->where, head);
    if (of[0])
        TRY(add_rows(tokens, arena, parameters, model, lists, of[0], embed, err));
    if (of[0] && follows)
        tokens->rows[0].head = true;
    else if (of[1])
        TRY(add_rows(tokens, arena, parameters, model, lists, of[1], head, err));
    return OK;
}

/* The mean of rows of a frozen table, each sum in the order of the list. */
static void mean_row(float *out, const struct tensor *frozen, const char *stored, const int32_t *from, int64_t count, struct arena *scratch)
{
    double *sum = NEW_ARRAY(scratch, frozen->cols, double);
    float *row = NEW_ARRAY(scratch, frozen->cols, float);
    for (int64_t i = 0; i < count; i++) {
        widen(row, stored + (size_t)(from[i] * frozen->cols) * dtype_bytes(frozen->dtype), frozen->dtype, frozen->cols);
        for (int64_t c = 0; c < frozen->cols; c++)
            sum[c] += (double)row[c];
    }
    for (int64_t c = 0; c < frozen->cols; c++)
        out[c] = (float)(sum[c] / (double)count);
}

static void start_rows(const struct token_rows *rows, const struct adapter *adapter, const struct model *model, struct arena *scratch)
{
    const struct tensor *frozen = rows->frozen;
    const char *stored = tensor_values(model->device, scratch, frozen);
    float *values = arena_array(scratch, (size_t)(rows->value->rows * frozen->cols), sizeof *values);
    for (int64_t k = 0; k < rows->value->rows; k++) {
        const int32_t own = (int32_t)rows->id[k], *from = &own;
        int64_t count = 1;
        for (int i = 0; i < adapter->row_starts; i++)
            if (adapter->row_start[i].id == own) {
                from = adapter->row_start[i].from;
                count = adapter->row_start[i].count;
            }
        mean_row(values + k * frozen->cols, frozen, stored, from, count, scratch);
    }
    tensor_upload(adapter->parameters->device, rows->value, values);
}

void tokens_start(const struct tokens *tokens, const struct adapter *adapter, const struct model *model)
{
    for (int i = 0; i < tokens->count; i++) {
        struct arena *scratch = arena_create_like(adapter->parameters->arena);
        start_rows(&tokens->rows[i], adapter, model, scratch);
        arena_destroy(scratch);
    }
}

struct tensor *tokens_looked_up(const struct tokens *tokens, struct pass *p, struct tensor *h)
{
    for (int i = 0; i < tokens->count; i++)
        if (tokens->rows[i].looked_up)
            h = replace_rows(p->g, h, p->ids, tokens->rows[i].place, tokens->rows[i].value, p->model->embed_scale, p->model->config.padding);
    return h;
}

/* A table kept in a narrower dtype than computation would round the rows that take their place in it. */
struct tensor *tokens_head(const struct tokens *tokens, struct pass *p, struct tensor *w)
{
    for (int i = 0; i < tokens->count; i++)
        if (tokens->rows[i].head)
            w = replace_rows(p->g, cast(p->g, w, p->model->dtype), NULL, tokens->rows[i].place, tokens->rows[i].value, 1, NO_PADDING);
    return w;
}
