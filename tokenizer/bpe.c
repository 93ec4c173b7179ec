/* The merging. */
#include "tokenizer/bpe_model.h"

struct symbol {
    int32_t id; /* -1: merged into its left neighbour */
    int32_t before, after;
    uint32_t begin, end; /* of the piece */
};

/* Order is the merge's rank, then the place in the piece. */
struct candidate {
    uint64_t order;
    int32_t id; /* what the merge would give */
};

struct work {
    const struct bpe *bpe;
    struct arena *scratch;
    struct symbol *symbol;
    int32_t count, capacity;
    struct candidate *heap;
    size_t heap_count, heap_capacity;
    char *affixed; /* a character between prefix and suffix */
};

const struct merge *bpe_merge(const struct bpe *bpe, int32_t left, int32_t right)
{
    uint64_t pair = merge_key(left, right);
    uint32_t slot = merge_slot(bpe, pair);
    while (bpe->merge[slot].pair != pair) {
        if (bpe->merge[slot].pair == NO_PAIR)
            return NULL;
        slot = (slot + 1) & bpe->merge_mask;
    }
    return &bpe->merge[slot];
}

static void push(struct work *work, struct candidate candidate)
{
    if (work->heap_count == work->heap_capacity) {
        size_t capacity = work->heap_capacity ? work->heap_capacity * 2 : 64;
        work->heap = arena_grow(work->scratch, work->heap, work->heap_count, capacity, sizeof *work->heap);
        work->heap_capacity = capacity;
    }
    size_t at = work->heap_count++;
    while (at > 0 && work->heap[(at - 1) / 2].order > candidate.order) {
        work->heap[at] = work->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    work->heap[at] = candidate;
}

static struct candidate pop(struct work *work)
{
    struct candidate top = work->heap[0], last = work->heap[--work->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= work->heap_count)
            break;
        if (child + 1 < work->heap_count && work->heap[child + 1].order < work->heap[child].order)
            child++;
        if (work->heap[child].order >= last.order)
            break;
        work->heap[at] = work->heap[child];
        at = child;
    }
    work->heap[at] = last;
    return top;
}

static void propose(struct work *work, int32_t left)
{
    int32_t right = left >= 0 ? work->symbol[left].after : -1;
    const struct merge *merge = right >= 0 ? bpe_merge(work->bpe, work->symbol[left].id, work->symbol[right].id) : NULL;
    if (merge)
        push(work, (struct candidate){ (uint64_t)merge->rank << 32 | (uint32_t)left, merge->id });
}

static void merge_all(struct work *work)
{
    struct symbol *symbol = work->symbol;
    work->heap_count = 0;
    for (int32_t i = 0; i + 1 < work->count; i++)
        propose(work, i);
    while (work->heap_count > 0) {
        struct candidate candidate = pop(work);
        int32_t left = (int32_t)(uint32_t)candidate.order, right = symbol[left].after;
        if (symbol[left].id < 0 || right < 0)
            continue;
        const struct merge *merge = bpe_merge(work->bpe, symbol[left].id, symbol[right].id);
        if (!merge || merge->id != candidate.id)
            continue;
        symbol[left].id = merge->id;
        symbol[left].end = symbol[right].end;
        symbol[left].after = symbol[right].after;
        symbol[right].id = -1;
        if (symbol[left].after >= 0)
            symbol[symbol[left].after].before = left;
        propose(work, symbol[left].before);
        propose(work, left);
    }
}

static void add_symbol(struct work *work, int32_t id, uint32_t begin, uint32_t end)
{
    if (work->count == work->capacity) {
        int32_t capacity = work->capacity ? work->capacity * 2 : 64;
        work->symbol = arena_grow(work->scratch, work->symbol, (size_t)work->count, (size_t)capacity, sizeof *work->symbol);
        work->capacity = capacity;
    }
    int32_t place = work->count++;
    if (place > 0)
        work->symbol[place - 1].after = place;
    work->symbol[place] = (struct symbol){ id, place - 1, -1, begin, end };
}

/* The id of a character, written with prefix and suffix where they apply; *bytes and *length are what was looked up. */
static int32_t character_id(struct work *work, const char **bytes, uint32_t *length, bool first, bool last)
{
    const struct bpe *bpe = work->bpe;
    uint32_t prefix = first ? 0 : bpe->prefix_length, suffix = last ? bpe->suffix_length : 0;
    if (prefix + suffix == 0) {
        const unsigned char *c = (const unsigned char *)*bytes;
        if (*length <= 2)
            return bpe->character[*length == 1 ? c[0] : (uint32_t)(c[0] & 0x1F) << 6 | (c[1] & 0x3F)];
        return vocabulary_find(&bpe->vocabulary, *bytes, *length);
    }
    if (prefix)
        memcpy(work->affixed, bpe->prefix, prefix);
    memcpy(work->affixed + prefix, *bytes, *length);
    if (suffix)
        memcpy(work->affixed + prefix + *length, bpe->suffix, suffix);
    *bytes = work->affixed;
    *length += prefix + suffix;
    return vocabulary_find(&bpe->vocabulary, *bytes, *length);
}

static bool add_byte_tokens(struct work *work, const char *bytes, uint32_t length, uint32_t begin, uint32_t end)
{
    for (uint32_t i = 0; i < length; i++)
        if (work->bpe->byte[(unsigned char)bytes[i]] < 0)
            return false;
    for (uint32_t i = 0; i < length; i++)
        add_symbol(work, work->bpe->byte[(unsigned char)bytes[i]], begin, end);
    return true;
}

/* The piece as characters. As in the Python package, an unknown character waits until a known one or the end follows, so that several
 * can become one token, and bytes of a fallback overtake it. */
static enum status add_characters(struct work *work, const char *piece, uint32_t length, struct error *err)
{
    const struct bpe *bpe = work->bpe;
    bool waiting = false;
    uint32_t unknown_begin = 0, unknown_end = 0, size;
    work->count = 0;
    for (uint32_t at = 0; at < length; at += size) {
        uint32_t code;
        const char *bytes = piece + at;
        size = (unsigned char)*bytes < 0x80 ? 1 : (uint32_t)utf8_decode(bytes, length - at, &code);
        uint32_t looked_up = size;
        int32_t id = character_id(work, &bytes, &looked_up, at == 0, at + size == length);
        if (id < 0 && bpe->byte_fallback && add_byte_tokens(work, bytes, looked_up, at, at + size))
            continue;
        if (id < 0 && !bpe->unknown_text)
            continue;
        if (waiting && (id >= 0 || !bpe->fuse_unknown)) {
            add_symbol(work, bpe->unknown, unknown_begin, unknown_end);
            waiting = false;
        }
        if (id >= 0) {
            add_symbol(work, id, at, at + size);
            continue;
        }
        if (bpe->unknown < 0)
            return fail_with(err, BAD_FILE, "the text needs the tokenizer's unk_token '%.100s', which its vocabulary lacks", "add the token to model.vocab",
                             bpe->unknown_text);
        unknown_begin = waiting ? unknown_begin : at;
        unknown_end = at + size;
        waiting = true;
    }
    if (waiting)
        add_symbol(work, bpe->unknown, unknown_begin, unknown_end);
    return OK;
}

/* A word ends where no merge of the vocabulary joins what ends there and what begins there: the two sides then never meet, in whatever order they merge. For
 * Llama, whose pieces are whole texts, that is in front of nearly every space. */
static uint32_t word_end(const void *state, const char *bytes, uint32_t begin, uint32_t end)
{
    const struct work *work = state;
    for (uint32_t at = begin + 1; at < end; at++) {
        const int first = bpe_first(bytes + at, end - at);
        const unsigned char last = (unsigned char)bytes[at - 1];
        if (first >= 0 && !(work->bpe->joined[first][last / 64] >> last % 64 & 1))
            return at;
    }
    return end;
}

static enum status encode(void *state, const char *bytes, struct piece piece, struct parts *parts, struct error *err)
{
    struct work *work = state;
    const struct bpe *bpe = work->bpe;
    uint32_t length = piece.end - piece.begin;
    if (bpe->ignore_merges) {
        int32_t id = vocabulary_find(&bpe->vocabulary, bytes + piece.begin, length);
        if (id >= 0) {
            parts_add(parts, (struct part){ id, piece.begin, piece.end });
            return OK;
        }
    }
    TRY(add_characters(work, bytes + piece.begin, length, err));
    merge_all(work);
    for (int32_t i = 0; i < work->count; i++)
        if (work->symbol[i].id >= 0)
            parts_add(parts, (struct part){ work->symbol[i].id, piece.begin + work->symbol[i].begin, piece.begin + work->symbol[i].end });
    return OK;
}

static void *begin(const struct model *model, struct arena *scratch)
{
    struct work *work = NEW(scratch, struct work);
    const struct bpe *bpe = model->state;
    *work = (struct work){ .bpe = bpe, .scratch = scratch };
    work->affixed = arena_alloc(scratch, (size_t)bpe->prefix_length + bpe->suffix_length + 4);
    return work;
}

const struct model_kind model_bpe = { .type = "BPE", .read = bpe_read, .begin = begin, .word_end = word_end, .encode = encode };
