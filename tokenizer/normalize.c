/* Stages that need Unicode's tables (utf8proc), and what the tables say of a character.
 *
 * A Unicode form is computed cluster by cluster: a cluster begins at a character that can neither be reordered nor composed with what
 * stands before it, so clusters can be normalized one at a time, and each byte of the result stands for the whole cluster.
 */
#include "tokenizer/stage.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { LONGEST_DECOMPOSITION = 32 }; /* the longest of Unicode is 18 (U+FDFA) */

static bool within(uint32_t code, uint32_t first, uint32_t last)
{
    return code >= first && code <= last;
}

bool is_white_space(uint32_t code)
{
    return within(code, 9, 13) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 || within(code, 0x2000, 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static bool is_mark(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

/* The Python package's tables are not utf8proc's: its numbers are younger, its punctuation is that of Unicode 8. */
struct range {
    uint32_t first, last;
};
static const struct range later_numbers[] = {
    { 0x10D40, 0x10D49 }, { 0x116D0, 0x116E3 }, { 0x11BF0, 0x11BF9 }, { 0x11DE0, 0x11DE9 }, { 0x16130, 0x16139 },
    { 0x16D70, 0x16D79 }, { 0x16FF4, 0x16FF6 }, { 0x1CCF0, 0x1CCF9 }, { 0x1E5F1, 0x1E5FA },
};
static const struct range later_punctuation[] = {
    { 0x61D, 0x61D },     { 0x9FD, 0x9FD },     { 0xA76, 0xA76 },     { 0xC77, 0xC77 },     { 0xC84, 0xC84 },     { 0x1B4E, 0x1B4F },   { 0x1B7D, 0x1B7F },
    { 0x2E43, 0x2E4F },   { 0x2E52, 0x2E5D },   { 0x10D6E, 0x10D6E }, { 0x10EAD, 0x10EAD }, { 0x10F55, 0x10F59 }, { 0x10F86, 0x10F89 }, { 0x113D4, 0x113D5 },
    { 0x113D7, 0x113D8 }, { 0x1144B, 0x1144F }, { 0x1145A, 0x1145B }, { 0x1145D, 0x1145D }, { 0x11660, 0x1166C }, { 0x116B9, 0x116B9 }, { 0x1183B, 0x1183B },
    { 0x11944, 0x11946 }, { 0x119E2, 0x119E2 }, { 0x11A3F, 0x11A46 }, { 0x11A9A, 0x11A9C }, { 0x11A9E, 0x11AA2 }, { 0x11B00, 0x11B09 }, { 0x11BE1, 0x11BE1 },
    { 0x11C41, 0x11C45 }, { 0x11C70, 0x11C71 }, { 0x11EF7, 0x11EF8 }, { 0x11F43, 0x11F4F }, { 0x11FFF, 0x11FFF }, { 0x12FF1, 0x12FF2 }, { 0x16D6D, 0x16D6F },
    { 0x16E97, 0x16E9A }, { 0x16FE2, 0x16FE2 }, { 0x1E5FF, 0x1E5FF }, { 0x1E95E, 0x1E95F },
};

static bool listed(const struct range *range, size_t count, uint32_t code)
{
    for (size_t i = 0; i < count && range[i].first <= code; i++)
        if (code <= range[i].last)
            return true;
    return false;
}

bool is_numeric(uint32_t code)
{
    if (code < 0x80)
        return within(code, '0', '9');
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO ||
           listed(later_numbers, COUNT(later_numbers), code);
}

bool is_punctuation(uint32_t code)
{
    if (code < 0x80)
        return within(code, '!', '/') || within(code, ':', '@') || within(code, '[', '`') || within(code, '{', '~');
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    if (code == 0x166D || code == 0x111C9) /* symbols since */
        return true;
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO && !listed(later_punctuation, COUNT(later_punctuation), code);
}

/* Circled letters are symbols by category and letters by property. */
bool is_word(uint32_t code)
{
    if (code < 0x80)
        return within(code, '0', '9') || within(code, 'A', 'Z') || within(code, 'a', 'z') || code == '_';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return within(category, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO) || is_mark(code) || category == UTF8PROC_CATEGORY_ND ||
           category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_PC || within(code, 0x200C, 0x200D) || within(code, 0x24B6, 0x24E9) ||
           within(code, 0x1F130, 0x1F149) || within(code, 0x1F150, 0x1F169) || within(code, 0x1F170, 0x1F189);
}

bool is_cluster_break(uint32_t code, uint32_t next, int32_t *state)
{
    return utf8proc_grapheme_break_stateful((utf8proc_int32_t)code, (utf8proc_int32_t)next, state);
}

/* Characters of one cluster, decomposed. */
struct cluster {
    struct arena *arena;
    int32_t *code;
    size_t count, capacity;
    utf8proc_option_t options;
};

/* The character's decomposition, appended; returns its first code point. */
static int32_t decompose(struct cluster *cluster, uint32_t code)
{
    if (cluster->capacity - cluster->count < LONGEST_DECOMPOSITION) {
        size_t capacity = cluster->capacity * 2 + 2 * LONGEST_DECOMPOSITION;
        cluster->code = arena_grow(cluster->arena, cluster->code, cluster->count, capacity, sizeof *cluster->code);
        cluster->capacity = capacity;
    }
    int ignored = 0;
    int32_t *place = cluster->code + cluster->count;
    utf8proc_ssize_t written = utf8proc_decompose_char((utf8proc_int32_t)code, place, LONGEST_DECOMPOSITION, cluster->options | UTF8PROC_DECOMPOSE, &ignored);
    if (written < 1 || written > LONGEST_DECOMPOSITION) {
        place[0] = (int32_t)code;
        written = 1;
    }
    cluster->count += (size_t)written;
    return place[0];
}

/* Combining classes reorder marks, composition reaches marks and the second and third letters of a Hangul syllable. */
static bool starts_cluster(int32_t code)
{
    if (code < 0x300)
        return true;
    return utf8proc_get_property(code)->combining_class == 0 && !is_mark((uint32_t)code) && !within((uint32_t)code, 0x1160, 0x11FF);
}

struct ordered {
    int32_t code, class;
    size_t place;
};

static int by_class(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Canonical order: runs of marks sorted by class, equal ones left in place. A sort, because a text may hold a million marks in a row. */
static void order_marks(struct cluster *cluster)
{
    int32_t *code = cluster->code;
    for (size_t begin = 0; begin < cluster->count; begin++) {
        size_t end = begin;
        bool sorted = true;
        int32_t before = 0;
        for (; end < cluster->count; end++) {
            int32_t class = utf8proc_get_property(code[end])->combining_class;
            if (class == 0)
                break;
            sorted = sorted && class >= before;
            before = class;
        }
        if (!sorted) {
            struct ordered *order = NEW_ARRAY(cluster->arena, end - begin, struct ordered);
            for (size_t i = begin; i < end; i++)
                order[i - begin] = (struct ordered){ code[i], utf8proc_get_property(code[i])->combining_class, i };
            qsort(order, end - begin, sizeof *order, by_class);
            for (size_t i = begin; i < end; i++)
                code[i] = order[i - begin].code;
        }
        begin = end;
    }
}

static void write_cluster(const struct stage *stage, struct passages *passages, struct cluster *cluster, struct span from)
{
    order_marks(cluster);
    utf8proc_ssize_t count = (utf8proc_ssize_t)cluster->count;
    if (stage->composed)
        count = utf8proc_normalize_utf32(cluster->code, count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        char bytes[4];
        int length = utf8_encode((uint32_t)cluster->code[i], bytes);
        passages_put(passages, bytes, (uint32_t)length, from);
    }
    cluster->count = 0;
}

static void form_piece(const struct stage *stage, struct passages *passages, struct piece piece, struct cluster *cluster)
{
    const struct passage *now = passages->now;
    uint32_t begin = piece.begin, at = piece.begin; /* of the cluster; of the next character */
    while (at < piece.end) {
        if ((unsigned char)now->bytes[at] < 0x80 && cluster->count == 0) { /* plain text: all but the last may be taken as they are */
            uint32_t stop = at;
            while (stop < piece.end && (unsigned char)now->bytes[stop] < 0x80)
                stop++;
            stop = stop == piece.end ? stop : stop - 1;
            passages_keep(passages, at, stop);
            begin = at = stop;
            if (at == piece.end)
                return;
        }
        uint32_t code;
        uint32_t size = (uint32_t)utf8_decode(now->bytes + at, piece.end - at, &code);
        size_t before = cluster->count;
        if (starts_cluster(decompose(cluster, code)) && before > 0) {
            cluster->count = before;
            write_cluster(stage, passages, cluster, passage_span(now, begin, at));
            begin = at;
            continue; /* the character is decomposed again, as the first of its cluster */
        }
        at += size;
    }
    if (cluster->count > 0)
        write_cluster(stage, passages, cluster, passage_span(now, begin, at));
}

void run_unicode_form(const struct stage *stage, struct passages *passages)
{
    struct cluster cluster = { .arena = passages->now->arena, .options = stage->compatible ? UTF8PROC_COMPAT : 0 };
    for (uint32_t i = 0; i < passages->now->count; i++) {
        struct piece piece = passages->now->piece[i];
        uint32_t begin = passages->next->length;
        if (piece.id < 0) {
            form_piece(stage, passages, piece, &cluster);
            piece = (struct piece){ begin, passages->next->length, -1, { 0, 0 } };
        }
        passage_add_piece(passages->next, piece);
    }
    passages_turn(passages);
}

/* Runs `change` over the characters of every piece: it returns how many bytes it wrote to out, or -1 to keep the character. */
static void run_characters(struct passages *passages, int (*change)(uint32_t code, char out[8]))
{
    const struct passage *now = passages->now;
    for (uint32_t i = 0; i < now->count; i++) {
        struct piece piece = now->piece[i];
        uint32_t begin = passages->next->length, kept = piece.begin, size;
        for (uint32_t at = piece.begin; piece.id < 0 && at < piece.end; at += size) {
            uint32_t code;
            char out[8];
            size = (uint32_t)utf8_decode(now->bytes + at, piece.end - at, &code);
            int length = change(code, out);
            if (length < 0)
                continue;
            passages_keep(passages, kept, at);
            passages_put(passages, out, (uint32_t)length, passage_span(now, at, at + size));
            kept = at + size;
        }
        if (piece.id < 0) {
            passages_keep(passages, kept, piece.end);
            piece = (struct piece){ begin, passages->next->length, -1, { 0, 0 } };
        }
        passage_add_piece(passages->next, piece);
    }
    passages_turn(passages);
}

/* The dotted capital I is the one letter whose lower case is two characters. */
static int lower(uint32_t code, char out[8])
{
    if (code == 0x130) {
        memcpy(out, "i\xCC\x87", 3);
        return 3;
    }
    int32_t small = utf8proc_tolower((utf8proc_int32_t)code);
    return small == (int32_t)code ? -1 : utf8_encode((uint32_t)small, out);
}

static int drop_mark(uint32_t code, char out[8])
{
    (void)out;
    return code >= 0x300 && is_mark(code) ? 0 : -1;
}

void run_lowercase(struct passages *passages)
{
    run_characters(passages, lower);
}

void run_strip_accents(struct passages *passages)
{
    run_characters(passages, drop_mark);
}

/* Controls vanish; ends of lines, marks of direction, the replacement character and SentencePiece's own mark become spaces. */
static int tidy(uint32_t code, char out[8])
{
    if (within(code, 0x01, 0x08) || code == 0x0B || within(code, 0x0E, 0x1F) || code == 0x7F || code == 0x8F || code == 0x9F)
        return 0;
    if (!within(code, 0x09, 0x0D) && code != 0x1680 && !within(code, 0x200B, 0x200F) && !within(code, 0x2028, 0x2029) && code != 0x2581 && code != 0xFEFF &&
        code != 0xFFFD)
        return -1;
    out[0] = ' ';
    return 1;
}

void run_nmt(struct passages *passages)
{
    run_characters(passages, tidy);
}
