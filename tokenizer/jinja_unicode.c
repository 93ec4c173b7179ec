/* What str.isspace(), upper(), title() and repr() need to know of a character, from utf8proc. */
#include "tokenizer/jinja_unicode.h"

#include <utf8proc.h>

bool unicode_is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || (code >= 0x1C && code <= ' ') || code == 0x85 ||
           (code >= 0xA0 && utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_ZS) || code == 0x2028 || code == 0x2029;
}

size_t unicode_leading_space(const char *bytes, size_t length)
{
    size_t i = 0;
    uint32_t code = 0;
    for (int size; i < length && (size = utf8_decode(bytes + i, length - i, &code)) > 0 && unicode_is_space(code);)
        i += (size_t)size;
    return i;
}

size_t unicode_trailing_space(const char *bytes, size_t length)
{
    size_t end = length;
    while (end > 0) {
        size_t begin = end - 1;
        uint32_t code = 0;
        while (begin > 0 && ((unsigned char)bytes[begin] & 0xC0) == 0x80)
            begin--;
        if (utf8_decode(bytes + begin, end - begin, &code) == 0 || !unicode_is_space(code))
            break;
        end = begin;
    }
    return length - end;
}

bool unicode_is_cased(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

bool unicode_is_printable(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return code == ' ';
    default:
        return true;
    }
}

void unicode_add_case(struct text *text, uint32_t code, enum unicode_case which)
{
    static const struct {
        uint32_t code;
        const char *upper, *title;
    } longer[] = { { 0xDF, "SS", "Ss" },     { 0xFB00, "FF", "Ff" },   { 0xFB01, "FI", "Fi" }, { 0xFB02, "FL", "Fl" },
                   { 0xFB03, "FFI", "Ffi" }, { 0xFB04, "FFL", "Ffl" }, { 0xFB05, "ST", "St" }, { 0xFB06, "ST", "St" } };
    for (size_t i = 0; which != CASE_LOWER && i < sizeof longer / sizeof *longer; i++)
        if (longer[i].code == code) {
            text_add_string(text, which == CASE_UPPER ? longer[i].upper : longer[i].title);
            return;
        }
    utf8proc_int32_t c = (utf8proc_int32_t)code;
    text_add_code(text, (uint32_t)(which == CASE_UPPER ? utf8proc_toupper(c) : which == CASE_LOWER ? utf8proc_tolower(c) : utf8proc_totitle(c)));
}

size_t unicode_length(const char *bytes, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)bytes[i] & 0xC0) != 0x80;
    return count;
}

size_t unicode_offset(const char *bytes, size_t length, size_t index)
{
    size_t i = 0;
    for (; i < length; i++)
        if (((unsigned char)bytes[i] & 0xC0) != 0x80 && index-- == 0)
            break;
    return i;
}
