/* A sequence for human eyes: its text, with what is trained marked.
 *
 * Tokens are no characters: one character may be several tokens, and a decoder may treat the front of a text unlike its middle. So the text is decoded as a
 * whole, and a border between tokens stands where the decoded beginning stops agreeing with it.
 */
#include "datasets/dataset.h"

#include <string.h>

static bool is_trained(const struct sequence *sequence, int64_t t)
{
    return t > 0 && t < sequence->count && sequence->labels[t] != NOT_TRAINED;
}

/* Data must not command the terminal: controls but line feed and tab become \xNN, as do U+0080 to U+009F. */
static void add_visible(struct text *out, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        int size = utf8_decode(bytes + i, length - i, &code);
        bool command = size == 0 || (code < ' ' && code != '\n' && code != '\t') || (code >= 0x7F && code < 0xA0);
        size += size == 0;
        if (command)
            text_print(out, "\\x%02X", size == 1 ? (unsigned)(unsigned char)bytes[i] : code);
        else
            text_add(out, bytes + i, (size_t)size);
        i += (size_t)size;
    }
}

static enum status decode(const struct sequence *sequence, const struct tokenizer *tokenizer, int64_t count, struct text *out, struct error *err)
{
    text_clear(out);
    text_add(out, "", 0);
    return tokenizer_decode(tokenizer, sequence->ids, count, false, out, err);
}

static void mark(struct text *out, bool begins, bool colour)
{
    text_add_string(out, colour ? (begins ? "\x1B[7m" : "\x1B[27m") : begins ? "[[" : "]]");
}

/* The last count - from ids as numbers, or the text they add to `whole` from byte *cut on. */
static enum status add_run(const struct sequence *sequence, const struct tokenizer *tokenizer, int64_t from, int64_t to, const struct text *whole,
                           struct text *beginning, size_t *cut, struct text *out, struct error *err)
{
    if (!tokenizer) {
        for (int64_t t = from; t < to; t++)
            text_print(out, "%s%d", t > from ? " " : "", sequence->ids[t]);
        return OK;
    }
    size_t end = whole->length, start = *cut;
    if (to < sequence->count) {
        TRY(decode(sequence, tokenizer, to, beginning, err));
        for (end = start; end < whole->length && end < beginning->length && whole->bytes[end] == beginning->bytes[end];)
            end++;
        while (end > start && end < whole->length && ((unsigned char)whole->bytes[end] & 0xC0) == 0x80)
            end--;
    }
    add_visible(out, whole->bytes + start, end - start);
    *cut = end;
    return OK;
}

static enum status show(const struct sequence *sequence, const struct tokenizer *tokenizer, bool colour, struct arena *scratch, struct text *out,
                        struct error *err)
{
    struct text whole = text_new(scratch), beginning = text_new(scratch);
    size_t cut = 0;
    if (tokenizer)
        TRY(decode(sequence, tokenizer, sequence->count, &whole, err));
    for (int64_t from = 0, to; from < sequence->count; from = to) {
        bool trained = is_trained(sequence, from);
        for (to = from + 1; to < sequence->count && is_trained(sequence, to) == trained;)
            to++;
        if (!tokenizer && from > 0)
            text_add_string(out, " ");
        if (trained)
            mark(out, true, colour);
        TRY(add_run(sequence, tokenizer, from, to, &whole, &beginning, &cut, out, err));
        if (trained)
            mark(out, false, colour);
    }
    return OK;
}

enum status sequence_show(const struct sequence *sequence, const struct tokenizer *tokenizer, bool colour, struct text *out, struct error *err)
{
    struct arena *scratch = arena_create_like(out->arena);
    enum status status = show(sequence, tokenizer, colour, scratch, out, err);
    arena_destroy(scratch);
    return status;
}
