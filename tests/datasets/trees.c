/* Format oasst: the conversations of a tree equal those of a plain recursive reading of the rules, on made-up trees and on real ones; all forms of a file give
 * the same; and what is no tree is refused where it stands.
 */
#include "datasets/dataset.h"
#include "tests/datasets/world.h"

#include "common/random.h"

/* The rules again, recursively over the JSON itself. */
struct reference {
    struct thread_settings settings;
    struct text out; /* a line per conversation */
    const json_t *path[64];
    int depth;
};

static bool truth(const json_t *message, const char *key)
{
    return json_is_true(json_object_get(message, key));
}

static int64_t rank_of(const json_t *message)
{
    const json_t *rank = json_object_get(message, "rank");
    return json_is_integer(rank) ? json_integer_value(rank) : INT64_MAX;
}

static bool asks(const json_t *message)
{
    return strcmp(json_string_value(json_object_get(message, "role")), "prompter") == 0;
}

static bool allowed(const struct reference *r, const json_t *message)
{
    const json_t *quality = json_object_get(json_object_get(json_object_get(message, "labels"), "quality"), "value");
    if (truth(message, "deleted") || truth(message, "synthetic"))
        return false;
    return asks(message) || !quality || json_number_value(quality) >= r->settings.min_quality;
}

static void emit(struct reference *r)
{
    int depth = r->depth;
    while (depth > 0 && asks(r->path[depth - 1]))
        depth--;
    for (int i = 0; i < depth; i++)
        text_print(&r->out, "<|%s|>%s%s", asks(r->path[i]) ? "prompter" : "assistant", json_string_value(json_object_get(r->path[i], "text")),
                   i + 1 < depth ? "</s>" : "\n");
}

static void all_paths(struct reference *r, const json_t *message, size_t number, size_t siblings)
{
    const json_t *replies = json_object_get(message, "replies");
    const bool ranks = r->settings.mode == TOP_K && !asks(message);
    if (!allowed(r, message) || (ranks && (rank_of(message) == INT64_MAX ? siblings > 1 : rank_of(message) >= r->settings.top_k)))
        return;
    r->path[r->depth++] = message;
    if (json_array_size(replies) == 0 && r->depth > 1 && (!asks(message) || number == 0))
        emit(r);
    for (size_t i = 0; i < json_array_size(replies); i++)
        all_paths(r, json_array_get(replies, i), i, json_array_size(replies));
    r->depth--;
}

static void best_path(struct reference *r, const json_t *message)
{
    while (message) {
        const json_t *replies = json_object_get(message, "replies"), *best = NULL;
        r->path[r->depth++] = message;
        for (size_t i = 0; i < json_array_size(replies); i++) {
            const json_t *reply = json_array_get(replies, i);
            if (allowed(r, reply) && (!best || rank_of(reply) < rank_of(best)))
                best = reply;
        }
        message = best;
    }
    if (r->depth > 1)
        emit(r);
    r->depth = 0;
}

static void read_reference(struct reference *r, const json_t *tree)
{
    const json_t *root = json_object_get(tree, "prompt");
    const char *lang = json_string_value(json_object_get(root, "lang"));
    bool speaks = r->settings.langs == 0;
    for (int i = 0; i < r->settings.langs; i++)
        speaks |= strcmp(lang, r->settings.lang[i]) == 0;
    if (!speaks || strcmp(json_string_value(json_object_get(tree, "tree_state")), "ready_for_export") != 0)
        return;
    if (r->settings.review_result && !truth(root, "review_result"))
        return;
    if (r->settings.mode != BEST_PATH)
        all_paths(r, root, 0, 1);
    else if (allowed(r, root))
        best_path(r, root);
}

/* What the format made of a file, a line per conversation. */
static const char *read_threads(struct world *w, const char *path, const struct thread_settings *threads)
{
    struct text out = text_new(w->scratch->arena);
    w->source.path = path;
    w->source.format = "oasst";
    w->source.threads = threads;
    w->settings.max_length = 1 << 20;
    assert_fine(w->scratch, dataset_read(&w->dataset, w->scratch->arena, &w->source, 1, &w->settings, w->tokenizer, w->eos, w->vocab, &w->scratch->err));
    text_add(&out, "", 0);
    for (int64_t i = 0; i < w->dataset.count; i++)
        text_print(&out, "%s%s\n", w->dataset.sequence[i].prompt, w->dataset.sequence[i].response);
    return out.bytes;
}

static struct json_lines *open_lines(struct scratch *s, const char *path)
{
    struct json_lines *lines;
    assert_fine(s, json_lines_open(&lines, s->arena, path, &s->err));
    return lines;
}

static const char *expected(struct scratch *s, const char *path, const struct thread_settings *threads)
{
    struct json_lines *lines = open_lines(s, path);
    struct reference r = { .settings = *threads, .out = text_new(s->arena) };
    json_t *value;
    int64_t line;
    text_add(&r.out, "", 0);
    while (json_lines_next(lines, &value, &line, &s->err) == OK && value) {
        read_reference(&r, value);
        json_decref(value);
    }
    json_lines_close(lines);
    return r.out.bytes;
}

static const char *en[] = { "en", "pt-BR" };
static const struct thread_settings choices[] = {
    { .mode = ALL_PATHS, .review_result = true },
    { .mode = ALL_PATHS },
    { .mode = TOP_K, .top_k = 1, .review_result = true },
    { .mode = TOP_K, .top_k = 2 },
    { .mode = BEST_PATH, .review_result = true },
    { .mode = BEST_PATH, .min_quality = 0.5 },
    { .mode = ALL_PATHS, .min_quality = 0.5, .lang = en, .langs = 2 },
};

struct maker {
    struct text text;
    uint64_t seed, draw;
    int messages;
};

static bool chance(struct maker *m, uint64_t of)
{
    return random_below(m->seed, 1, m->draw++, of) == 0;
}

static void make_message(struct maker *m, int depth)
{
    const int number = m->messages++;
    text_print(&m->text, "{\"message_id\": \"m%d-%d\", \"text\": \"text %d\", \"role\": \"%s\", \"lang\": \"%s\", \"review_result\": %s, \"deleted\": %s, ",
               (int)m->seed, number, number, depth % 2 ? "assistant" : "prompter",
               chance(m, 3)   ? "en"
               : chance(m, 2) ? "pt-BR"
                              : "de",
               chance(m, 6) ? "null" : "true", chance(m, 12) ? "true" : "false");
    text_print(&m->text, "\"synthetic\": %s, \"rank\": ", chance(m, 15) ? "true" : "false");
    text_print(&m->text, chance(m, 4) ? "null" : "%d", (int)random_below(m->seed, 2, m->draw++, 4));
    if (chance(m, 2))
        text_print(&m->text, ", \"labels\": {\"quality\": {\"value\": 0.%d, \"count\": 3}}", (int)random_below(m->seed, 3, m->draw++, 10));
    const int replies = depth > 6 ? 0 : (int)random_below(m->seed, 4, m->draw++, 4);
    text_add_string(&m->text, ", \"replies\": [");
    for (int i = 0; i < replies; i++) {
        text_add_string(&m->text, i ? ", " : "");
        make_message(m, depth + 1);
    }
    text_add_string(&m->text, "]}");
}

static const char *make_file(struct scratch *s, uint64_t seed)
{
    struct maker m = { .text = text_new(s->arena), .seed = seed };
    for (int tree = 0; tree < 12; tree++) {
        text_print(&m.text, "{\"message_tree_id\": \"t%d\", \"tree_state\": \"%s\", \"prompt\": ", tree, chance(&m, 8) ? "growing" : "ready_for_export");
        make_message(&m, 0);
        text_add_string(&m.text, "}\n");
    }
    return scratch_write(s, "trees.jsonl", m.text.bytes, m.text.length);
}

static void made_up_trees_give_the_conversations_of_the_rules(void **state)
{
    int64_t conversations = 0;
    for (uint64_t seed = 1; seed <= 12; seed++)
        for (size_t c = 0; c < COUNT(choices); c++) {
            struct world w = world_new(*state);
            const char *path = make_file(*state, seed);
            assert_string_equal(read_threads(&w, path, &choices[c]), expected(*state, path, &choices[c]));
            assert_int_equal(w.dataset.records, 12);
            assert_int_equal(w.dataset.finding[OUT_OF_TURN].count, 0);
            conversations += w.dataset.count;
            tokenizer_close(w.tokenizer);
        }
    assert_true(conversations > 500);
}

/* Messages of a tree, a line each, naming their parents. */
static void flatten(struct text *out, const json_t *message, const char *parent, const char *tree_state)
{
    const char *id = json_string_value(json_object_get(message, "message_id")), *key;
    json_t *member;
    text_add_string(out, "{");
    json_object_foreach((json_t *)(uintptr_t)message, key, member)
    {
        char *value = json_dumps(member, JSON_ENCODE_ANY);
        if (strcmp(key, "replies") != 0 && strcmp(key, "parent_id") != 0)
            text_print(out, "\"%s\": %s, ", key, value);
        free(value);
    }
    text_print(out, parent ? "\"parent_id\": \"%s\", " : "\"parent_id\": null, ", parent);
    text_print(out, "\"tree_state\": \"%s\"}\n", tree_state);
    for (size_t i = 0; i < json_array_size(json_object_get(message, "replies")); i++)
        flatten(out, json_array_get(json_object_get(message, "replies"), i), id, tree_state);
}

static const char *flat_file(struct scratch *s, const char *path)
{
    struct json_lines *lines = open_lines(s, path);
    struct text out = text_new(s->arena);
    json_t *value;
    int64_t line;
    while (json_lines_next(lines, &value, &line, &s->err) == OK && value) {
        flatten(&out, json_object_get(value, "prompt"), NULL, json_string_value(json_object_get(value, "tree_state")));
        json_decref(value);
    }
    json_lines_close(lines);
    return scratch_write(s, "flat.jsonl", out.bytes, out.length);
}

static void flat_messages_give_what_nested_ones_give(void **state)
{
    for (size_t c = 0; c < COUNT(choices); c++) {
        struct world w = world_new(*state);
        const char *path = make_file(*state, 100 + c), *flat = flat_file(*state, path), *nested = read_threads(&w, path, &choices[c]);
        char hash[65];
        strcpy(hash, w.dataset.hash);
        assert_string_equal(read_threads(&w, flat, &choices[c]), nested);
        assert_string_equal(w.dataset.hash, hash);
        tokenizer_close(w.tokenizer);
    }
}

static void messages_by_key_are_read_with_their_lines(void **state)
{
    static const char json[] = "{\n  \"a\": {\"role\": \"prompter\", \"text\": \"Hi\", \"parent_id\": null},\n\n"
                               "  \"b\": {\"role\": \"assistant\",\n \"text\": \"Ho\", \"parent_id\": \"a\"}\n}\n";
    struct world w = world_new(*state);
    const char *path = scratch_write(*state, "keyed.json", json, sizeof json - 1);
    assert_string_equal(read_threads(&w, path, NULL), "<|prompter|>Hi</s><|assistant|>Ho\n");
    assert_holds(w.dataset.sequence[0].where, "keyed.json:4");
    tokenizer_close(w.tokenizer);
}

static void trees_are_limited_split_and_counted_whole(void **state)
{
    struct world w = world_new(*state);
    struct scratch *s = *state;
    struct dataset eval;
    const char *path = make_file(s, 7);
    w.source.limit = 3;
    read_threads(&w, path, NULL);
    const int64_t few = w.dataset.count;
    w.source.limit = 0;
    read_threads(&w, path, NULL);
    assert_true(few < w.dataset.count);
    struct dataset train = w.dataset;
    assert_fine(s, dataset_split(&train, &eval, s->arena, 0.3, 1, &s->err));
    assert_int_equal(train.count + eval.count, w.dataset.count);
    for (int64_t i = 0; i < eval.count; i++)
        for (int64_t j = 0; j < train.count; j++)
            assert_int_not_equal(eval.sequence[i].group, train.sequence[j].group);
    tokenizer_close(w.tokenizer);
}

#define A "{\"message_id\": \"a\", \"role\": \"prompter\", \"text\": \"Hi\"}\n"

static const struct {
    const char *json, *what;
} refused[] = {
    { A "{\"message_id\": \"b\", \"parent_id\": \"c\", \"role\": \"assistant\", \"text\": \"x\"}",
      "data.jsonl:2: message 'b' answers 'c', which is not in the file" },
    { A A, "data.jsonl:2: message 'a' is there already, at " },
    { A "{\"message_id\": \"b\", \"parent_id\": \"c\", \"role\": \"assistant\", \"text\": \"x\"}\n"
        "{\"message_id\": \"c\", \"parent_id\": \"b\", \"role\": \"prompter\", \"text\": \"x\"}",
      "data.jsonl:2: message 'b' answers an answer to itself" },
    { "{\"message_id\": \"a\", \"parent_id\": \"a\", \"role\": \"prompter\", \"text\": \"Hi\"}", "data.jsonl:1: message 'a' answers an answer to itself" },
    { "{\"message_id\": \"a\", \"role\": \"system\", \"text\": \"Hi\"}", "data.jsonl:1: role 'system'" },
    { "{\"message_id\": \"a\", \"role\": \"prompter\"}", "data.jsonl:1: 'text' is missing" },
    { "{\"message_id\": 5, \"role\": \"prompter\", \"text\": \"Hi\"}", "data.jsonl:1: 'message_id' is a number" },
    { "{\"role\": \"prompter\", \"text\": \"Hi\"}", "data.jsonl:1: 'message_id' is missing" },
    { "{\"prompt\": {\"message_id\": \"a\", \"parent_id\": \"b\", \"role\": \"prompter\", \"text\": \"Hi\"}}", "the first message of the tree answers 'b'" },
    { "{\"prompt\": {\"message_id\": \"a\", \"role\": \"prompter\", \"text\": \"Hi\", \"replies\": {}}}", "'replies' is an object" },
    { "{\"prompt\": {\"message_id\": \"a\", \"role\": \"prompter\", \"text\": \"Hi\", \"replies\": [5]}}", "a message is a number, not an object" },
    { "{\"prompt\": {\"message_id\": \"a\", \"role\": \"prompter\", \"text\": \"Hi\", \"replies\": [{\"message_id\": \"b\", \"parent_id\": \"c\", \"role\": "
      "\"assistant\", \"text\": \"Ho\"}]}}",
      "message 'b' stands among the replies to 'a' and names 'c' as its parent" },
    { "[5]", "the record is a number, not an object" },
    { "", "no records" },
};

static void what_is_no_tree_is_refused_where_it_stands(void **state)
{
    struct world w = world_new(*state);
    for (size_t i = 0; i < COUNT(refused); i++)
        assert_failed(*state, read_text(&w, "oasst", refused[i].json), BAD_DATA, refused[i].what);
    struct text chain = text_new(w.scratch->arena);
    text_add_string(&chain, "{\"message_id\": \"m0\", \"role\": \"prompter\", \"text\": \"x\"}\n");
    for (int i = 1; i < 1100; i++)
        text_print(&chain, "{\"message_id\": \"m%d\", \"parent_id\": \"m%d\", \"role\": \"%s\", \"text\": \"x\"}\n", i, i - 1,
                   i % 2 ? "assistant" : "prompter");
    assert_failed(*state, read_text(&w, "oasst", chain.bytes), BAD_DATA, "data.jsonl:1001: message 'm1000' has 1000 messages above it");
    tokenizer_close(w.tokenizer);
}

static void real_trees_give_the_conversations_of_the_rules(void **state)
{
    const char *path = SHARED_FOLDER "/data/oasst/en_100_tree.jsonl";
    if (access(path, R_OK) != 0) {
        print_message("no %s here\n", path);
        skip();
    }
    for (size_t c = 0; c < COUNT(choices); c++) {
        struct world w = world_new(*state);
        const char *threads = read_threads(&w, path, &choices[c]);
        char hash[65];
        assert_string_equal(threads, expected(*state, path, &choices[c]));
        assert_int_equal(w.dataset.records, 100);
        strcpy(hash, w.dataset.hash);
        read_threads(&w, SHARED_FOLDER "/data/oasst/en_100_tree.jsonl.gz", &choices[c]);
        assert_string_equal(w.dataset.hash, hash);
        tokenizer_close(w.tokenizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(made_up_trees_give_the_conversations_of_the_rules), SCRATCH_TEST(flat_messages_give_what_nested_ones_give),
        SCRATCH_TEST(messages_by_key_are_read_with_their_lines),         SCRATCH_TEST(trees_are_limited_split_and_counted_whole),
        SCRATCH_TEST(what_is_no_tree_is_refused_where_it_stands),        SCRATCH_TEST(real_trees_give_the_conversations_of_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
