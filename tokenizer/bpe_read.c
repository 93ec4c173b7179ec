/* Reading a BPE model: options, vocabulary, merges. Everything the merging relies on is checked here. */
#include "tokenizer/bpe_model.h"

#include <string.h>

enum { LONGEST_AFFIX = 1024 };

struct merges {
    struct arena *arena;
    struct merge *merge;
    size_t count, capacity;
};

static enum status read_options(struct bpe *bpe, struct arena *arena, const char *where, const json_t *model, struct error *err)
{
    double dropout = 0;
    const char *unknown = NULL, *prefix = "", *suffix = "";
    TRY(component_keys(model, where, "dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback ignore_merges vocab merges", err));
    TRY(json_get_real(model, where, "dropout", &dropout, err));
    if (dropout != 0)
        return fail_with(err, BAD_FILE, "%s: dropout %g is not supported", "set it to null: ids must not depend on chance", where, dropout);
    TRY(json_get_text(model, where, "unk_token", &unknown, err));
    TRY(json_get_text(model, where, "continuing_subword_prefix", &prefix, err));
    TRY(json_get_text(model, where, "end_of_word_suffix", &suffix, err));
    TRY(json_get_bool(model, where, "fuse_unk", &bpe->fuse_unknown, err));
    TRY(json_get_bool(model, where, "byte_fallback", &bpe->byte_fallback, err));
    TRY(json_get_bool(model, where, "ignore_merges", &bpe->ignore_merges, err));
    if (strlen(prefix) > LONGEST_AFFIX || strlen(suffix) > LONGEST_AFFIX)
        return fail_with(err, BAD_FILE, "%s: a prefix or suffix of more than %d bytes", REPAIR, where, LONGEST_AFFIX);
    bpe->unknown_text = unknown ? arena_text(arena, unknown, strlen(unknown)) : NULL;
    bpe->prefix_length = (uint32_t)strlen(prefix);
    bpe->suffix_length = (uint32_t)strlen(suffix);
    bpe->prefix = arena_text(arena, prefix, bpe->prefix_length);
    bpe->suffix = arena_text(arena, suffix, bpe->suffix_length);
    return OK;
}

static enum status read_vocabulary(struct bpe *bpe, struct arena *arena, const char *path, struct slice slice, struct error *err)
{
    struct scanner scanner = scanner_new(arena, path, slice);
    vocabulary_init(&bpe->vocabulary, arena, (uint32_t)(slice.length / 20 < LARGEST_ID ? slice.length / 20 : LARGEST_ID));
    TRY(scan_expect(&scanner, '{', err));
    while (bpe->vocabulary.count == 0 ? !scan_take(&scanner, '}') : scan_take(&scanner, ',')) {
        const char *bytes;
        uint32_t length;
        int32_t id;
        TRY(scan_string(&scanner, &bytes, &length, err));
        TRY(scan_expect(&scanner, ':', err));
        TRY(scan_id(&scanner, LARGEST_ID, &id, err));
        TRY(model_add_token(&bpe->vocabulary, path, bytes, length, id, err));
    }
    if (bpe->vocabulary.count > 0)
        TRY(scan_expect(&scanner, '}', err));
    return scan_end(&scanner, err);
}

static void set_tables(struct bpe *bpe)
{
    for (uint32_t code = 0; code < COUNT(bpe->character); code++) {
        char bytes[4];
        bpe->character[code] = vocabulary_find(&bpe->vocabulary, bytes, (uint32_t)utf8_encode(code, bytes));
    }
    model_byte_ids(&bpe->vocabulary, bpe->byte);
    bpe->unknown = bpe->unknown_text ? vocabulary_find(&bpe->vocabulary, bpe->unknown_text, (uint32_t)strlen(bpe->unknown_text)) : -1;
}

static enum status find_part(const struct bpe *bpe, const char *path, const char *bytes, uint32_t length, size_t rank, int32_t *id, struct error *err)
{
    *id = vocabulary_find(&bpe->vocabulary, bytes, length);
    if (*id >= 0)
        return OK;
    return fail_with(err, BAD_FILE, "%s: merge %zu needs the token '%.*s', which vocab lacks", REPAIR, path, rank, length > 100 ? 100 : (int)length, bytes);
}

/* The merge of left and right, both checked and found, appended. */
static enum status add_merge(struct bpe *bpe, struct merges *merges, const char *path, const char *const side[2], const uint32_t length[2], struct text *joined,
                             struct error *err)
{
    int32_t left, right, id;
    size_t rank = merges->count;
    TRY(find_part(bpe, path, side[0], length[0], rank, &left, err));
    TRY(find_part(bpe, path, side[1], length[1], rank, &right, err));
    if (length[1] < bpe->prefix_length)
        return fail_with(err, BAD_FILE, "%s: merge %zu: '%.100s' is shorter than continuing_subword_prefix '%s'", REPAIR, path, rank, side[1], bpe->prefix);
    text_clear(joined);
    text_add(joined, side[0], length[0]);
    text_add(joined, side[1] + bpe->prefix_length, length[1] - bpe->prefix_length);
    TRY(find_part(bpe, path, joined->bytes, (uint32_t)joined->length, rank, &id, err));
    if (merges->count == merges->capacity) {
        size_t capacity = merges->capacity ? merges->capacity * 2 : 65536;
        merges->merge = arena_grow(merges->arena, merges->merge, merges->count, capacity, sizeof *merges->merge);
        merges->capacity = capacity;
    }
    if (rank >= UINT32_MAX / 4)
        return fail_with(err, BAD_FILE, "%s: more than a billion merges", REPAIR, path);
    merges->merge[merges->count++] = (struct merge){ merge_key(left, right), (uint32_t)rank, id };
    return OK;
}

/* "left right", or ["left", "right"]. *skip: a line of the old merges.txt that says its version. */
static enum status read_pair(struct scanner *scanner, size_t rank, const char *side[2], uint32_t length[2], bool *skip, struct error *err)
{
    *skip = false;
    if (scan_take(scanner, '[')) {
        TRY(scan_string(scanner, &side[0], &length[0], err));
        TRY(scan_expect(scanner, ',', err));
        TRY(scan_string(scanner, &side[1], &length[1], err));
        return scan_expect(scanner, ']', err);
    }
    TRY(scan_string(scanner, &side[0], &length[0], err));
    *skip = length[0] >= 8 && memcmp(side[0], "#version", 8) == 0;
    const char *space = memchr(side[0], ' ', length[0]), *end = side[0] + length[0];
    if (!*skip && (!space || memchr(space + 1, ' ', (size_t)(end - space - 1))))
        return fail_with(err, BAD_FILE, "%s: merge %zu '%.100s' is not two tokens with one space between", REPAIR, scanner->where, rank, side[0]);
    if (*skip)
        return OK;
    length[0] = (uint32_t)(space - side[0]);
    side[1] = space + 1;
    length[1] = (uint32_t)(end - space - 1);
    return OK;
}

static enum status read_merges(struct bpe *bpe, struct merges *merges, const char *path, struct slice slice, struct error *err)
{
    struct scanner scanner = scanner_new(merges->arena, path, slice);
    struct text joined = text_new(merges->arena);
    TRY(scan_expect(&scanner, '[', err));
    if (scan_take(&scanner, ']'))
        return scan_end(&scanner, err);
    do {
        const char *side[2];
        uint32_t length[2];
        bool skip;
        TRY(read_pair(&scanner, merges->count, side, length, &skip, err));
        if (!skip)
            TRY(add_merge(bpe, merges, path, side, length, &joined, err));
    } while (scan_take(&scanner, ','));
    TRY(scan_expect(&scanner, ']', err));
    return scan_end(&scanner, err);
}

/* Of two merges of the same pair the later counts, as in the Python package. */
static void build_table(struct bpe *bpe, struct arena *arena, const struct merges *merges)
{
    uint32_t slots = 64;
    while (slots / 2 < merges->count)
        slots *= 2;
    bpe->merge = NEW_ARRAY(arena, slots, struct merge);
    bpe->merge_mask = slots - 1;
    for (uint32_t i = 0; i < slots; i++)
        bpe->merge[i].pair = NO_PAIR;
    for (size_t i = 0; i < merges->count; i++) {
        uint32_t slot = merge_slot(bpe, merges->merge[i].pair);
        while (bpe->merge[slot].pair != NO_PAIR && bpe->merge[slot].pair != merges->merge[i].pair)
            slot = (slot + 1) & bpe->merge_mask;
        bpe->merge[slot] = merges->merge[i];
    }
}

/* What a merge says of the table: the character behind may belong to a token that reaches across. */
static void join(struct bpe *bpe, const struct entry *left, const struct entry *right)
{
    const int first = bpe_first(right->bytes, right->length);
    const unsigned char last = (unsigned char)left->bytes[left->length - 1];
    if (first >= 0)
        bpe->joined[first][last / 64] |= (uint64_t)1 << last % 64;
}

/* Which characters may begin a word (word_end() in bpe.c). One that is no token by itself may not: what becomes of it depends on its neighbours. Where unknown
 * characters are left out, only ASCII that is known may stand before the border, for what is left out separates nothing. There are no borders at all where
 * pieces are looked up whole or their first and last characters are spelled otherwise, nor where a token merges whose text is not what it stands for. */
static void set_borders(struct bpe *bpe, const struct merges *merges)
{
    bool *other = NEW_ARRAY(merges->arena, bpe->vocabulary.size + 1, bool);
    bool whole = bpe->ignore_merges || bpe->prefix_length > 0 || bpe->suffix_length > 0;
    for (size_t i = 0; i < COUNT(bpe->byte); i++)
        other[bpe->byte[i] + 1] = true;
    other[bpe->unknown + 1] = true;
    for (size_t i = 0; i < merges->count && !whole; i++) {
        const struct entry *left = vocabulary_at(&bpe->vocabulary, (int64_t)(merges->merge[i].pair >> 32));
        const struct entry *right = vocabulary_at(&bpe->vocabulary, (int64_t)(merges->merge[i].pair & UINT32_MAX));
        whole = other[left->id + 1] || other[right->id + 1] || left->length == 0 || right->length == 0;
        if (!whole)
            join(bpe, left, right);
    }
    for (int first = 0; first < FIRST_BYTES; first++) {
        const int32_t id = first < SPACE_MARK ? bpe->character[first] : vocabulary_find(&bpe->vocabulary, "\xE2\x96\x81", 3);
        for (int last = 0; last < 256; last++)
            if (whole || id < 0 || (!bpe->unknown_text && (last >= 0x80 || bpe->character[last] < 0)))
                bpe->joined[first][last / 64] |= (uint64_t)1 << last % 64;
    }
}

enum status bpe_read(struct model *model, struct arena *arena, const char *path, const json_t *json, struct slice vocab, struct slice merges, struct error *err)
{
    struct bpe *bpe = NEW(arena, struct bpe);
    const char *where = arena_print(arena, "%s: model BPE", path);
    TRY(model_need(json, where, "vocab", vocab, err));
    TRY(model_need(json, where, "merges", merges, err));
    TRY(read_options(bpe, arena, where, json, err));
    TRY(read_vocabulary(bpe, arena, path, vocab, err));
    set_tables(bpe);
    struct merges list = { .arena = arena_create_like(arena) };
    enum status status = read_merges(bpe, &list, path, merges, err);
    if (status == OK) {
        build_table(bpe, arena, &list);
        set_borders(bpe, &list);
    }
    arena_destroy(list.arena);
    model->state = bpe;
    model->vocabulary = &bpe->vocabulary;
    return status;
}
