/* The rows of LoRA's settings under PEFT's names, and the parsers of the values that are no plain scalars. */
#include "adapters/lora_settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_ITEMS = 65536, MOST_ITERATIONS = 1000 };

static const char *where_of(struct arena *arena, const struct setting *row, const struct yaml *value)
{
    return arena_print(arena, "%s: adapter.%s", value->where, row->name);
}

static enum status is_no(const struct setting *row, const struct yaml *value, const char *what, struct error *err)
{
    const char *shown = value->kind == YAML_LIST ? "a list" : value->kind == YAML_MAP ? "a map" : value->text;
    fail_with(err, BAD_CONFIG, "%s: adapter.%s: '%.200s' is not %s", "", value->where, row->name, shown, what);
    return cure_with(err, "%s must be %s", row->name, what);
}

static bool is_text(const struct yaml *value)
{
    double number;
    return value->kind == YAML_SCALAR && *value->text && (value->quoted || (!yaml_is_null(value) && !text_to_real(value->text, &number)));
}

static enum status parse_list(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct names *names = field;
    (void)folder;
    *names = (struct names){ 0 };
    if (!value)
        return OK;
    if (value->kind != YAML_LIST || value->count > MOST_ITEMS)
        return is_no(row, value, "a list of names", err);
    names->where = where_of(arena, row, value);
    names->name = NEW_ARRAY(arena, value->count, const char *);
    for (int i = 0; i < value->count; i++) {
        if (!is_text(value->item[i]))
            return is_no(row, value->item[i], "a list of names", err);
        names->name[names->count++] = value->item[i]->text;
    }
    return OK;
}

static enum status parse_names(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct names *names = field;
    if (!value || value->kind == YAML_LIST)
        return parse_list(arena, row, value, field, folder, err);
    if (!is_text(value))
        return is_no(row, value, "a list of names or a regular expression", err);
    *names = (struct names){ .where = where_of(arena, row, value), .text = value->text };
    return OK;
}

/* PEFT takes these for regular expressions; plain parts of names are all that anybody writes there. */
static enum status parse_parts(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
    const struct names *names = field;
    TRY(parse_names(arena, row, value, field, folder, err));
    for (int i = 0; i < names->count; i++)
        if (names->name[i][strspn(names->name[i], plain)])
            return is_no(row, value->item[i], "a part of a name in plain letters", err);
    return names->text && names->text[strspn(names->text, plain)] ? is_no(row, value, "a part of a name in plain letters", err) : OK;
}

static enum status parse_layers(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct layer_list *layers = field;
    (void)folder;
    *layers = (struct layer_list){ 0 };
    if (!value)
        return OK;
    const bool single = value->kind != YAML_LIST;
    const int count = single ? 1 : value->count;
    if (value->kind == YAML_MAP || count > MOST_ITEMS)
        return is_no(row, value, "a layer number or a list of them", err);
    layers->where = where_of(arena, row, value);
    layers->layer = NEW_ARRAY(arena, count, int64_t);
    for (int i = 0; i < count; i++) {
        const struct yaml *item = single ? value : value->item[i];
        if (item->kind != YAML_SCALAR || item->quoted || !text_to_int(item->text, &layers->layer[i]) || layers->layer[i] < 0)
            return is_no(row, item, "a layer number or a list of them", err);
    }
    layers->count = count;
    return OK;
}

static enum status parse_map(struct arena *arena, const struct setting *row, const struct yaml *value, struct number_map *map, struct error *err)
{
    *map = (struct number_map){ 0 };
    if (!value)
        return OK;
    if (value->kind != YAML_MAP || value->count > MOST_ITEMS)
        return is_no(row, value, "a map from names to numbers", err);
    map->where = where_of(arena, row, value);
    map->key = value->key;
    map->value = NEW_ARRAY(arena, value->count, double);
    map->count = value->count;
    for (int i = 0; i < value->count; i++)
        if (value->item[i]->kind != YAML_SCALAR || value->item[i]->quoted || !text_to_real(value->item[i]->text, &map->value[i]))
            return is_no(row, value->item[i], "a map from names to numbers", err);
    return OK;
}

static enum status out_of_range(const struct setting *row, const struct yaml *value, int i, const char *what, double min, double max, struct error *err)
{
    fail_with(err, BAD_CONFIG, "%s: adapter.%s: %s for '%.200s' %s", "", value->item[i]->where, row->name, value->item[i]->text, value->key[i], what);
    return cure_with(err, "the numbers of %s must lie between %.15g and %.15g", row->name, min, max);
}

static enum status parse_ranks(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct number_map *map = field;
    (void)folder;
    TRY(parse_map(arena, row, value, map, err));
    for (int i = 0; i < map->count; i++)
        if (map->value[i] != floor(map->value[i]) || map->value[i] < 1 || map->value[i] > HIGHEST_RANK)
            return out_of_range(row, value, i, "is no rank", 1, HIGHEST_RANK, err);
    return OK;
}

static enum status parse_alphas(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct number_map *map = field;
    (void)folder;
    TRY(parse_map(arena, row, value, map, err));
    for (int i = 0; i < map->count; i++)
        if (map->value[i] < 0 || map->value[i] > HIGHEST_ALPHA)
            return out_of_range(row, value, i, "is out of range", 0, HIGHEST_ALPHA, err);
    return OK;
}

static const struct {
    const char *spelling;
    bool is_word; /* a bool otherwise, which must not stand in quotes */
} starts[] = {
    [START_DEFAULT] = { "true", false },         [START_RANDOM] = { "false", false }, [START_GAUSSIAN] = { "gaussian", true },
    [START_ORTHOGONAL] = { "orthogonal", true }, [START_PISSA] = { "pissa", true },
};

/* In front of the number of iterations. */
static const char iterated[] = "pissa_niter_";

static enum status parse_start(struct arena *arena, const struct setting *row, const struct yaml *value, void *field, const char *folder, struct error *err)
{
    struct start *start = field;
    int64_t iterations;
    (void)arena;
    (void)folder;
    *start = (struct start){ .kind = START_DEFAULT };
    if (!value)
        return OK;
    for (size_t i = 0; i < COUNT(starts); i++)
        if (value->kind == YAML_SCALAR && strcmp(value->text, starts[i].spelling) == 0 && (starts[i].is_word || !value->quoted)) {
            start->kind = (int)i;
            return OK;
        }
    if (value->kind == YAML_SCALAR && strncmp(value->text, iterated, strlen(iterated)) == 0 && text_to_int(value->text + strlen(iterated), &iterations) &&
        iterations >= 1 && iterations <= MOST_ITERATIONS) {
        *start = (struct start){ .kind = START_PISSA, .iterations = (int)iterations };
        return OK;
    }
    return is_no(row, value, "true, false, gaussian, orthogonal, pissa or pissa_niter_K with K from 1 to 1000", err);
}

static void add_list(struct text *out, const struct names *names)
{
    text_add_string(out, "[");
    for (int i = 0; i < names->count; i++) {
        text_add_string(out, i ? ", " : "");
        text_add_yaml(out, names->name[i]);
    }
    text_add_string(out, "]");
}

static void print_names(struct text *out, const struct setting *row, const void *field)
{
    const struct names *names = field;
    (void)row;
    if (names->text)
        text_add_yaml(out, names->text);
    else if (names->where)
        add_list(out, names);
    else
        text_add_string(out, "null");
}

static void print_layers(struct text *out, const struct setting *row, const void *field)
{
    const struct layer_list *layers = field;
    (void)row;
    if (!layers->where) {
        text_add_string(out, "null");
        return;
    }
    text_add_string(out, "[");
    for (int i = 0; i < layers->count; i++)
        text_print(out, "%s%" PRId64, i ? ", " : "", layers->layer[i]);
    text_add_string(out, "]");
}

/* Fifteen digits where they are enough. */
static void add_real(struct text *out, double value)
{
    char digits[40];
    double again;
    snprintf(digits, sizeof digits, "%.15g", value);
    if (!text_to_real(digits, &again) || again != value)
        snprintf(digits, sizeof digits, "%.17g", value);
    text_add_string(out, digits);
}

static void print_map(struct text *out, const struct setting *row, const void *field)
{
    const struct number_map *map = field;
    (void)row;
    text_add_string(out, "{");
    for (int i = 0; i < map->count; i++) {
        text_add_string(out, i ? ", " : "");
        text_add_yaml(out, map->key[i]);
        text_add_string(out, ": ");
        add_real(out, map->value[i]);
    }
    text_add_string(out, "}");
}

static void print_start(struct text *out, const struct setting *row, const void *field)
{
    const struct start *start = field;
    (void)row;
    if (start->iterations)
        text_print(out, "%s%d", iterated, start->iterations);
    else
        text_add_string(out, starts[start->kind].spelling);
}

const char *const lora_bias_names[] = { [BIAS_NONE] = "none", [BIAS_ALL] = "all", [BIAS_LORA_ONLY] = "lora_only", NULL };

#define AT(field) offsetof(struct lora_settings, field)

/* clang-format off */
const struct setting lora_settings[LORA_SETTINGS] = {
    { .name = "r", .type = SETTING_INT, .offset = AT(rank), .fallback = "8", .min = 1, .max = HIGHEST_RANK,
      .help = "rank of the update" },
    { .name = "lora_alpha", .type = SETTING_REAL, .offset = AT(alpha), .fallback = "8", .max = HIGHEST_ALPHA,
      .help = "the update is scaled by lora_alpha / r" },
    { .name = "lora_dropout", .type = SETTING_REAL, .offset = AT(dropout), .fallback = "0", .max = 0.999,
      .help = "probability of dropping an element of the update's input, in training only" },
    { .name = "target_modules", .type = SETTING_OWN, .offset = AT(rules.target), .parse = parse_names, .print = print_names,
      .help = "which linear layers, and embed_tokens: a list of names or ends of names, a regular expression for the whole name, or all-linear; absent: PEFT's default for the family" },
    { .name = "exclude_modules", .type = SETTING_OWN, .offset = AT(rules.exclude), .parse = parse_names, .print = print_names,
      .help = "layers to leave out, as a list or a regular expression" },
    { .name = "layers_to_transform", .type = SETTING_OWN, .offset = AT(rules.layers), .parse = parse_layers, .print = print_layers,
      .help = "only the layers of these numbers (one, or a list); absent: all" },
    { .name = "layers_pattern", .type = SETTING_OWN, .offset = AT(rules.containers), .parse = parse_parts, .print = print_names,
      .help = "the part of a name that the layer's number follows (layers, h), or a list of them; absent: any" },
    { .name = "rank_pattern", .type = SETTING_OWN, .offset = AT(rank_pattern), .fallback = "{}", .parse = parse_ranks, .print = print_map,
      .help = "other ranks: a map from regular expressions for the end of a layer's name to ranks" },
    { .name = "alpha_pattern", .type = SETTING_OWN, .offset = AT(alpha_pattern), .fallback = "{}", .parse = parse_alphas, .print = print_map,
      .help = "other values of lora_alpha, as in rank_pattern" },
    { .name = "modules_to_save", .type = SETTING_OWN, .offset = AT(rules.save), .parse = parse_list, .print = print_names,
      .help = "modules trained and saved whole, as a list of ends of names (lm_head, embed_tokens, ...)" },
    { .name = "trainable_token_indices", .type = SETTING_OWN, .offset = AT(tokens), .parse = token_lists_parse, .print = token_lists_print,
      .help = "tokens whose row of the embedding is trained (a tied head follows): a list of ids, or a map from embed_tokens and lm_head to such lists" },
    { .name = "bias", .type = SETTING_CHOICE, .offset = AT(bias), .fallback = "none", .choices = lora_bias_names,
      .help = "which biases of the model are trained too: none, all, or those of the targeted layers" },
    { .name = "use_rslora", .type = SETTING_BOOL, .offset = AT(rank_stabilised), .fallback = "false",
      .help = "scale by lora_alpha / sqrt(r) instead" },
    { .name = "use_dora", .type = SETTING_BOOL, .offset = AT(use_dora), .fallback = "false",
      .help = "DoRA: the update changes the direction of each output's weights, and a trained magnitude their length" },
    { .name = "lora_bias", .type = SETTING_BOOL, .offset = AT(lora_bias), .fallback = "false",
      .help = "B has a trained bias, scaled like the update" },
    { .name = "init_lora_weights", .type = SETTING_OWN, .offset = AT(start), .fallback = "true", .parse = parse_start, .print = print_start,
      .help = "start: true (A uniform, B zero), gaussian (A normal, B zero), orthogonal (their product zero), pissa (the principal part of the layer's weights, which is taken out of them), pissa_niter_K (nearly that, by K iterations), false (both random)" },
    { .name = "fan_in_fan_out", .type = SETTING_BOOL, .offset = AT(fan_in_fan_out), .fallback = "false",
      .help = "only for gpt2, whose files store linear layers as [in, out]; there either way says the same" },
};
/* clang-format on */
