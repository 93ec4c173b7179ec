/* Running the stages, and those of them that need neither patterns nor tables. */
#include "tokenizer/charsmap.h"
#include "tokenizer/stage.h"

#include <string.h>

/* Printable Latin-1 stands for itself; the other 68 bytes, in order, for U+0100 and up (GPT-2's byte alphabet). */
static bool stands_for_itself(uint32_t byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

uint32_t stand_in(unsigned char byte)
{
    if (stands_for_itself(byte))
        return byte;
    return byte < 33 ? 0x100u + byte : byte < 173 ? 0x121u + byte - 127 : 0x143u;
}

int stand_in_byte(uint32_t code)
{
    if (code < 0x100)
        return stands_for_itself(code) ? (int)code : -1;
    if (code > 0x143)
        return -1;
    if (code < 0x100 + 33)
        return (int)(code - 0x100);
    if (code == 0x143)
        return 173;
    return (int)(code - 0x121 + 127);
}

/* Behind the printable ASCII that begins at `at`. */
static uint32_t after_plain(const struct passage *now, uint32_t at, uint32_t end)
{
    while (at < end && (unsigned char)now->bytes[at] < 0x80 && stands_for_itself((unsigned char)now->bytes[at]))
        at++;
    return at;
}

/* The stand-ins of the character at `at`; returns where it ends. */
static uint32_t show_character(struct passages *passages, uint32_t at, uint32_t end)
{
    const struct passage *now = passages->now;
    char out[8];
    uint32_t stop = at, length = 0;
    do
        length += (uint32_t)utf8_encode(stand_in((unsigned char)now->bytes[stop++]), out + length);
    while (stop < end && ((unsigned char)now->bytes[stop] & 0xC0) == 0x80 && stop < at + 4);
    passages_put(passages, out, length, passage_span(now, at, stop));
    return stop;
}

static void run_bytes(struct passages *passages)
{
    const struct passage *now = passages->now;
    for (uint32_t i = 0; i < now->count; i++) {
        struct piece piece = now->piece[i];
        uint32_t begin = passages->next->length;
        for (uint32_t at = piece.begin; piece.id < 0 && at < piece.end;) {
            const uint32_t stop = after_plain(now, at, piece.end);
            passages_keep(passages, at, stop);
            at = stop < piece.end ? show_character(passages, stop, piece.end) : stop;
        }
        if (piece.id < 0)
            piece = (struct piece){ begin, passages->next->length, -1, { 0, 0 } };
        passage_add_piece(passages->next, piece);
    }
    passages_turn(passages);
}

static bool begins_with(const struct passage *now, struct piece piece, const struct stage *stage)
{
    return piece.end - piece.begin >= stage->length && memcmp(now->bytes + piece.begin, stage->content, stage->length) == 0;
}

static void run_prefix(const struct stage *stage, struct passages *passages)
{
    const struct passage *now = passages->now;
    for (uint32_t i = 0; i < now->count; i++) {
        struct piece piece = now->piece[i];
        uint32_t begin = passages->next->length;
        if (piece.id < 0) {
            uint32_t place = passage_span(now, piece.begin, piece.begin + 1).begin;
            if (!(stage->unless_there && begins_with(now, piece, stage)) && !(stage->only_at_start && place > 0))
                passages_put(passages, stage->content, stage->length, (struct span){ place, place });
            passages_keep(passages, piece.begin, piece.end);
            piece = (struct piece){ begin, passages->next->length, -1, { 0, 0 } };
        }
        passage_add_piece(passages->next, piece);
    }
    passages_turn(passages);
}

/* Only the cuts change. */
static void run_strip(const struct stage *stage, struct passages *passages)
{
    struct passage *now = passages->now;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < now->count; i++) {
        struct piece piece = now->piece[i];
        while (stage->left && piece.id < 0 && piece.begin < piece.end) {
            uint32_t code, size = (uint32_t)utf8_decode(now->bytes + piece.begin, piece.end - piece.begin, &code);
            if (!is_white_space(code))
                break;
            piece.begin += size;
        }
        while (stage->right && piece.id < 0 && piece.begin < piece.end) {
            uint32_t code, last = piece.end - 1;
            while (last > piece.begin && ((unsigned char)now->bytes[last] & 0xC0) == 0x80)
                last--;
            utf8_decode(now->bytes + last, piece.end - last, &code);
            if (!is_white_space(code))
                break;
            piece.end = last;
        }
        if (piece.id >= 0 || piece.begin < piece.end)
            now->piece[kept++] = piece;
    }
    now->count = kept;
}

enum status stages_run(const struct stages *stages, struct passages *passages, struct error *err)
{
    for (int i = 0; i < stages->count; i++) {
        const struct stage *stage = &stages->stage[i];
        switch (stage->kind) {
        case UNICODE_FORM:
            run_unicode_form(stage, passages);
            break;
        case LOWERCASE:
            run_lowercase(passages);
            break;
        case STRIP_ACCENTS:
            run_strip_accents(passages);
            break;
        case CHARSMAP:
            charsmap_run(stage->charsmap, passages);
            break;
        case NMT:
            run_nmt(passages);
            break;
        case STRIP:
            run_strip(stage, passages);
            break;
        case PREFIX:
            run_prefix(stage, passages);
            break;
        case REPLACE:
            TRY(run_replace(stage, passages, err));
            break;
        case BYTES:
            run_bytes(passages);
            break;
        case CUT:
            TRY(run_cut(stage, passages, err));
            break;
        }
        TRY(passages_check(passages, err));
    }
    return OK;
}
