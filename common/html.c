/* Pages of HTML: escaping, and the frame with its policy. */
#include "common/html.h"
#include "common/files.h"

#include <string.h>

static const struct {
    char character;
    const char *escape;
} escapes[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" } };

void text_add_visible(struct text *text, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        uint32_t code = 0;
        int size = utf8_decode(bytes + i, length - i, &code);
        bool command = size == 0 || (code < ' ' && code != '\n' && code != '\t') || (code >= 0x7F && code < 0xA0);
        size += size == 0;
        if (command)
            text_print(text, "\\x%02X", size == 1 ? (unsigned)(unsigned char)bytes[i] : code);
        else
            text_add(text, bytes + i, (size_t)size);
        i += (size_t)size;
    }
}

static const char *escape_of(char character)
{
    for (size_t i = 0; i < COUNT(escapes); i++)
        if (escapes[i].character == character)
            return escapes[i].escape;
    return NULL;
}

void text_add_html(struct text *text, const char *bytes, size_t length)
{
    for (size_t from = 0, to; from < length; from = to) {
        const char *escape = escape_of(bytes[from]);
        for (to = from + 1; !escape && to < length && !escape_of(bytes[to]);)
            to++;
        if (escape)
            text_add_string(text, escape);
        else
            text_add_visible(text, bytes + from, to - from);
    }
}

/* Hex digits as the base64 of the bytes that they stand for: three digits and two characters are both twelve bits. */
static void add_base64(struct text *text, const char *hex)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", hex_digit[] = "0123456789abcdef";
    size_t length = strlen(hex), characters = 0;
    for (size_t i = 0; i < length; i += 3) {
        unsigned bits = 0;
        size_t nibbles = length - i < 3 ? length - i : 3;
        for (size_t n = 0; n < 3; n++)
            bits = bits << 4 | (n < nibbles ? (unsigned)(strchr(hex_digit, hex[i + n]) - hex_digit) : 0);
        text_print(text, nibbles > 1 ? "%c%c" : "%c", digit[bits >> 6], digit[bits & 63]);
        characters += nibbles > 1 ? 2 : 1;
    }
    for (; characters % 4; characters++)
        text_add_string(text, "=");
}

void html_begin(struct text *page, const char *title, const char *style, const char *script)
{
    char hex[65];
    text_add_string(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, "
                          "initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'");
    if (script) {
        hash_bytes(script, strlen(script), hex);
        text_add_string(page, "; script-src 'sha256-");
        add_base64(page, hex);
        text_add_string(page, "'");
    }
    text_print(page, "\"><title>%s</title>\n<style>%s</style></head><body>\n", title, style);
}

void html_end(struct text *page, const char *script)
{
    if (script)
        text_print(page, "<script>%s</script>\n", script);
    text_add_string(page, "</body></html>\n");
}
