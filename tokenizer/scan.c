/* Finding the two values needs only strings and the depth of brackets; everything else is skipped as it is. */
#include "tokenizer/scan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blank(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* at stands on the quote; returns the place behind the closing one, or end. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '\\') {
            if (++at == end)
                break;
        } else if (*at == '"') {
            return at + 1;
        }
    }
    return end;
}

/* Any value: up to the comma or closing bracket of the surrounding level. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        if (*at == '{' || *at == '[')
            depth++;
        else if (depth > 0 && (*at == '}' || *at == ']'))
            depth--;
        else if (depth == 0 && (*at == ',' || *at == '}' || *at == ']'))
            return at;
        at++;
    }
    return end;
}

/* The value of member `key` of the object at *at, or NULL. *at moves on, so that a second call finds a second member of that name. */
static const char *next_member(const char **at, const char *end, const char **key, size_t *key_length)
{
    const char *place = skip_blank(*at, end);
    if (place < end && (*place == '{' || *place == ','))
        place = skip_blank(place + 1, end);
    if (place == end || *place != '"')
        return NULL;
    const char *behind = skip_string(place, end);
    *key = place;
    *key_length = (size_t)(behind - place);
    place = skip_blank(behind, end);
    if (place == end || *place != ':')
        return NULL;
    place = skip_blank(place + 1, end);
    *at = skip_value(place, end);
    return place;
}

static bool key_is(const char *key, size_t length, const char *quoted)
{
    return length == strlen(quoted) && memcmp(key, quoted, length) == 0;
}

static size_t count_lines(const char *begin, const char *end)
{
    size_t lines = 0;
    while (begin < end && (begin = memchr(begin, '\n', (size_t)(end - begin)))) {
        lines++;
        begin++;
    }
    return lines;
}

void scan_cut(struct arena *arena, const char *bytes, size_t size, struct text *skeleton, struct slice *vocab, struct slice *merges)
{
    *skeleton = text_new(arena);
    *vocab = *merges = (struct slice){ 0 };
    const char *end = bytes + size, *at = bytes, *kept = bytes, *key, *value;
    size_t length;
    while ((value = next_member(&at, end, &key, &length))) {
        if (!key_is(key, length, "\"model\"") || *value != '{')
            continue;
        const char *inside = value, *member;
        while ((member = next_member(&inside, at, &key, &length))) {
            bool is_vocab = key_is(key, length, "\"vocab\"");
            if (!is_vocab && !key_is(key, length, "\"merges\""))
                continue;
            size_t line = 1 + count_lines(bytes, member), lines = count_lines(member, inside);
            *(is_vocab ? vocab : merges) = (struct slice){ member, (size_t)(inside - member), line };
            text_add(skeleton, kept, (size_t)(member - kept));
            text_add_string(skeleton, "null");
            for (size_t i = 0; i < lines; i++)
                text_add_string(skeleton, "\n");
            kept = inside;
        }
    }
    text_add(skeleton, kept, (size_t)(end - kept));
}

struct slice scan_member(const char *bytes, size_t size, const char *quoted)
{
    const char *end = bytes + size, *at = bytes, *key, *value;
    size_t length;
    while ((value = next_member(&at, end, &key, &length)))
        if (key_is(key, length, quoted))
            return (struct slice){ value, (size_t)(at - value), 1 + count_lines(bytes, value) };
    return (struct slice){ 0 };
}

struct scanner scanner_new(struct arena *arena, const char *where, struct slice slice)
{
    return (struct scanner){ arena, where, slice.bytes, slice.bytes, slice.bytes + slice.length, slice.line };
}

static enum status malformed(const struct scanner *scanner, const char *expected, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s:%zu: malformed JSON: %s expected", "the download may be incomplete: fetch the file again", scanner->where,
                     scanner->line + count_lines(scanner->begin, scanner->at), expected);
}

bool scan_take(struct scanner *scanner, char c)
{
    scanner->at = skip_blank(scanner->at, scanner->end);
    if (scanner->at == scanner->end || *scanner->at != c)
        return false;
    scanner->at++;
    return true;
}

enum status scan_expect(struct scanner *scanner, char c, struct error *err)
{
    char expected[] = { '\'', c, '\'', 0 };
    return scan_take(scanner, c) ? OK : malformed(scanner, expected, err);
}

static bool hex4(const char *at, const char *end, uint32_t *value)
{
    *value = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        *value = *value * 16 + digit;
    }
    return true;
}

/* at stands behind the backslash; writes to *out and returns the place behind the escape, or NULL. Never longer than what it replaces. */
static const char *unescape(const char *at, const char *end, char **out)
{
    static const char letter[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
    if (at == end)
        return NULL;
    const char *found = memchr(letter, *at, sizeof letter - 1);
    if (found) {
        *(*out)++ = meaning[found - letter];
        return at + 1;
    }
    uint32_t code, low;
    if (*at != 'u' || !hex4(at + 1, end, &code))
        return NULL;
    at += 5;
    if (code >= 0xD800 && code < 0xDC00) {
        if (end - at < 6 || at[0] != '\\' || at[1] != 'u' || !hex4(at + 2, end, &low) || low < 0xDC00 || low > 0xDFFF)
            return NULL;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
    } else if (code >= 0xDC00 && code < 0xE000) {
        return NULL;
    }
    *out += utf8_encode(code, *out);
    return at;
}

enum status scan_string(struct scanner *scanner, const char **bytes, uint32_t *length, struct error *err)
{
    TRY(scan_expect(scanner, '"', err));
    const char *at = scanner->at, *end = scanner->end;
    const char *behind = skip_string(at - 1, end);
    if (behind - at < 1 || behind[-1] != '"' || behind - at > INT32_MAX)
        return malformed(scanner, "the end of a string", err);
    char *copy = arena_alloc(scanner->arena, (size_t)(behind - at)), *out = copy;
    while (at < behind - 1) {
        if ((unsigned char)*at < 0x20)
            return malformed(scanner, "a control character's escape", err);
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        const char *next = unescape(at + 1, behind - 1, &out);
        if (!next)
            return malformed(scanner, "a valid escape", err);
        at = next;
    }
    *out = 0;
    scanner->at = behind;
    *bytes = copy;
    *length = (uint32_t)(out - copy);
    return OK;
}

enum status scan_id(struct scanner *scanner, int64_t largest, int32_t *id, struct error *err)
{
    scanner->at = skip_blank(scanner->at, scanner->end);
    const char *at = scanner->at;
    int64_t value = 0;
    while (at < scanner->end && *at >= '0' && *at <= '9' && value <= largest)
        value = value * 10 + (*at++ - '0');
    bool ended = at == scanner->end || is_blank(*at) || *at == ',' || *at == '}' || *at == ']';
    if (at == scanner->at || !ended || value > largest || (*scanner->at == '0' && at - scanner->at > 1))
        return fail_with(err, BAD_FILE, "%s:%zu: a token id is not a whole number from 0 to %" PRId64, "ids are row numbers of the model, below 2^24",
                         scanner->where, scanner->line + count_lines(scanner->begin, scanner->at), largest);
    scanner->at = at;
    *id = (int32_t)value;
    return OK;
}

/* Decimal digits as far as they fit; *places counts those that did not. Returns the place behind all of them. */
static const char *take_digits(const char *at, const char *end, uint64_t *value, int64_t *taken, int64_t *places)
{
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (*places > 0 || *value > (UINT64_MAX - digit) / 10) {
            ++*places;
            continue;
        }
        *value = *value * 10 + digit;
        ++*taken;
    }
    return at;
}

/* value * 10^exponent, in the steps of the Python package. */
static double scaled(uint64_t value, int64_t exponent)
{
    double result = (double)value;
    char power[32];
    for (; exponent < -308 && result != 0; exponent += 308)
        result /= 1e308;
    if (result == 0 || exponent == 0)
        return result;
    snprintf(power, sizeof power, "1e%d", exponent > 308 ? 309 : (int)llabs(exponent));
    return exponent > 0 ? result * strtod(power, NULL) : result / strtod(power, NULL);
}

enum status scan_score(struct scanner *scanner, double *score, struct error *err)
{
    scanner->at = skip_blank(scanner->at, scanner->end);
    const char *at = scanner->at, *end = scanner->end;
    uint64_t value = 0, power = 0;
    int64_t taken = 0, skipped = 0, behind = 0, ignored = 0, sign = 1;
    bool negative = at < end && *at == '-';
    const char *whole = at += negative, *fraction;
    at = take_digits(at, end, &value, &taken, &skipped);
    bool good = at > whole && (*whole != '0' || at == whole + 1);
    int64_t exponent = skipped;
    if (good && at < end && *at == '.') {
        fraction = ++at;
        at = take_digits(at, end, &value, &behind, &skipped);
        good = at > fraction;
        exponent -= behind;
    }
    if (good && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        sign = at < end && *at == '-' ? -1 : 1;
        at += at < end && (*at == '-' || *at == '+');
        fraction = at;
        at = take_digits(at, end, &power, &taken, &ignored);
        good = at > fraction;
        exponent += sign * (int64_t)(power > 1 << 30 ? 1 << 30 : power);
    }
    double result = good ? scaled(value, exponent) : INFINITY;
    if (!isfinite(result))
        return malformed(scanner, "a finite number", err);
    scanner->at = at;
    *score = negative ? -result : result;
    return OK;
}

enum status scan_end(struct scanner *scanner, struct error *err)
{
    scanner->at = skip_blank(scanner->at, scanner->end);
    return scanner->at == scanner->end ? OK : malformed(scanner, "the end of the value", err);
}
