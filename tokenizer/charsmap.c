/* As the Python package does it: a cluster of characters (UAX 29) of up to five bytes is looked up as a whole and replaced as a whole, also
 * when only its beginning is in the map; else each of its characters is. The shortest match counts.
 */
#include "tokenizer/charsmap.h"
#include "tokenizer/stage.h"

#include <string.h>

enum { LONGEST_CLUSTER = 5 };

struct charsmap {
    const uint32_t *unit;
    size_t units;
    const char *texts;
    size_t size;       /* of texts; the last byte is a NUL */
    bool touched[128]; /* ASCII characters that are replaced */
};

static int value_of(char c)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *place = c ? strchr(letters, c) : NULL;
    return place ? (int)(place - letters) : -1;
}

/* false: not base64. */
static bool decode_base64(const char *base64, unsigned char *bytes, size_t *size)
{
    size_t length = strlen(base64);
    uint32_t bits = 0;
    *size = 0;
    if (length % 4 != 0)
        return false;
    while (length > 0 && base64[length - 1] == '=' && length % 4 != 2)
        length--;
    for (size_t i = 0; i < length; i++) {
        int value = value_of(base64[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 > 0)
            bytes[(*size)++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return true;
}

void text_add_base64(struct text *text, const unsigned char *bytes, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < size; at += 3) {
        uint32_t bits = (uint32_t)bytes[at] << 16 | (at + 1 < size ? (uint32_t)bytes[at + 1] << 8 : 0) | (at + 2 < size ? bytes[at + 2] : 0);
        char out[4] = { letters[bits >> 18], letters[bits >> 12 & 63], letters[bits >> 6 & 63], letters[bits & 63] };
        for (size_t missing = at + 3 > size ? at + 3 - size : 0; missing > 0; missing--)
            out[4 - missing] = '=';
        text_add(text, out, sizeof out);
    }
}

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The text that bytes[0..length) become by its shortest beginning that is in the map; NULL: none is. */
static const char *find(const struct charsmap *charsmap, const char *bytes, size_t length)
{
    uint32_t place = offset_of(charsmap->unit[0]);
    for (size_t i = 0; i < length && bytes[i] != 0; i++) {
        place ^= (unsigned char)bytes[i];
        if (place >= charsmap->units)
            return NULL;
        uint32_t unit = charsmap->unit[place];
        if ((unit & (1u << 31 | 0xFF)) != (unsigned char)bytes[i])
            return NULL;
        place ^= offset_of(unit);
        if (!(unit >> 8 & 1))
            continue;
        uint32_t text = place < charsmap->units ? charsmap->unit[place] & ~(1u << 31) : UINT32_MAX;
        bool inside_character = text < charsmap->size && ((unsigned char)charsmap->texts[text] & 0xC0) == 0x80;
        return text < charsmap->size && !inside_character ? charsmap->texts + text : NULL;
    }
    return NULL;
}

enum status charsmap_read(const struct charsmap **out, struct arena *arena, const char *where, const char *base64, struct error *err)
{
    struct charsmap *charsmap = NEW(arena, struct charsmap);
    unsigned char *bytes = arena_alloc(arena, strlen(base64) / 4 * 3 + 4);
    size_t size;
    if (!decode_base64(base64, bytes, &size))
        return fail_with(err, BAD_FILE, "%s: precompiled_charsmap is not base64", REPAIR, where);
    uint32_t trie = size < 4 ? 0 : bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    if (size < 4 || trie < 4 || trie % 4 != 0 || trie >= size - 4)
        return fail_with(err, BAD_FILE, "%s: precompiled_charsmap of %zu bytes has a trie of %u", REPAIR, where, size, trie);
    uint32_t *unit = NEW_ARRAY(arena, trie / 4, uint32_t);
    for (size_t i = 0; i < trie / 4; i++) {
        const unsigned char *at = bytes + 4 + 4 * i;
        unit[i] = at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    }
    *charsmap = (struct charsmap){ .unit = unit, .units = trie / 4, .texts = (const char *)bytes + 4 + trie, .size = size - 4 - trie };
    if (charsmap->texts[charsmap->size - 1] != 0 || !utf8_valid(charsmap->texts, charsmap->size, NULL))
        return fail_with(err, BAD_FILE, "%s: the texts of precompiled_charsmap are not UTF-8 with a NUL behind", REPAIR, where);
    for (int c = 0; c < 128; c++) {
        char byte = (char)c;
        charsmap->touched[c] = find(charsmap, &byte, 1) != NULL;
    }
    *out = charsmap;
    return OK;
}

/* The end of the cluster that begins at `at`. */
static uint32_t cluster_end(const struct passage *now, uint32_t at, uint32_t end)
{
    int32_t state = 0;
    uint32_t code, next;
    at += (uint32_t)utf8_decode(now->bytes + at, end - at, &code);
    while (at < end) {
        uint32_t size = (uint32_t)utf8_decode(now->bytes + at, end - at, &next);
        if (is_cluster_break(code, next, &state))
            break;
        code = next;
        at += size;
    }
    return at;
}

static void replace(const struct charsmap *charsmap, struct passages *passages, uint32_t begin, uint32_t end, const char *text)
{
    struct span from = passage_span(passages->now, begin, end);
    if (text)
        passages_put(passages, text, (uint32_t)strnlen(text, charsmap->size), from);
    else
        passages_keep(passages, begin, end);
}

static void run_piece(const struct charsmap *charsmap, struct passages *passages, struct piece piece)
{
    const struct passage *now = passages->now;
    const unsigned char *bytes = (const unsigned char *)now->bytes;
    uint32_t kept = piece.begin, at = piece.begin;
    while (at < piece.end) {
        bool alone = bytes[at] < 0x80 && (at + 1 == piece.end || bytes[at + 1] < 0x80) && bytes[at] != '\r';
        if (alone && !charsmap->touched[bytes[at]]) {
            at++;
            continue;
        }
        passages_keep(passages, kept, at);
        uint32_t end = alone ? at + 1 : cluster_end(now, at, piece.end), size;
        const char *whole = end - at <= LONGEST_CLUSTER ? find(charsmap, now->bytes + at, end - at) : NULL;
        if (whole)
            replace(charsmap, passages, at, end, whole);
        for (; !whole && at < end; at += size) {
            uint32_t code;
            size = (uint32_t)utf8_decode(now->bytes + at, end - at, &code);
            replace(charsmap, passages, at, at + size, find(charsmap, now->bytes + at, size));
        }
        kept = at = end;
    }
    passages_keep(passages, kept, at);
}

void charsmap_run(const struct charsmap *charsmap, struct passages *passages)
{
    for (uint32_t i = 0; i < passages->now->count; i++) {
        struct piece piece = passages->now->piece[i];
        uint32_t begin = passages->next->length;
        if (piece.id < 0) {
            const uint32_t place = passage_span(passages->now, piece.begin, piece.begin + 1).begin;
            run_piece(charsmap, passages, piece);
            if (passages->next->length > begin) /* what is removed in front belongs to what follows: a text that begins with it still begins here */
                passages->next->from[begin].begin = place;
            piece = (struct piece){ begin, passages->next->length, -1, { 0, 0 } };
        }
        passage_add_piece(passages->next, piece);
    }
    passages_turn(passages);
}
