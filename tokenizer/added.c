/* The strings of one kind form a trie; the longest match at the leftmost place wins, and the search goes on behind it. */
#include "tokenizer/added.h"

#include <inttypes.h>
#include <string.h>

enum { MOST_ADDED = 1 << 20 };

struct node {
    int32_t child, sibling; /* positions, 0 = none */
    int32_t id;             /* a token ends here, or -1 */
    unsigned char byte;
};

struct trie {
    struct arena *arena;
    struct node *node; /* node[0] is the root */
    int32_t count, capacity;
    int32_t first[256]; /* children of the root, which are asked at every byte of the text */
};

static struct trie *trie_new(struct arena *arena)
{
    struct trie *trie = NEW(arena, struct trie);
    trie->arena = arena;
    trie->capacity = 64;
    trie->node = NEW_ARRAY(arena, trie->capacity, struct node);
    trie->node[trie->count++].id = -1;
    return trie;
}

static int32_t find_child(const struct trie *trie, int32_t parent, unsigned char byte)
{
    if (parent == 0)
        return trie->first[byte];
    int32_t child = trie->node[parent].child;
    while (child && trie->node[child].byte != byte)
        child = trie->node[child].sibling;
    return child;
}

static int32_t add_child(struct trie *trie, int32_t parent, unsigned char byte)
{
    if (trie->count == trie->capacity) {
        trie->node = arena_grow(trie->arena, trie->node, (size_t)trie->count, (size_t)trie->capacity * 2, sizeof *trie->node);
        trie->capacity *= 2;
    }
    int32_t child = trie->count++;
    trie->node[child] = (struct node){ .id = -1, .byte = byte, .sibling = trie->node[parent].child };
    trie->node[parent].child = child;
    if (parent == 0)
        trie->first[byte] = child;
    return child;
}

/* The first token of a text keeps it: two tokens may be the same once normalized. */
static void trie_add(struct trie *trie, const char *bytes, uint32_t length, int32_t id)
{
    int32_t at = 0;
    for (uint32_t i = 0; i < length; i++) {
        int32_t child = find_child(trie, at, (unsigned char)bytes[i]);
        at = child ? child : add_child(trie, at, (unsigned char)bytes[i]);
    }
    if (at != 0 && trie->node[at].id < 0)
        trie->node[at].id = id;
}

/* The longest token that begins at bytes[0]; its length, or 0. */
static uint32_t longest(const struct trie *trie, const char *bytes, uint32_t length, int32_t *id)
{
    uint32_t found = 0;
    int32_t at = 0;
    for (uint32_t i = 0; i < length && (at = find_child(trie, at, (unsigned char)bytes[i])); i++)
        if (trie->node[at].id >= 0) {
            found = i + 1;
            *id = trie->node[at].id;
        }
    return found;
}

/* The character that ends at `end`. */
static uint32_t code_before(const char *bytes, uint32_t begin, uint32_t end, uint32_t *start)
{
    uint32_t code;
    *start = end - 1;
    while (*start > begin && ((unsigned char)bytes[*start] & 0xC0) == 0x80)
        --*start;
    utf8_decode(bytes + *start, end - *start, &code);
    return code;
}

static bool stands_alone(const char *bytes, struct piece piece, uint32_t begin, uint32_t end)
{
    uint32_t start, code;
    if (begin > piece.begin && is_word(code_before(bytes, piece.begin, begin, &start)))
        return false;
    if (end == piece.end)
        return true;
    utf8_decode(bytes + end, piece.end - end, &code);
    return !is_word(code);
}

/* Cuts one piece: `next` gets what lies between tokens, and the tokens. */
static void cut_piece(const struct added *added, const struct trie *trie, const struct passage *now, struct piece piece, struct passage *out)
{
    const char *bytes = now->bytes;
    uint32_t behind = piece.begin; /* of the last token, stripped space included */
    for (uint32_t at = piece.begin; at < piece.end;) {
        int32_t id = -1;
        uint32_t length = trie->first[(unsigned char)bytes[at]] ? longest(trie, bytes + at, piece.end - at, &id) : 0;
        if (length == 0) {
            at++;
            continue;
        }
        uint32_t begin = at, end = at + length, start;
        at = end;
        const struct added_flags *flags = added_at(added, id);
        if (flags->single_word && !stands_alone(bytes, piece, begin, end))
            continue;
        while (flags->lstrip && begin > behind && is_white_space(code_before(bytes, behind, begin, &start)))
            begin = start;
        while (flags->rstrip && end < piece.end) {
            uint32_t code, size = (uint32_t)utf8_decode(bytes + end, piece.end - end, &code);
            if (!is_white_space(code))
                break;
            end += size;
        }
        if (begin < behind) /* the token before stripped the space this one begins with */
            begin = behind < end ? behind : end;
        passage_add_piece(out, (struct piece){ behind < begin ? behind : begin, begin, -1, { 0, 0 } });
        struct span from = begin < end ? passage_span(now, begin, end) : passage_span(now, begin - 1, begin);
        passage_add_piece(out, (struct piece){ begin, end, id, from });
        behind = end; /* as in the Python package, which finds tokens in space already stripped, and goes on behind the last one found */
    }
    passage_add_piece(out, (struct piece){ behind, piece.end, -1, { 0, 0 } });
}

void added_cut(const struct added *added, const struct trie *trie, struct passages *passages)
{
    struct passage *now = passages->now, *next = passages->next;
    if (trie->count == 1)
        return;
    next->count = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        if (now->piece[i].id >= 0)
            passage_add_piece(next, now->piece[i]);
        else
            cut_piece(added, trie, now, now->piece[i], next);
    }
    passages_swap_pieces(passages);
}

const struct added_flags *added_at(const struct added *added, int64_t id)
{
    const struct entry *entry = vocabulary_at(&added->vocabulary, id);
    return entry ? &added->flags[entry - added->vocabulary.entry] : NULL;
}

const struct reading *added_reading(const struct added *added, int64_t id)
{
    const struct entry *entry = vocabulary_at(&added->vocabulary, id);
    return entry ? &added->reading[entry - added->vocabulary.entry] : NULL;
}

/* The id the Python package gives: the model's, or one behind all of the model's and of the tokens added so far. */
static int64_t id_for(const struct added *added, const struct vocabulary *model, const char *bytes, uint32_t length)
{
    int32_t known = vocabulary_find(model, bytes, length);
    if (known >= 0)
        return known;
    return added->vocabulary.size > (int64_t)model->count ? added->vocabulary.size : (int64_t)model->count;
}

static enum status read_token(struct added *added, struct arena *arena, const char *where, const json_t *json, const struct vocabulary *model,
                              struct error *err)
{
    struct added_flags flags = { .normalized = true };
    const char *content = NULL;
    int64_t remark = 0;
    if (!json_is_object(json))
        return fail_with(err, BAD_FILE, "%s: not an object", REPAIR, where);
    TRY(component_keys(json, where, "id content single_word lstrip rstrip normalized special", err));
    TRY(json_get_int(json, where, "id", 0, LARGEST_ID, &remark, err));
    TRY(json_get_text(json, where, "content", &content, err));
    TRY(json_get_bool(json, where, "single_word", &flags.single_word, err));
    TRY(json_get_bool(json, where, "lstrip", &flags.lstrip, err));
    TRY(json_get_bool(json, where, "rstrip", &flags.rstrip, err));
    TRY(json_get_bool(json, where, "normalized", &flags.normalized, err));
    TRY(json_get_bool(json, where, "special", &flags.special, err));
    if (!content)
        return fail_with(err, BAD_FILE, "%s: 'content' is missing", REPAIR, where);
    uint32_t length = (uint32_t)strlen(content);
    if (length == 0)
        return OK; /* the Python package passes over it, too */
    int32_t twin = vocabulary_find(&added->vocabulary, content, length);
    if (twin >= 0 && memcmp(added_at(added, twin), &flags, sizeof flags) == 0)
        return OK;
    if (twin >= 0)
        return fail_with(err, BAD_FILE, "%s: '%.100s' is there twice, with different options", "remove one of the two", where, content);
    int64_t id = id_for(added, model, content, length);
    if (id > LARGEST_ID)
        return fail_with(err, BAD_FILE, "%s: '%.100s' would get id %" PRId64, "graft takes ids below 2^24", where, content, id);
    added->flags[added->vocabulary.count] = flags;
    vocabulary_add(&added->vocabulary, arena_text(arena, content, length), length, (int32_t)id);
    return OK;
}

/* What the normalizer makes of a token; it cuts nothing, so that is one piece, or none. */
static enum status normalize_token(const struct entry *entry, struct arena *arena, const struct stages *normalizer, struct reading *reading, struct error *err)
{
    struct passages passages;
    passages_begin(&passages, arena, entry->bytes, entry->length);
    TRY(stages_run(normalizer, &passages, err));
    const struct passage *now = passages.now;
    *reading = (struct reading){ .bytes = "" };
    if (now->count == 0)
        return OK;
    reading->bytes = now->bytes + now->piece[0].begin;
    reading->length = now->piece[0].end - now->piece[0].begin;
    return OK;
}

/* Special tokens come first into the tries: of two that are the same once normalized, the first wins. */
static enum status build_tries(struct added *added, struct arena *arena, const struct stages *normalizer, struct error *err)
{
    added->raw = trie_new(arena);
    added->normalized = trie_new(arena);
    for (int special = 1; special >= 0; special--)
        for (uint32_t i = 0; i < added->vocabulary.count; i++) {
            const struct entry *entry = &added->vocabulary.entry[i];
            struct reading *reading = &added->reading[i];
            if (added->flags[i].special != special)
                continue;
            *reading = (struct reading){ entry->bytes, entry->length, false };
            if (added->flags[i].normalized)
                TRY(normalize_token(entry, arena, normalizer, reading, err));
            if (reading->length == 0)
                return fail_with(err, BAD_FILE, "%s: added token '%.100s' is nothing once normalized, so it would be found between all characters",
                                 "set \"normalized\": false for it in added_tokens", normalizer->path, entry->bytes);
            trie_add(added->flags[i].normalized ? added->normalized : added->raw, reading->bytes, reading->length, entry->id);
            const struct added_flags *same = added_at(added, vocabulary_find(&added->vocabulary, reading->bytes, reading->length));
            reading->skipped = same && same->special;
        }
    return OK;
}

enum status added_read(struct added *added, struct arena *arena, const char *path, const json_t *json, const struct vocabulary *model,
                       const struct stages *normalizer, struct error *err)
{
    size_t count = json_array_size(json);
    if (json && !json_is_null(json) && !json_is_array(json))
        return fail_with(err, BAD_FILE, "%s: added_tokens is not a list", REPAIR, path);
    if (count > MOST_ADDED)
        return fail_with(err, BAD_FILE, "%s: %zu added tokens", "graft takes up to 1,048,576", path, count);
    vocabulary_init(&added->vocabulary, arena, (uint32_t)count);
    added->flags = NEW_ARRAY(arena, count, struct added_flags);
    added->reading = NEW_ARRAY(arena, count, struct reading);
    for (size_t i = 0; i < count; i++)
        TRY(read_token(added, arena, arena_print(arena, "%s: added_tokens[%zu]", path, i), json_array_get(json, i), model, err));
    return build_tries(added, arena, normalizer, err);
}
