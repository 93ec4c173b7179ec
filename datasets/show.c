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

/* Data must not command the terminal: controls but line feed and tab become \\xNN, as do U+0080 to U+009F. Nor may they be markup in HTML. */
static void add_visible(struct text *out, const char *bytes, size_t length, bool html)
{
    static const struct {
        char character;
        const char *escape;
    } escapes[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" } };
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        const char *escape = NULL;
        int size = utf8_decode(bytes + i, length - i, &code);
        bool command = size == 0 || (code < ' ' && code != '\n' && code != '\t') || (code >= 0x7F && code < 0xA0);
        size += size == 0;
        for (size_t e = 0; e < COUNT(escapes) && html; e++)
            if (bytes[i] == escapes[e].character)
                escape = escapes[e].escape;
        if (command)
            text_print(out, "\\x%02X", size == 1 ? (unsigned)(unsigned char)bytes[i] : code);
        else if (escape)
            text_add_string(out, escape);
        else
            text_add(out, bytes + i, (size_t)size);
        i += (size_t)size;
    }
}

void text_add_html(struct text *out, const char *bytes, size_t length)
{
    add_visible(out, bytes, length, true);
}

static enum status decode(const struct sequence *sequence, const struct tokenizer *tokenizer, int64_t count, struct text *out, struct error *err)
{
    text_clear(out);
    text_add(out, "", 0);
    return tokenizer_decode(tokenizer, sequence->ids, count, false, out, err);
}

static const struct {
    const char *begin, *end;
} marks[] = { [SHOW_PLAIN] = { "[[", "]]" }, [SHOW_COLOUR] = { "\x1B[7m", "\x1B[27m" }, [SHOW_HTML] = { "<mark>", "</mark>" } };

/* The last count - from ids as numbers, or the text they add to `whole` from byte *cut on. */
static enum status add_run(const struct sequence *sequence, const struct tokenizer *tokenizer, int64_t from, int64_t to, const struct text *whole,
                           struct text *beginning, size_t *cut, bool html, struct text *out, struct error *err)
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
    add_visible(out, whole->bytes + start, end - start, html);
    *cut = end;
    return OK;
}

static enum status show(const struct sequence *sequence, const struct tokenizer *tokenizer, enum show_style style, struct arena *scratch, struct text *out,
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
            text_add_string(out, marks[style].begin);
        TRY(add_run(sequence, tokenizer, from, to, &whole, &beginning, &cut, style == SHOW_HTML, out, err));
        if (trained)
            text_add_string(out, marks[style].end);
    }
    return OK;
}

enum status sequence_show(const struct sequence *sequence, const struct tokenizer *tokenizer, enum show_style style, struct text *out, struct error *err)
{
    struct arena *scratch = arena_create_like(out->arena);
    enum status status = show(sequence, tokenizer, style, scratch, out, err);
    arena_destroy(scratch);
    return status;
}
