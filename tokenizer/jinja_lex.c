/* A template into words. Between tags there is text; a tag's signs ({%- -%} {%+ +%}), and the two settings that transformers turns on, take white
 * space off the text on their sides:
 *
 *   {%- {{- {#-   all of it in front            -%} -}} -#}   all of it behind
 *   {%  {#        blanks in front, when they      %} #}         one line end right behind (trim_blocks)
 *                 begin their line (lstrip_blocks)
 */
#include "tokenizer/jinja_lex.h"
#include "tokenizer/jinja_unicode.h"

#include <stdio.h>
#include <string.h>

enum { MOST_OPEN = 200 };

struct lexer {
    struct arena *arena;
    const struct jinja_source *source;
    const char *text;
    size_t length, at;
    struct jinja_word *word;
    size_t count, capacity;
    char open[MOST_OPEN]; /* brackets to be closed */
    int depth;
    struct error *err;
};

enum status jinja_fail_at(const struct jinja_source *source, size_t at, enum status code, struct error *err, const char *what, const char *cure, ...)
{
    char text[900];
    size_t line = 1, column = 1;
    va_list arguments;
    va_start(arguments, cure);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    for (size_t i = 0; i < at && i < source->length; i++) {
        column = source->bytes[i] == '\n' ? 1 : column + (((unsigned char)source->bytes[i] & 0xC0) != 0x80);
        line += source->bytes[i] == '\n';
    }
    return fail_with(err, code, "%s:%zu:%zu: %s", cure, source->where, line, column, text_make_printable(text));
}

#define REFUSE(lexer, at, ...) jinja_fail_at((lexer)->source, at, BAD_FILE, (lexer)->err, __VA_ARGS__)

static struct jinja_word *add_word(struct lexer *lexer, enum jinja_word_type type, size_t at)
{
    if (lexer->count == lexer->capacity) {
        lexer->capacity = lexer->capacity ? 2 * lexer->capacity : 256;
        lexer->word = arena_grow(lexer->arena, lexer->word, lexer->count, lexer->capacity, sizeof *lexer->word);
    }
    struct jinja_word *word = &lexer->word[lexer->count++];
    *word = (struct jinja_word){ .type = type, .at = (uint32_t)at };
    return word;
}

static bool stands(const struct lexer *lexer, size_t at, const char *what)
{
    const size_t length = strlen(what);
    return at <= lexer->length && length <= lexer->length - at && memcmp(lexer->text + at, what, length) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static void skip_space(struct lexer *lexer)
{
    lexer->at += unicode_leading_space(lexer->text + lexer->at, lexer->length - lexer->at);
}

/* Text [begin, end) in front of a tag with that sign ('-', '+' or none); `strips`: a tag that lstrip_blocks is about. */
static void add_data(struct lexer *lexer, size_t begin, size_t end, char sign, bool strips)
{
    if (sign == '-') {
        end -= unicode_trailing_space(lexer->text + begin, end - begin);
    } else if (sign != '+' && strips) {
        size_t line = end;
        while (line > begin && lexer->text[line - 1] != '\n')
            line--;
        const bool begins_a_line = line > begin || begin == 0 || lexer->text[begin - 1] == '\n';
        if (begins_a_line && unicode_leading_space(lexer->text + line, end - line) == end - line)
            end = line;
    }
    if (end == begin)
        return;
    struct jinja_word *word = add_word(lexer, WORD_DATA, begin);
    word->bytes = lexer->text + begin;
    word->length = end - begin;
}

/* The end of a tag at lexer->at, its sign taken: goes behind what the tag swallows. */
static void skip_behind(struct lexer *lexer, const char *closing, char sign, bool trims)
{
    lexer->at += strlen(closing);
    if (sign == '-')
        skip_space(lexer);
    else if (sign != '+' && trims && stands(lexer, lexer->at, "\n"))
        lexer->at++;
}

static char sign_at(const struct lexer *lexer, size_t at)
{
    return at < lexer->length && (lexer->text[at] == '-' || lexer->text[at] == '+') ? lexer->text[at] : 0;
}

static enum status lex_comment(struct lexer *lexer, size_t tag)
{
    const char *from = lexer->text + lexer->at, *close = memmem(from, lexer->length - lexer->at, "#}", 2);
    if (!close)
        return REFUSE(lexer, tag, "the comment is not closed", "end it with #}");
    const char sign = close > from && (close[-1] == '-' || close[-1] == '+') ? close[-1] : 0;
    lexer->at = (size_t)(close - lexer->text);
    skip_behind(lexer, "#}", sign, true);
    return OK;
}

/* At "{%" and its sign: whether `name` stands alone in the tag, and then where the tag ends, with its closing sign. */
static bool is_bare_tag(struct lexer *lexer, size_t at, const char *name, size_t *end, char *sign)
{
    at += unicode_leading_space(lexer->text + at, lexer->length - at);
    if (!stands(lexer, at, name))
        return false;
    at += strlen(name);
    at += unicode_leading_space(lexer->text + at, lexer->length - at);
    *sign = sign_at(lexer, at);
    *end = at + (*sign != 0);
    return stands(lexer, *end, "%}");
}

/* Behind {% raw %}: text up to {% endraw %}. */
static enum status lex_raw(struct lexer *lexer, size_t tag)
{
    const size_t begin = lexer->at;
    for (size_t i = begin; i < lexer->length; i++) {
        const char *open = memmem(lexer->text + i, lexer->length - i, "{%", 2);
        if (!open)
            break;
        i = (size_t)(open - lexer->text);
        const char front = sign_at(lexer, i + 2);
        char behind;
        size_t end;
        if (!is_bare_tag(lexer, i + 2 + (front != 0), "endraw", &end, &behind))
            continue;
        add_data(lexer, begin, i, front, true);
        lexer->at = end;
        skip_behind(lexer, "%}", behind, true);
        return OK;
    }
    return REFUSE(lexer, tag, "the raw block is not closed", "end it with {% endraw %}");
}

/* One escape behind its backslash at c; the rules of Python's strings. Returns what stands behind it, NULL for an escape that is none. */
static const char *add_escape(struct text *text, const char *c, const char *end)
{
    static const char letter[] = "abfnrtv\\'\"", meaning[] = "\a\b\f\n\r\t\v\\'\"";
    const char *known = memchr(letter, *c, sizeof letter - 1);
    uint32_t code = 0;
    if (known) {
        text_add(text, &meaning[known - letter], 1);
        return c + 1;
    }
    if (*c == '\n')
        return c + 1;
    if (*c >= '0' && *c <= '7') {
        const char *from = c;
        while (c < end && c - from < 3 && *c >= '0' && *c <= '7')
            code = code * 8 + (uint32_t)(*c++ - '0');
        text_add_code(text, code);
        return c;
    }
    const int digits = *c == 'x' ? 2 : *c == 'u' ? 4 : *c == 'U' ? 8 : 0;
    if (*c == 'N')
        return NULL;
    if (digits == 0) {
        text_add(text, "\\", 1);
        return c;
    }
    if (end - c <= digits)
        return NULL;
    for (int i = 1; i <= digits; i++) {
        const char *hex = "0123456789abcdef", *digit = memchr(hex, c[i] | 0x20, 16);
        if (!digit || (!is_digit(c[i]) && !is_name(c[i])))
            return NULL;
        code = code << 4 | (uint32_t)(digit - hex);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return NULL;
    text_add_code(text, code);
    return c + 1 + digits;
}

static enum status lex_string(struct lexer *lexer)
{
    const size_t begin = lexer->at;
    const char quote = lexer->text[begin], *end = lexer->text + lexer->length;
    struct text text = text_new(lexer->arena);
    text_add(&text, "", 0);
    const char *c = lexer->text + begin + 1;
    while (c < end && *c != quote) {
        const char *plain = c;
        while (c < end && *c != quote && *c != '\\')
            c++;
        text_add(&text, plain, (size_t)(c - plain));
        if (c == end || *c == quote)
            continue;
        const char *escape = c++;
        if (c < end && !(c = add_escape(&text, c, end)))
            return REFUSE(lexer, (size_t)(escape - lexer->text), "graft does not know the escape that begins here",
                          "write \\xNN, \\uNNNN or the character itself");
    }
    if (c == end)
        return REFUSE(lexer, begin, "the string is not closed", "end it with the quote that it began with");
    struct jinja_word *word = add_word(lexer, WORD_STRING, begin);
    word->bytes = text.bytes;
    word->length = text.length;
    lexer->at = (size_t)(c - lexer->text) + 1;
    return OK;
}

static enum status lex_number(struct lexer *lexer)
{
    const size_t begin = lexer->at;
    const bool behind_dot = begin > 0 && lexer->text[begin - 1] == '.'; /* x.0.1: two subscripts */
    size_t at = begin;
    bool is_real = false;
    while (at < lexer->length && is_digit(lexer->text[at]))
        at++;
    if (!behind_dot && at + 1 < lexer->length && lexer->text[at] == '.' && is_digit(lexer->text[at + 1]))
        for (is_real = true, at++; at < lexer->length && is_digit(lexer->text[at]);)
            at++;
    if (!behind_dot && at < lexer->length && (lexer->text[at] | 0x20) == 'e') {
        size_t digits = at + 1 + (sign_at(lexer, at + 1) != 0);
        if (digits < lexer->length && is_digit(lexer->text[digits]))
            for (is_real = true, at = digits; at < lexer->length && is_digit(lexer->text[at]);)
                at++;
    }
    const char *text = arena_text(lexer->arena, lexer->text + begin, at - begin);
    const bool odd = (at < lexer->length && is_name(lexer->text[at])) || (!is_real && text[0] == '0' && text[strspn(text, "0")] != 0);
    struct jinja_word *word = add_word(lexer, is_real ? WORD_REAL : WORD_INT, begin);
    if (odd || !(is_real ? text_to_real(text, &word->real) : text_to_int(text, &word->integer)))
        return REFUSE(lexer, begin, "graft cannot read the number that begins with '%.30s'", "write a decimal number that 64 bits can hold", text);
    lexer->at = at;
    return OK;
}

static enum status lex_operator(struct lexer *lexer)
{
    static const char *const operators[] = { "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                             "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", "," };
    const char *found = NULL;
    for (size_t i = 0; !found && i < COUNT(operators); i++)
        if (stands(lexer, lexer->at, operators[i]))
            found = operators[i];
    if (!found) {
        uint32_t code = 0;
        int size = utf8_decode(lexer->text + lexer->at, lexer->length - lexer->at, &code);
        return REFUSE(lexer, lexer->at, "'%.*s' has no meaning in a tag", "names are ASCII letters, digits and _; text belongs in quotes", size ? size : 1,
                      lexer->text + lexer->at);
    }
    static const char opening[] = "([{", closing[] = ")]}";
    const char *open = strchr(opening, *found), *close = strchr(closing, *found);
    if (open) {
        if (lexer->depth == MOST_OPEN)
            return REFUSE(lexer, lexer->at, "more than %d open brackets", "nest less deeply", MOST_OPEN);
        lexer->open[lexer->depth++] = closing[open - opening];
    } else if (close && (lexer->depth == 0 || lexer->open[--lexer->depth] != *found)) {
        return REFUSE(lexer, lexer->at, "'%s' closes nothing", "close the brackets that are open, in their order", found);
    }
    struct jinja_word *word = add_word(lexer, WORD_OPERATOR, lexer->at);
    word->bytes = found;
    word->length = strlen(found);
    lexer->at += word->length;
    return OK;
}

/* The words of a tag, from behind its opening to behind its closing. */
static enum status lex_tag(struct lexer *lexer, size_t tag, bool is_block)
{
    const char *const closing = is_block ? "%}" : "}}";
    add_word(lexer, is_block ? WORD_BLOCK_BEGIN : WORD_PRINT_BEGIN, tag);
    lexer->depth = 0;
    for (;;) {
        skip_space(lexer);
        if (lexer->at == lexer->length)
            return REFUSE(lexer, tag, "the tag that begins here is not closed", is_block ? "end it with %}" : "end it with }}");
        char sign = sign_at(lexer, lexer->at);
        if (sign == '+' && !is_block)
            sign = 0;
        if (lexer->depth == 0 && stands(lexer, lexer->at + (sign != 0), closing)) {
            add_word(lexer, is_block ? WORD_BLOCK_END : WORD_PRINT_END, lexer->at);
            lexer->at += sign != 0;
            skip_behind(lexer, closing, sign, is_block);
            return OK;
        }
        const char c = lexer->text[lexer->at];
        if (is_digit(c)) {
            TRY(lex_number(lexer));
        } else if (is_name(c)) {
            struct jinja_word *word = add_word(lexer, WORD_NAME, lexer->at);
            size_t end = lexer->at;
            while (end < lexer->length && is_name(lexer->text[end]))
                end++;
            word->length = end - lexer->at;
            word->bytes = arena_text(lexer->arena, lexer->text + lexer->at, word->length);
            lexer->at = end;
        } else if (c == '\'' || c == '"') {
            TRY(lex_string(lexer));
        } else {
            TRY(lex_operator(lexer));
        }
    }
}

/* Text up to the next tag, and that tag. */
static enum status lex_next(struct lexer *lexer)
{
    const size_t begin = lexer->at;
    size_t tag = begin;
    while (tag < lexer->length && !(lexer->text[tag] == '{' && tag + 1 < lexer->length && strchr("{%#", lexer->text[tag + 1]) && lexer->text[tag + 1]))
        tag++;
    if (tag == lexer->length) {
        add_data(lexer, begin, tag, '+', false);
        lexer->at = tag;
        return OK;
    }
    const char kind = lexer->text[tag + 1], sign = sign_at(lexer, tag + 2);
    add_data(lexer, begin, tag, sign, kind != '{');
    lexer->at = tag + 2 + (sign != 0);
    size_t end;
    char behind;
    if (kind == '#')
        return lex_comment(lexer, tag);
    if (kind == '%' && is_bare_tag(lexer, lexer->at, "raw", &end, &behind) && behind != '+') {
        lexer->at = end;
        skip_behind(lexer, "%}", behind, false);
        return lex_raw(lexer, tag);
    }
    return lex_tag(lexer, tag, kind == '%');
}

enum status jinja_lex(struct arena *arena, const struct jinja_source *source, struct jinja_word **words, struct error *err)
{
    struct lexer lexer = { .arena = arena, .source = source, .text = source->bytes, .length = source->length, .err = err };
    while (lexer.at < lexer.length)
        TRY(lex_next(&lexer));
    add_word(&lexer, WORD_END, lexer.length);
    *words = lexer.word;
    return OK;
}
