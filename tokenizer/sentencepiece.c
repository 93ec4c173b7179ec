/* Reading protocol buffers: a message is a row of fields, each a key (number and wire type) and a value. Messages are nested two deep here,
 * so there is no recursion.
 */
#include "tokenizer/sentencepiece.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_PIECE = 1024 };
enum wire { VARINT = 0, EIGHT_BYTES = 1, BYTES_OF_LENGTH = 2, FOUR_BYTES = 5 };

struct message {
    const char *path;
    const uint8_t *file; /* where it begins, for messages */
    const uint8_t *at, *end;
};

struct field {
    uint64_t number, value; /* of VARINT, FOUR_BYTES, EIGHT_BYTES */
    enum wire wire;
    const uint8_t *bytes; /* of BYTES_OF_LENGTH */
    size_t size;
};

static enum status broken(const struct message *message, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: %s at byte %zu", "is this a SentencePiece model? The download may be incomplete: fetch the file again", message->path,
                     what, (size_t)(message->at - message->file));
}

static bool take_varint(struct message *message, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && message->at < message->end; shift += 7) {
        uint8_t byte = *message->at++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take_fixed(struct message *message, unsigned size, uint64_t *value)
{
    *value = 0;
    if ((size_t)(message->end - message->at) < size)
        return false;
    for (unsigned i = 0; i < size; i++)
        *value |= (uint64_t)*message->at++ << 8 * i;
    return true;
}

/* The next field; *more is false at the end of the message. */
static enum status take_field(struct message *message, struct field *field, bool *more, struct error *err)
{
    uint64_t key, size;
    *field = (struct field){ 0 };
    *more = message->at < message->end;
    if (!*more)
        return OK;
    if (!take_varint(message, &key) || key >> 3 == 0)
        return broken(message, "a broken field", err);
    field->number = key >> 3;
    field->wire = (enum wire)(key & 7);
    switch (field->wire) {
    case VARINT:
        return take_varint(message, &field->value) ? OK : broken(message, "a broken number", err);
    case EIGHT_BYTES:
        return take_fixed(message, 8, &field->value) ? OK : broken(message, "a broken number", err);
    case FOUR_BYTES:
        return take_fixed(message, 4, &field->value) ? OK : broken(message, "a broken number", err);
    case BYTES_OF_LENGTH:
        if (!take_varint(message, &size) || size > (size_t)(message->end - message->at))
            return broken(message, "a field longer than its message", err);
        field->bytes = message->at;
        field->size = (size_t)size;
        message->at += size;
        return OK;
    }
    return broken(message, "a field of unknown kind", err);
}

/* A field that is read must have the wire type its number has. */
static enum status expect(const struct message *message, const struct field *field, enum wire wire, struct error *err)
{
    return field->wire == wire ? OK : broken(message, "a field of another kind than its number has", err);
}

static struct message inside(const struct message *message, const struct field *field)
{
    return (struct message){ message->path, message->file, field->bytes, field->bytes + field->size };
}

struct piece_fields {
    const uint8_t *bytes;
    size_t size;
    float score;
    uint64_t kind;
};

static enum status read_piece(struct message piece, struct piece_fields *out, struct error *err)
{
    struct field field;
    bool more;
    *out = (struct piece_fields){ .kind = PIECE_NORMAL };
    for (;;) {
        TRY(take_field(&piece, &field, &more, err));
        if (!more)
            break;
        if (field.number == 1) {
            TRY(expect(&piece, &field, BYTES_OF_LENGTH, err));
            out->bytes = field.bytes;
            out->size = field.size;
        } else if (field.number == 2) {
            uint32_t bits = (uint32_t)field.value;
            TRY(expect(&piece, &field, FOUR_BYTES, err));
            memcpy(&out->score, &bits, sizeof bits);
        } else if (field.number == 3) {
            TRY(expect(&piece, &field, VARINT, err));
            out->kind = field.value;
        }
    }
    if (out->size == 0 || out->size > LONGEST_PIECE || !utf8_valid((const char *)out->bytes, out->size, NULL) || memchr(out->bytes, 0, out->size))
        return broken(&piece, "behind a piece that is not 1 to 1024 bytes of UTF-8", err);
    if (!isfinite(out->score))
        return broken(&piece, "behind a score that is not finite", err);
    if (out->kind < PIECE_NORMAL || out->kind > PIECE_BYTE)
        return broken(&piece, "behind a piece of unknown kind", err);
    return OK;
}

static enum status add_piece(struct sentencepiece *model, const struct message *message, const struct piece_fields *piece, uint32_t *room, struct error *err)
{
    struct vocabulary *pieces = &model->pieces;
    uint32_t id = pieces->count;
    if (vocabulary_find(pieces, (const char *)piece->bytes, (uint32_t)piece->size) >= 0)
        return fail_with(err, BAD_FILE, "%s: piece %" PRIu32 " '%.*s' is there twice", "fetch the file again", message->path, id,
                         piece->size > 100 ? 100 : (int)piece->size, (const char *)piece->bytes);
    if (id > LARGEST_ID)
        return fail_with(err, BAD_FILE, "%s: more than 2^24 pieces", "graft takes ids below 2^24", message->path);
    if (piece->kind == PIECE_UNUSED)
        return fail_with(err, BAD_FILE, "%s: piece %" PRIu32 " '%.100s' is marked unused", "make a tokenizer.json of it with transformers, in the same folder",
                         message->path, id, arena_text(pieces->arena, (const char *)piece->bytes, piece->size));
    if (piece->kind == PIECE_UNKNOWN && model->unknown >= 0)
        return fail_with(err, BAD_FILE, "%s: pieces %" PRId32 " and %" PRIu32 " both stand for the unknown", "fetch the file again", message->path,
                         model->unknown, id);
    if (piece->kind == PIECE_UNKNOWN)
        model->unknown = (int32_t)id;
    if (id == *room) {
        model->score = arena_grow(pieces->arena, model->score, id, (size_t)*room * 2, sizeof *model->score);
        model->kind = arena_grow(pieces->arena, model->kind, id, (size_t)*room * 2, sizeof *model->kind);
        *room *= 2;
    }
    model->score[id] = piece->score;
    model->kind[id] = (unsigned char)piece->kind;
    vocabulary_add(pieces, arena_text(pieces->arena, (const char *)piece->bytes, piece->size), (uint32_t)piece->size, (int32_t)id);
    return OK;
}

static enum status read_trainer(struct sentencepiece *model, struct message trainer, struct error *err)
{
    struct field field;
    bool more;
    for (;;) {
        TRY(take_field(&trainer, &field, &more, err));
        if (!more)
            return OK;
        if (field.number != 3 && field.number != 24 && field.number != 35)
            continue;
        TRY(expect(&trainer, &field, VARINT, err));
        if (field.number == 3 && (field.value < SENTENCEPIECE_UNIGRAM || field.value > SENTENCEPIECE_CHARACTERS))
            return broken(&trainer, "an algorithm that is none", err);
        if (field.number == 3)
            model->algorithm = (enum sentencepiece_algorithm)field.value;
        else
            *(field.number == 24 ? &model->whitespace_as_suffix : &model->byte_fallback) = field.value != 0;
    }
}

static enum status read_normalizer(struct sentencepiece *model, struct message normalizer, struct error *err)
{
    bool *const flag[] = { [3] = &model->add_dummy_prefix, [4] = &model->remove_extra_whitespaces, [5] = &model->escape_whitespaces };
    struct field field;
    bool more;
    for (;;) {
        TRY(take_field(&normalizer, &field, &more, err));
        if (!more)
            return OK;
        if (field.number == 2) {
            TRY(expect(&normalizer, &field, BYTES_OF_LENGTH, err));
            model->charsmap = field.bytes;
            model->charsmap_size = field.size;
        } else if (field.number >= 3 && field.number <= 5) {
            TRY(expect(&normalizer, &field, VARINT, err));
            *flag[field.number] = field.value != 0;
        }
    }
}

enum status sentencepiece_read(struct sentencepiece *model, struct arena *arena, const char *path, const uint8_t *bytes, size_t size, struct error *err)
{
    struct message message = { path, bytes, bytes, bytes + size };
    uint32_t room = (uint32_t)(size / 16 < LARGEST_ID ? size / 16 : LARGEST_ID) + 16;
    struct field field;
    bool more;
    *model = (struct sentencepiece){
        .unknown = -1, .algorithm = SENTENCEPIECE_UNIGRAM, .add_dummy_prefix = true, .remove_extra_whitespaces = true, .escape_whitespaces = true
    };
    vocabulary_init(&model->pieces, arena, room);
    model->score = NEW_ARRAY(arena, room, float);
    model->kind = NEW_ARRAY(arena, room, unsigned char);
    for (;;) {
        struct piece_fields piece;
        TRY(take_field(&message, &field, &more, err));
        if (!more)
            break;
        if (field.number > 3)
            continue;
        TRY(expect(&message, &field, BYTES_OF_LENGTH, err));
        if (field.number == 2)
            TRY(read_trainer(model, inside(&message, &field), err));
        if (field.number == 3)
            TRY(read_normalizer(model, inside(&message, &field), err));
        if (field.number != 1)
            continue;
        TRY(read_piece(inside(&message, &field), &piece, err));
        TRY(add_piece(model, &message, &piece, &room, err));
    }
    if (model->unknown < 0)
        return fail_with(err, BAD_FILE, "%s: %" PRIu32 " pieces, and none for the unknown",
                         "is this a SentencePiece model? The download may be incomplete: fetch the file again", path, model->pieces.count);
    return OK;
}

struct cut {
    float score;
    uint32_t left_length, right_length; /* in characters */
    int32_t whole, left, right;
};

static int best_first(const void *a, const void *b)
{
    const struct cut *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->left_length != y->left_length)
        return x->left_length > y->left_length ? -1 : 1;
    if (x->right_length != y->right_length)
        return x->right_length > y->right_length ? -1 : 1;
    return x->whole < y->whole ? -1 : x->whole > y->whole; /* two cuts of one piece differ in length */
}

static uint32_t characters(const char *bytes, uint32_t length)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < length; i++)
        count += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    return count;
}

void sentencepiece_write_merges(const struct sentencepiece *model, struct text *json)
{
    const struct vocabulary *pieces = &model->pieces;
    struct arena *scratch = arena_create_like(json->arena);
    struct cut *cut = NULL;
    size_t count = 0, capacity = 0;
    for (uint32_t id = 0; id < pieces->count; id++) {
        const struct entry *piece = &pieces->entry[id];
        for (uint32_t at = 1; model->kind[id] == PIECE_NORMAL && at < piece->length; at++) {
            if (((unsigned char)piece->bytes[at] & 0xC0) == 0x80)
                continue;
            int32_t left = vocabulary_find(pieces, piece->bytes, at), right = left < 0 ? -1 : vocabulary_find(pieces, piece->bytes + at, piece->length - at);
            if (right < 0)
                continue;
            if (count == capacity) {
                size_t larger = capacity ? capacity * 2 : 1 << 16;
                cut = arena_grow(scratch, cut, count, larger, sizeof *cut);
                capacity = larger;
            }
            cut[count++] =
                (struct cut){ model->score[id], characters(piece->bytes, at), characters(piece->bytes + at, piece->length - at), (int32_t)id, left, right };
        }
    }
    if (count > 0)
        qsort(cut, count, sizeof *cut, best_first);
    text_add_string(json, "[");
    for (size_t i = 0; i < count; i++) {
        const struct entry *left = &pieces->entry[cut[i].left], *right = &pieces->entry[cut[i].right];
        text_add_string(json, i ? ",[" : "[");
        text_add_json(json, left->bytes, left->length);
        text_add_string(json, ",");
        text_add_json(json, right->bytes, right->length);
        text_add_string(json, "]");
    }
    text_add_string(json, "]");
    arena_destroy(scratch);
}
