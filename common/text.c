/* Small things with text: the growing buffer, UTF-8, "did you mean", whole-string numbers. */
#include "common/text.h"
#include "common/status.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64, LONGEST_WORD = 127 };

struct text text_new(struct arena *arena)
{
    return (struct text){ .arena = arena };
}

static void grow(struct text *text, size_t more)
{
    CHECK(more < SIZE_MAX / 4 && text->length < SIZE_MAX / 4);
    size_t needed = text->length + more + 1;
    size_t capacity = text->capacity ? 2 * text->capacity : FIRST_CAPACITY;
    if (capacity < needed)
        capacity = needed;
    text->bytes = arena_grow(text->arena, text->bytes, text->length, capacity, 1);
    text->capacity = capacity;
}

/* Room for `more` bytes and the final 0. */
static inline void reserve(struct text *text, size_t more)
{
    if (more >= text->capacity - text->length)
        grow(text, more);
}

void text_add(struct text *text, const char *bytes, size_t length)
{
    reserve(text, length);
    if (length)
        memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = 0;
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_print(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(length >= 0);
    reserve(text, (size_t)length);
    vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
    va_end(again);
    text->length += (size_t)length;
}

/* Digit by digit: a list of ids has millions. */
void text_add_integer(struct text *text, int64_t value)
{
    char digits[20];
    size_t first = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[--first] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        digits[--first] = '-';
    text_add(text, digits + first, sizeof digits - first);
}

void text_add_code(struct text *text, uint32_t code)
{
    char bytes[4];
    text_add(text, bytes, (size_t)utf8_encode(code, bytes));
}

void text_clear(struct text *text)
{
    text->length = 0;
    if (text->bytes)
        text->bytes[0] = 0;
}

int utf8_decode(const char *bytes, size_t length, uint32_t *code)
{
    static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    const uint8_t *b = (const uint8_t *)bytes;
    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    int size = b[0] < 0xC2 ? 0 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : b[0] < 0xF5 ? 4 : 0;
    if (size == 0 || (size_t)size > length)
        return 0;
    uint32_t value = b[0] & (0xFFu >> (size + 1));
    for (int i = 1; i < size; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (b[i] & 0x3Fu);
    }
    if (value < smallest[size] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        return 0;
    *code = value;
    return size;
}

int utf8_encode(uint32_t code, char out[4])
{
    CHECK(code <= 0x10FFFF);
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = size - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((0xF00u >> size & 0xF0) | code);
    return size;
}

bool utf8_valid(const char *bytes, size_t length, size_t *bad)
{
    uint32_t code;
    for (size_t i = 0; i < length;) {
        uint64_t eight;
        if (length - i >= sizeof eight && !(memcpy(&eight, bytes + i, sizeof eight), eight & 0x8080808080808080u)) { /* all ASCII */
            i += sizeof eight;
            continue;
        }
        int size = utf8_decode(bytes + i, length - i, &code);
        if (size == 0) {
            if (bad)
                *bad = i;
            return false;
        }
        i += (size_t)size;
    }
    return true;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours cost 1, a difference in case nothing: what fingers do. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[3][LONGEST_WORD + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = before[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            now[j] = smaller(replaced, smaller(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                now[j] = smaller(now[j], earlier[j - 2] + 1);
        }
    }
    return row[a_length % 3][b_length];
}

const char *text_nearest(const char *word, const char *const *candidate, size_t count)
{
    size_t length = strlen(word);
    if (length > LONGEST_WORD)
        return NULL;
    size_t nearest = length / 3;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidate[i]);
        if (other > LONGEST_WORD)
            continue;
        size_t far = distance(word, length, candidate[i], other);
        if (far < nearest || (far == nearest && !best)) {
            nearest = far;
            best = candidate[i];
        }
    }
    return best;
}

char *text_make_printable(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F)
            *c = '?';
    return text;
}

bool text_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t length = strlen(text), tail = strlen(suffix);
    return tail <= length && strcmp(text + length - tail, suffix) == 0;
}

static const char *skip_digits(const char *c)
{
    while (*c >= '0' && *c <= '9')
        c++;
    return c;
}

bool text_to_int(const char *text, int64_t *value)
{
    const char *digits = text + (*text == '-' || *text == '+'), *end = skip_digits(digits);
    if (end == digits || *end)
        return false;
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno)
        return false;
    *value = number;
    return true;
}

/* The grammar is checked here because strtod also takes blanks, hexadecimal, "inf" and "nan". */
bool text_to_real(const char *text, double *value)
{
    const char *whole = text + (*text == '-' || *text == '+'), *c = skip_digits(whole);
    long digits = c - whole;
    if (*c == '.') {
        const char *fraction = c + 1;
        c = skip_digits(fraction);
        digits += c - fraction;
    }
    if (digits == 0)
        return false;
    if (*c == 'e' || *c == 'E') {
        const char *exponent = c + 1 + (c[1] == '-' || c[1] == '+');
        c = skip_digits(exponent);
        if (c == exponent)
            return false;
    }
    double number = *c ? INFINITY : strtod(text, NULL);
    if (!isfinite(number))
        return false;
    *value = number;
    return true;
}

const char *text_bytes(char out[32], uint64_t bytes)
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    size_t i = 0;
    /* What would print as 1024 belongs to the next unit. */
    while (i + 1 < COUNT(unit) && value >= (i ? 1023.5 : 1024)) {
        value /= 1024;
        i++;
    }
    bool whole = i == 0 || value >= 99.95 || fabs(value - round(value)) < 0.05;
    snprintf(out, 32, "%.*f %s", whole ? 0 : 1, value, unit[i]);
    return out;
}
