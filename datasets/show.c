/* A sequence for human eyes: its text, with what is trained marked.
 *
 * Tokens are no characters: one character may be several tokens, and a decoder may treat the front of a text unlike its middle. So the text is decoded as a
 * whole, and a border between tokens stands where the decoded beginning stops agreeing with it.
 */
#include "datasets/dataset.h"
#include "common/html.h"

#include <string.h>

static bool is_trained(const struct sequence *sequence, int64_t t)
{
    return t > 0 && t < sequence->count && sequence->labels[t] != NOT_TRAINED;
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
    (html ? text_add_html : text_add_visible)(out, whole->bytes + start, end - start);
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
