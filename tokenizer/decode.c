/* Every step gets fragments of tokens and passes fragments on; `ends` marks the last fragment of a token. Steps that look at whole tokens
 * gather them first. Only three hold text back for longer: ByteLevel (a character's missing bytes), ByteFallback (a run of byte tokens
 * is text only if all of it is valid), Strip (characters that might be the last).
 */
#include "tokenizer/decode_steps.h"

#include <string.h>

/* What a step remembers between fragments. */
struct memory {
    struct text token; /* of a step that needs whole tokens: what has come of this one */
    struct text held;
    bool begun;     /* a token has come before: the first one is over */
    int64_t inside; /* Strip: characters of this token; */
    int64_t cut;    /* how many of them were cut in front; */
    int64_t last;   /* how many marks are held back at the end */
};

struct decoding {
    const struct decoder *decoder;
    struct memory *memory;
    struct text *out;
};

static const char replacement[] = "\xEF\xBF\xBD";

static enum status push(struct decoding *decoding, int place, const char *bytes, size_t length, bool ends, struct error *err);

/* The longest beginning of a character at bytes[0], which is no whole one; *open: more bytes could complete it. */
static size_t broken_part(const unsigned char *bytes, size_t length, bool *open)
{
    unsigned char lead = bytes[0], low = 0x80, high = 0xBF;
    size_t size = lead >= 0xC2 && lead <= 0xDF ? 2 : (lead & 0xF0) == 0xE0 ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 1;
    if (lead == 0xE0)
        low = 0xA0;
    else if (lead == 0xED)
        high = 0x9F;
    else if (lead == 0xF0)
        low = 0x90;
    else if (lead == 0xF4)
        high = 0x8F;
    size_t at = 1;
    for (; at < size && at < length && bytes[at] >= low && bytes[at] <= high; at++) {
        low = 0x80;
        high = 0xBF;
    }
    *open = at == length && at < size;
    return at;
}

/* Passes on all of `held` that is decided: whole characters, and one replacement for each broken part. */
static enum status pass_characters(struct decoding *decoding, int place, bool end, struct error *err)
{
    struct text *held = &decoding->memory[place].held;
    size_t at = 0, from = 0;
    while (at < held->length) {
        uint32_t code;
        bool open;
        int size = utf8_decode(held->bytes + at, held->length - at, &code);
        if (size > 0) {
            at += (size_t)size;
            continue;
        }
        size_t part = broken_part((const unsigned char *)held->bytes + at, held->length - at, &open);
        if (open && !end)
            break;
        if (at > from)
            TRY(push(decoding, place + 1, held->bytes + from, at - from, false, err));
        TRY(push(decoding, place + 1, replacement, strlen(replacement), false, err));
        at += part;
        from = at;
    }
    if (at > from)
        TRY(push(decoding, place + 1, held->bytes + from, at - from, false, err));
    memmove(held->bytes, held->bytes + at, held->length - at);
    held->length -= at;
    return OK;
}

/* Stand-ins become their bytes; a token with any other character is taken as it is. */
static enum status byte_level(struct decoding *decoding, int place, const char *bytes, size_t length, struct error *err)
{
    struct text *held = &decoding->memory[place].held;
    size_t before = held->length, size;
    for (size_t at = 0; at < length; at += size) {
        uint32_t code;
        size = (size_t)utf8_decode(bytes + at, length - at, &code);
        int byte = stand_in_byte(code);
        if (byte < 0) {
            held->length = before;
            text_add(held, bytes, length);
            break;
        }
        char c = (char)byte;
        text_add(held, &c, 1);
    }
    return pass_characters(decoding, place, false, err);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "<0x0A>"; the Python package's number reader takes a sign, too. */
static int byte_token(const char *bytes, size_t length)
{
    if (length != 6 || memcmp(bytes, "<0x", 3) != 0 || bytes[5] != '>' || hex(bytes[4]) < 0)
        return -1;
    int high = bytes[3] == '+' ? 0 : hex(bytes[3]);
    return high < 0 ? -1 : high * 16 + hex(bytes[4]);
}

static enum status pass_run(struct decoding *decoding, int place, struct error *err)
{
    struct text *held = &decoding->memory[place].held;
    if (held->length > 0 && utf8_valid(held->bytes, held->length, NULL))
        TRY(push(decoding, place + 1, held->bytes, held->length, true, err));
    else
        for (size_t i = 0; i < held->length; i++)
            TRY(push(decoding, place + 1, replacement, strlen(replacement), true, err));
    text_clear(held);
    return OK;
}

static enum status byte_fallback(struct decoding *decoding, int place, const char *bytes, size_t length, struct error *err)
{
    int byte = byte_token(bytes, length);
    if (byte >= 0) {
        char c = (char)byte;
        text_add(&decoding->memory[place].held, &c, 1);
        return OK;
    }
    TRY(pass_run(decoding, place, err));
    return push(decoding, place + 1, bytes, length, true, err);
}

/* Every `text` becomes `by`. */
static enum status swap(struct decoding *decoding, int place, const char *bytes, size_t length, const char *text, size_t text_length, const char *by, bool ends,
                        struct error *err)
{
    const char *end = bytes + length, *found;
    while ((found = memmem(bytes, (size_t)(end - bytes), text, text_length))) {
        TRY(push(decoding, place + 1, bytes, (size_t)(found - bytes), false, err));
        TRY(push(decoding, place + 1, by, strlen(by), false, err));
        bytes = found + text_length;
    }
    return push(decoding, place + 1, bytes, (size_t)(end - bytes), ends, err);
}

/* The suffix that ends a word is a space, unless nothing follows; so a token waits for the next. */
static enum status word_suffix(struct decoding *decoding, int place, const char *bytes, size_t length, struct error *err)
{
    const struct decoder_step *step = &decoding->decoder->step[place];
    struct memory *memory = &decoding->memory[place];
    if (memory->begun)
        TRY(swap(decoding, place, memory->held.bytes, memory->held.length, step->content, step->length, " ", true, err));
    memory->begun = true;
    text_clear(&memory->held);
    text_add(&memory->held, bytes, length);
    return OK;
}

static enum status pass_marks(struct decoding *decoding, int place, int64_t count, struct error *err)
{
    const struct decoder_step *step = &decoding->decoder->step[place];
    for (int64_t i = 0; i < count; i++)
        TRY(push(decoding, place + 1, step->content, step->length, false, err));
    return OK;
}

/* Up to `start` marks in front of a token and up to `stop` at its end go. */
static enum status strip(struct decoding *decoding, int place, const char *bytes, size_t length, bool ends, struct error *err)
{
    const struct decoder_step *step = &decoding->decoder->step[place];
    struct memory *memory = &decoding->memory[place];
    for (size_t at = 0; at < length;) {
        bool mark = length - at >= step->length && memcmp(bytes + at, step->content, step->length) == 0;
        uint32_t code;
        size_t size = mark ? step->length : (size_t)utf8_decode(bytes + at, length - at, &code);
        bool leading = memory->cut == memory->inside++;
        if (mark && leading && memory->cut < step->start) {
            memory->cut++;
        } else if (mark) {
            if (memory->last == step->stop)
                TRY(pass_marks(decoding, place, 1, err));
            else
                memory->last++;
        } else {
            TRY(pass_marks(decoding, place, memory->last, err));
            memory->last = 0;
            TRY(push(decoding, place + 1, bytes + at, size, false, err));
        }
        at += size;
    }
    if (!ends)
        return OK;
    memory->inside = memory->cut = memory->last = 0;
    return push(decoding, place + 1, "", 0, true, err);
}

/* A fragment for the step at `place`; behind the last step it is text. */
static enum status run_step(struct decoding *decoding, int place, const char *bytes, size_t length, bool ends, struct error *err)
{
    const struct decoder_step *step = &decoding->decoder->step[place];
    struct memory *memory = &decoding->memory[place];
    switch (step->kind) {
    case DECODE_BYTE_LEVEL:
        return byte_level(decoding, place, bytes, length, err);
    case DECODE_BYTE_FALLBACK:
        return byte_fallback(decoding, place, bytes, length, err);
    case DECODE_WORD_SUFFIX:
        return word_suffix(decoding, place, bytes, length, err);
    case DECODE_FUSE:
        return push(decoding, place + 1, bytes, length, false, err);
    case DECODE_STRIP:
        return strip(decoding, place, bytes, length, ends, err);
    case DECODE_METASPACE: {
        bool drops = !memory->begun && step->drops_first;
        memory->begun |= ends;
        return swap(decoding, place, bytes, length, step->content, step->length, drops ? "" : " ", ends, err);
    }
    case DECODE_JOIN:
        if (memory->begun)
            TRY(push(decoding, place + 1, " ", 1, false, err));
        memory->begun = true;
        return push(decoding, place + 1, bytes, length, ends, err);
    case DECODE_REPLACE:
        text_clear(&memory->held);
        TRY(pattern_replace(step->pattern, bytes, length, step->content, step->length, &memory->held, err));
        return push(decoding, place + 1, memory->held.bytes, memory->held.length, true, err);
    }
    return OK;
}

static bool needs_whole_tokens(enum decoder_kind kind)
{
    return kind == DECODE_BYTE_LEVEL || kind == DECODE_BYTE_FALLBACK || kind == DECODE_WORD_SUFFIX || kind == DECODE_REPLACE;
}

static enum status push(struct decoding *decoding, int place, const char *bytes, size_t length, bool ends, struct error *err)
{
    if (place == decoding->decoder->count) {
        text_add(decoding->out, bytes, length);
        return OK;
    }
    struct text *token = &decoding->memory[place].token;
    if (!needs_whole_tokens(decoding->decoder->step[place].kind) || (ends && token->length == 0))
        return run_step(decoding, place, bytes, length, ends, err);
    text_add(token, bytes, length);
    if (!ends)
        return OK;
    enum status status = run_step(decoding, place, token->bytes, token->length, true, err);
    text_clear(token);
    return status;
}

struct decoding *decoding_new(const struct decoder *decoder, struct arena *arena)
{
    struct decoding *decoding = NEW(arena, struct decoding);
    decoding->decoder = decoder;
    decoding->memory = NEW_ARRAY(arena, decoder->count, struct memory);
    for (int i = 0; i < decoder->count; i++) {
        decoding->memory[i].token = text_new(arena);
        decoding->memory[i].held = text_new(arena);
        text_add(&decoding->memory[i].held, "", 0); /* so that bytes is never NULL */
    }
    return decoding;
}

enum status decoding_add(struct decoding *decoding, const char *token, size_t length, struct text *out, struct error *err)
{
    decoding->out = out;
    return push(decoding, 0, token, length, true, err);
}

enum status decoding_end(struct decoding *decoding, struct text *out, struct error *err)
{
    decoding->out = out;
    for (int place = 0; place < decoding->decoder->count; place++) {
        const struct decoder_step *step = &decoding->decoder->step[place];
        struct memory *memory = &decoding->memory[place];
        if (step->kind == DECODE_BYTE_LEVEL)
            TRY(pass_characters(decoding, place, true, err));
        if (step->kind == DECODE_BYTE_LEVEL || step->kind == DECODE_FUSE) /* all tokens became one */
            TRY(push(decoding, place + 1, "", 0, true, err));
        if (step->kind == DECODE_BYTE_FALLBACK)
            TRY(pass_run(decoding, place, err));
        if (step->kind == DECODE_WORD_SUFFIX && memory->begun)
            TRY(swap(decoding, place, memory->held.bytes, memory->held.length, step->content, step->length, "", true, err));
    }
    return OK;
}
