/* Patterns (PCRE2, compiled with its JIT) and the stages that search: replace, cut.
 *
 * A search walks a piece from left to right as Oniguruma's binding does: an empty match right behind the match before it does not count.
 * A match that backtracks without end stops at PCRE2's limits and is an error, never a wrong cut.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/stage.h"

#include <pcre2.h>
#include <string.h>

enum { MATCH_LIMIT = 10000000, HEAP_LIMIT_KIB = 256 << 10, LONGEST_REPLACED = 1 << 20 };

struct pattern {
    struct pattern *next;
    pcre2_code *code; /* NULL: a literal */
    pcre2_match_context *context;
    const char *literal;
    size_t length;
};

static enum status compile(struct pattern *pattern, const char *where, const char *shown, const struct text *translated, struct error *err)
{
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pattern->context = pcre2_match_context_create(NULL);
    if (!context || !pattern->context) {
        pcre2_compile_context_free(context);
        return fail_with(err, NO_MEMORY, "%s: no memory for a pattern", "free some memory", where);
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_match_limit(pattern->context, MATCH_LIMIT);
    pcre2_set_heap_limit(pattern->context, HEAP_LIMIT_KIB);
    pattern->code = pcre2_compile((PCRE2_SPTR)(translated->length ? translated->bytes : ""), translated->length,
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_UTF_CHECK, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (!pattern->code && code == PCRE2_ERROR_HEAP_FAILED)
        return fail_with(err, NO_MEMORY, "%s: no memory for a pattern", "free some memory", where);
    if (!pattern->code) {
        PCRE2_UCHAR message[200] = "";
        pcre2_get_error_message(code, message, sizeof message);
        return fail_with(err, BAD_FILE, "%s: pattern '%.300s' does not compile: %s", "the pattern is written in Oniguruma's syntax", where, shown,
                         (const char *)message);
    }
    (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* without it, matching is only slower */
    return OK;
}

enum status pattern_compile(struct pattern **list, struct arena *arena, const char *where, const char *text, size_t length, bool literal,
                            const struct pattern **out, struct error *err)
{
    struct pattern *pattern = NEW(arena, struct pattern);
    struct text translated = text_new(arena);
    pattern->next = *list;
    *list = pattern;
    *out = pattern;
    if (literal && length > 0) {
        pattern->literal = arena_text(arena, text, length);
        pattern->length = length;
        return OK;
    }
    TRY(pattern_translate(arena, where, text, length, &translated, err));
    return compile(pattern, where, text, &translated, err);
}

void patterns_free(struct pattern **list)
{
    for (; *list; *list = (*list)->next) {
        pcre2_code_free((*list)->code);
        pcre2_match_context_free((*list)->context);
    }
}

/* A search through subject[0..length). */
struct search {
    const struct pattern *pattern;
    pcre2_match_data *data;
    const char *subject;
    size_t length, at;
    size_t last_end; /* of the match before, SIZE_MAX: none */
};

static enum status search_open(struct search *search, const struct pattern *pattern, struct error *err)
{
    *search = (struct search){ .pattern = pattern };
    if (!pattern->code)
        return OK;
    search->data = pcre2_match_data_create(1, NULL);
    return search->data ? OK : fail_with(err, NO_MEMORY, "no memory to search text", "free some memory");
}

static void search_in(struct search *search, const char *subject, size_t length)
{
    search->subject = subject;
    search->length = length;
    search->at = 0;
    search->last_end = SIZE_MAX;
}

static enum status match_failed(int code, size_t at, struct error *err)
{
    PCRE2_UCHAR message[200] = "";
    if (code == PCRE2_ERROR_NOMEMORY)
        return fail_with(err, NO_MEMORY, "no memory to search text", "free some memory");
    pcre2_get_error_message(code, message, sizeof message);
    return fail_with(err, BAD_DATA, "the tokenizer's pattern gave up %zu bytes into a piece of text: %s",
                     "the pattern backtracks too much on this text: shorten the record", at, (const char *)message);
}

/* The next match, if any. */
static enum status search_next(struct search *search, bool *found, size_t *begin, size_t *end, struct error *err)
{
    const struct pattern *pattern = search->pattern;
    *found = false;
    while (search->at <= search->length) {
        if (!pattern->code) {
            const char *place = memmem(search->subject + search->at, search->length - search->at, pattern->literal, pattern->length);
            if (!place)
                return OK;
            *begin = (size_t)(place - search->subject);
            *end = *begin + pattern->length;
        } else {
            int code = pcre2_match(pattern->code, (PCRE2_SPTR)search->subject, search->length, search->at, PCRE2_NO_UTF_CHECK, search->data, pattern->context);
            if (code == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its stack on the heap */
                code = pcre2_match(pattern->code, (PCRE2_SPTR)search->subject, search->length, search->at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, search->data,
                                   pattern->context);
            if (code == PCRE2_ERROR_NOMATCH)
                return OK;
            if (code < 0)
                return match_failed(code, search->at, err);
            *begin = pcre2_get_ovector_pointer(search->data)[0];
            *end = pcre2_get_ovector_pointer(search->data)[1];
            if (*end < *begin || *begin < search->at) /* \K and look-behinds could; translation lets none through */
                return match_failed(PCRE2_ERROR_INTERNAL, search->at, err);
        }
        if (*begin == *end && *end == search->last_end) {
            uint32_t code;
            int size = search->at < search->length ? utf8_decode(search->subject + search->at, search->length - search->at, &code) : 1;
            search->at += size > 0 ? (size_t)size : 1;
            continue;
        }
        search->at = search->last_end = *end;
        *found = true;
        return OK;
    }
    return OK;
}

static void search_close(struct search *search)
{
    pcre2_match_data_free(search->data);
}

enum status pattern_replace(const struct pattern *pattern, const char *bytes, size_t length, const char *content, size_t content_length, struct text *out,
                            struct error *err)
{
    struct search search;
    size_t kept = 0, begin, end;
    bool found = false;
    enum status status = search_open(&search, pattern, err);
    if (status != OK)
        return status;
    search_in(&search, bytes, length);
    while (length > 0 && (status = search_next(&search, &found, &begin, &end, err)) == OK && found) {
        if (out->length > LONGEST_REPLACED) {
            status = fail_with(err, BAD_FILE, "tokenizer.json: decoder Replace makes more than 1 MiB of one token", "look at the decoder in tokenizer.json");
            break;
        }
        text_add(out, bytes + kept, begin - kept);
        text_add(out, content, content_length);
        kept = end;
    }
    text_add(out, bytes + kept, length - kept);
    search_close(&search);
    return status;
}

/* What replaces an empty match stands for the empty span at its place. */
static struct span span_at(const struct passage *now, struct piece piece, uint32_t begin, uint32_t end)
{
    if (begin < end)
        return passage_span(now, begin, end);
    if (begin < piece.end) {
        uint32_t place = passage_span(now, begin, begin + 1).begin;
        return (struct span){ place, place };
    }
    uint32_t place = passage_span(now, begin - 1, begin).end;
    return (struct span){ place, place };
}

enum status run_replace(const struct stage *stage, struct passages *passages, struct error *err)
{
    const struct passage *now = passages->now;
    struct search search;
    enum status status = search_open(&search, stage->pattern, err);
    for (uint32_t i = 0; i < now->count && status == OK; i++) {
        struct piece piece = now->piece[i];
        uint32_t start = passages->next->length, kept = piece.begin;
        size_t begin, end;
        bool found = piece.id < 0;
        search_in(&search, now->bytes + piece.begin, piece.end - piece.begin);
        while (found && !passages->too_long && (status = search_next(&search, &found, &begin, &end, err)) == OK && found) {
            uint32_t first = piece.begin + (uint32_t)begin, behind = piece.begin + (uint32_t)end;
            passages_keep(passages, kept, first);
            passages_put(passages, stage->content, stage->length, span_at(now, piece, first, behind));
            kept = behind;
        }
        if (piece.id < 0) {
            passages_keep(passages, kept, piece.end);
            piece = (struct piece){ start, passages->next->length, -1, { 0, 0 } };
        }
        passage_add_piece(passages->next, piece);
    }
    search_close(&search);
    if (status == OK)
        passages_turn(passages);
    return status;
}

/* Collects the parts of one piece and joins them as the behaviour says. A part is a delimiter or what stands between two. */
struct cutter {
    const struct stage *stage;
    struct passage *out; /* only its pieces are used */
    struct piece open;   /* not added yet: later parts may still join it */
    bool is_open, last_was_delimiter;
};

static void close_part(struct cutter *cutter)
{
    if (cutter->is_open)
        passage_add_piece(cutter->out, cutter->open);
    cutter->is_open = false;
}

static void add_part(struct cutter *cutter, uint32_t begin, uint32_t end, bool matches)
{
    bool delimiter = matches != cutter->stage->invert, last = cutter->last_was_delimiter, join = false;
    cutter->last_was_delimiter = delimiter;
    switch (cutter->stage->behaviour) {
    case REMOVED:
        if (delimiter)
            return;
        break;
    case ISOLATED:
        break;
    case CONTIGUOUS: /* delimiters join, and what stands between joins what stands between */
        join = delimiter == last;
        break;
    case MERGED_WITH_PREVIOUS: /* a delimiter joins the part before it, unless that is itself a delimiter */
        join = delimiter && !last;
        break;
    case MERGED_WITH_NEXT: /* a delimiter waits for the next part, unless that is itself a delimiter */
        join = !delimiter && last;
        break;
    }
    if (join && cutter->is_open) {
        cutter->open.end = end;
        return;
    }
    close_part(cutter);
    cutter->open = (struct piece){ begin, end, -1, { 0, 0 } };
    cutter->is_open = true;
}

static bool in_class(enum character_class class, uint32_t code)
{
    return class == WHITE_SPACE ? is_white_space(code) : class == NUMERIC ? is_numeric(code) : is_punctuation(code);
}

static void cut_by_class(struct cutter *cutter, const struct passage *now, struct piece piece)
{
    uint32_t between = piece.begin, size;
    for (uint32_t at = piece.begin; at < piece.end; at += size) {
        uint32_t code = (unsigned char)now->bytes[at];
        size = code < 0x80 ? 1 : (uint32_t)utf8_decode(now->bytes + at, piece.end - at, &code);
        if (!in_class(cutter->stage->class, code))
            continue;
        if (between < at)
            add_part(cutter, between, at, false);
        add_part(cutter, at, at + size, true);
        between = at + size;
    }
    if (between < piece.end)
        add_part(cutter, between, piece.end, false);
}

static enum status cut_by_pattern(struct cutter *cutter, struct search *search, const struct passage *now, struct piece piece, struct error *err)
{
    uint32_t between = piece.begin;
    size_t begin, end;
    bool found;
    search_in(search, now->bytes + piece.begin, piece.end - piece.begin);
    for (;;) {
        TRY(search_next(search, &found, &begin, &end, err));
        if (!found)
            break;
        uint32_t first = piece.begin + (uint32_t)begin, behind = piece.begin + (uint32_t)end;
        if (between < first)
            add_part(cutter, between, first, false);
        add_part(cutter, first, behind, true);
        between = behind;
    }
    if (between < piece.end)
        add_part(cutter, between, piece.end, false);
    return OK;
}

/* Only the cuts change: the new pieces are gathered in `next` and given to `now`. */
enum status run_cut(const struct stage *stage, struct passages *passages, struct error *err)
{
    struct passage *now = passages->now, *next = passages->next;
    struct search search = { 0 };
    enum status status = stage->class == BY_PATTERN ? search_open(&search, stage->pattern, err) : OK;
    next->count = 0;
    for (uint32_t i = 0; i < now->count && status == OK; i++) {
        struct cutter cutter = { .stage = stage, .out = next };
        if (now->piece[i].id >= 0)
            passage_add_piece(next, now->piece[i]);
        else if (stage->class == BY_PATTERN)
            status = cut_by_pattern(&cutter, &search, now, now->piece[i], err);
        else
            cut_by_class(&cutter, now, now->piece[i]);
        close_part(&cutter);
    }
    search_close(&search);
    passages_swap_pieces(passages);
    return status;
}
