/* The best path, from left to right: of all tokens that end at a byte, the one whose path has the greatest sum.
 *
 *     best(0) = 0        best(end) = max over tokens [begin, end) of best(begin) + score
 *
 * At a tie the longest token stays: begins are visited in order, and a sum must be greater to replace another. A character that is no
 * token by itself costs the least score less 10. Neighbouring unknown characters become one token, or, with byte_fallback, their bytes.
 * A piece of n characters costs n times the longest token.
 */
#include "tokenizer/unigram.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NO_UNKNOWN = -1 };
#define NOWHERE UINT32_MAX
static const double unknown_penalty = 10;

/* Nodes in order of depth, so the children of a node stand side by side, sorted by their byte. */
struct node {
    uint32_t child; /* the first */
    uint32_t children;
    int32_t id; /* a token ends here, or -1 */
};

struct unigram {
    struct vocabulary vocabulary;
    double *score; /* by id */
    double unknown_score;
    int32_t unknown;
    bool byte_fallback;
    int32_t byte[256];
    struct node *node; /* node[0] is the root */
    unsigned char *label;
    uint32_t first[257]; /* children of the root by byte, 0: none */
};

static enum status read_vocabulary(struct unigram *unigram, struct arena *arena, const char *path, struct slice slice, struct error *err)
{
    struct scanner scanner = scanner_new(arena, path, slice);
    struct vocabulary *vocabulary = &unigram->vocabulary;
    uint32_t room = (uint32_t)(slice.length / 20 < LARGEST_ID ? slice.length / 20 : LARGEST_ID) + 16;
    double least = 0;
    vocabulary_init(vocabulary, arena, room);
    unigram->score = NEW_ARRAY(arena, room, double);
    TRY(scan_expect(&scanner, '[', err));
    while (vocabulary->count == 0 ? !scan_take(&scanner, ']') : scan_take(&scanner, ',')) {
        const char *bytes;
        uint32_t length, place = vocabulary->count;
        double score;
        TRY(scan_expect(&scanner, '[', err));
        TRY(scan_string(&scanner, &bytes, &length, err));
        TRY(scan_expect(&scanner, ',', err));
        TRY(scan_score(&scanner, &score, err));
        TRY(scan_expect(&scanner, ']', err));
        if (place > LARGEST_ID)
            return fail_with(err, BAD_FILE, "%s: vocab has more than 2^24 tokens", "graft takes ids below 2^24", path);
        TRY(model_add_token(vocabulary, path, bytes, length, (int32_t)place, err));
        if (place == room) {
            unigram->score = arena_grow(arena, unigram->score, room, (size_t)room * 2, sizeof score);
            room *= 2;
        }
        unigram->score[place] = score;
        least = place == 0 || score < least ? score : least;
    }
    unigram->unknown_score = least - unknown_penalty;
    if (vocabulary->count > 0)
        TRY(scan_expect(&scanner, ']', err));
    return scan_end(&scanner, err);
}

/* NULs may stand inside a token. */
static int by_bytes(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    uint32_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->bytes, y->bytes, shorter);
    return order ? order : x->length < y->length ? -1 : x->length > y->length;
}

/* The tokens below a node while it is being made: [begin, end) of the sorted list. */
struct stretch {
    uint32_t begin, end, depth;
};

struct building {
    struct arena *arena; /* of the trie */
    struct arena *scratch;
    struct node *node;
    unsigned char *label;
    struct stretch *stretch;
    uint32_t count, capacity;
};

static void add_node(struct building *building, unsigned char label, struct stretch stretch)
{
    if (building->count == building->capacity) {
        uint32_t capacity = building->capacity ? building->capacity * 2 : 1 << 12;
        building->node = arena_grow(building->scratch, building->node, building->count, capacity, sizeof *building->node);
        building->label = arena_grow(building->scratch, building->label, building->count, capacity, 1);
        building->stretch = arena_grow(building->scratch, building->stretch, building->count, capacity, sizeof stretch);
        building->capacity = capacity;
    }
    building->node[building->count] = (struct node){ .id = -1 };
    building->label[building->count] = label;
    building->stretch[building->count++] = stretch;
}

/* Level by level: a node's children are the different bytes that follow in its stretch. An empty token is never found. */
static void build_trie(struct unigram *unigram, struct building *building)
{
    const struct vocabulary *vocabulary = &unigram->vocabulary;
    const struct entry **sorted = NEW_ARRAY(building->scratch, vocabulary->count + 1, const struct entry *);
    for (uint32_t i = 0; i < vocabulary->count; i++)
        sorted[i] = &vocabulary->entry[i];
    qsort(sorted, vocabulary->count, sizeof *sorted, by_bytes);
    add_node(building, 0, (struct stretch){ 0, vocabulary->count, 0 });
    for (uint32_t at = 0; at < building->count; at++) {
        struct stretch stretch = building->stretch[at];
        if (stretch.begin < stretch.end && sorted[stretch.begin]->length == stretch.depth)
            building->node[at].id = sorted[stretch.begin++]->id;
        building->node[at].child = building->count;
        while (stretch.begin < stretch.end) {
            uint32_t end = stretch.begin;
            unsigned char label = (unsigned char)sorted[end]->bytes[stretch.depth];
            while (end < stretch.end && (unsigned char)sorted[end]->bytes[stretch.depth] == label)
                end++;
            add_node(building, label, (struct stretch){ stretch.begin, end, stretch.depth + 1 });
            stretch.begin = end;
        }
        building->node[at].children = building->count - building->node[at].child;
    }
    unigram->node = arena_grow(building->arena, building->node, building->count, building->count, sizeof *building->node);
    unigram->label = arena_grow(building->arena, building->label, building->count, building->count, 1);
    for (uint32_t i = 0; i < unigram->node[0].children; i++)
        unigram->first[unigram->label[unigram->node[0].child + i]] = unigram->node[0].child + i;
}

static enum status read_unigram(struct model *model, struct arena *arena, const char *path, const json_t *json, struct slice vocab, struct slice merges,
                                struct error *err)
{
    struct unigram *unigram = NEW(arena, struct unigram);
    const char *where = arena_print(arena, "%s: model Unigram", path);
    int64_t unknown = NO_UNKNOWN;
    (void)merges; /* component_keys() refuses them */
    TRY(component_keys(json, where, "unk_id vocab byte_fallback", err));
    TRY(model_need(json, where, "vocab", vocab, err));
    TRY(json_get_int(json, where, "unk_id", 0, LARGEST_ID, &unknown, err));
    TRY(json_get_bool(json, where, "byte_fallback", &unigram->byte_fallback, err));
    TRY(read_vocabulary(unigram, arena, path, vocab, err));
    if (unknown >= (int64_t)unigram->vocabulary.count)
        return fail_with(err, BAD_FILE, "%s: unk_id %" PRId64 ", but vocab has %" PRIu32 " tokens", REPAIR, where, unknown, unigram->vocabulary.count);
    unigram->unknown = (int32_t)unknown;
    model_byte_ids(&unigram->vocabulary, unigram->byte);
    struct building building = { .arena = arena, .scratch = arena_create_like(arena) };
    build_trie(unigram, &building);
    arena_destroy(building.scratch);
    model->state = unigram;
    model->vocabulary = &unigram->vocabulary;
    return OK;
}

/* Where the best path to a byte comes from. */
struct best {
    double sum;
    uint32_t begin; /* NOWHERE: no path yet */
    int32_t id;
};

struct work {
    const struct unigram *unigram;
    struct arena *scratch;
    struct best *best;
    struct part *path; /* from the end to the beginning */
    uint32_t capacity;
};

static void *begin(const struct model *model, struct arena *scratch)
{
    struct work *work = NEW(scratch, struct work);
    *work = (struct work){ .unigram = model->state, .scratch = scratch };
    return work;
}

static uint32_t child_of(const struct unigram *unigram, uint32_t node, unsigned char label)
{
    const struct node *parent = &unigram->node[node];
    const unsigned char *labels = unigram->label + parent->child;
    uint32_t low = 0, high = parent->children;
    if (node == 0)
        return unigram->first[label];
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (labels[middle] < label)
            low = middle + 1;
        else
            high = middle;
    }
    return low < parent->children && labels[low] == label ? parent->child + low : 0;
}

static void offer(struct best *best, double sum, uint32_t begin, int32_t id)
{
    if (best->begin == NOWHERE || sum > best->sum)
        *best = (struct best){ sum, begin, id };
}

/* Extends the best path to `at`, where a character of `size` bytes begins, by every token that begins there. */
static enum status extend(struct work *work, const char *piece, uint32_t length, uint32_t at, uint32_t size, struct error *err)
{
    const struct unigram *unigram = work->unigram;
    struct best *best = work->best;
    bool known = false;
    uint32_t node = 0;
    for (uint32_t end = at; end < length && (node = child_of(unigram, node, (unsigned char)piece[end])); end++) {
        int32_t id = unigram->node[node].id;
        if (id < 0)
            continue;
        offer(&best[end + 1], best[at].sum + unigram->score[id], at, id);
        known |= end + 1 - at == size;
    }
    if (known)
        return OK;
    if (unigram->unknown < 0)
        return fail_with(err, BAD_FILE, "the text needs an unknown token, and the tokenizer's model has no unk_id",
                         "set model.unk_id to the id of its unknown token");
    offer(&best[at + size], best[at].sum + unigram->unknown_score, at, unigram->unknown);
    return OK;
}

/* Unknown text: a token after all, if the vocabulary has the whole of it, or its bytes. */
static void add_unknown(const struct unigram *unigram, const char *bytes, struct part part, struct parts *parts)
{
    uint32_t length = part.end - part.begin;
    int32_t id = vocabulary_find(&unigram->vocabulary, bytes + part.begin, length);
    bool spelled = id < 0 && unigram->byte_fallback;
    for (uint32_t i = part.begin; spelled && i < part.end; i++)
        spelled = unigram->byte[(unsigned char)bytes[i]] >= 0;
    if (!spelled) {
        part.id = id >= 0 ? id : unigram->unknown;
        parts_add(parts, part);
        return;
    }
    for (uint32_t i = part.begin; i < part.end; i++) {
        uint32_t first = i, end = i + 1; /* each byte stands for its whole character */
        while (((unsigned char)bytes[first] & 0xC0) == 0x80)
            first--;
        while (end < part.end && ((unsigned char)bytes[end] & 0xC0) == 0x80)
            end++;
        parts_add(parts, (struct part){ unigram->byte[(unsigned char)bytes[i]], first, end });
    }
}

static enum status encode(void *state, const char *bytes, struct piece piece, struct parts *parts, struct error *err)
{
    struct work *work = state;
    const struct unigram *unigram = work->unigram;
    uint32_t length = piece.end - piece.begin, size, count = 0;
    const char *text = bytes + piece.begin;
    if (length >= work->capacity) {
        work->capacity = length < 64 ? 64 : length + length / 2;
        work->best = NEW_ARRAY(work->scratch, (size_t)work->capacity + 1, struct best);
        work->path = NEW_ARRAY(work->scratch, (size_t)work->capacity + 1, struct part);
    }
    for (uint32_t i = 0; i <= length; i++)
        work->best[i].begin = NOWHERE;
    work->best[0].sum = 0;
    for (uint32_t at = 0; at < length; at += size) {
        uint32_t code;
        size = (uint32_t)utf8_decode(text + at, length - at, &code);
        TRY(extend(work, text, length, at, size, err));
    }
    for (uint32_t end = length; end > 0; end = work->best[end].begin)
        work->path[count++] = (struct part){ work->best[end].id, piece.begin + work->best[end].begin, piece.begin + end };
    while (count > 0) {
        struct part part = work->path[--count];
        if (part.id != unigram->unknown) {
            parts_add(parts, part);
            continue;
        }
        while (count > 0 && work->path[count - 1].id == unigram->unknown)
            part.end = work->path[--count].end;
        add_unknown(unigram, bytes, part, parts);
    }
    return OK;
}

const struct model_kind model_unigram = { .type = "Unigram", .read = read_unigram, .begin = begin, .encode = encode };
