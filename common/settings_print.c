/* Settings as rows: writing the resolved configuration, and the help. What is written here reads back to the same values. */
#include "common/settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Words that some YAML reader takes for something else than text. */
static const char *const not_text[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n", "~" };

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '/' || c == '.' || c == '-';
}

/* True if the text may stand without quotes in any place of any YAML: a cautious subset. */
static bool is_plain(const char *string)
{
    if (!is_word(*string) || *string == '-' || *string == '.' || (*string >= '0' && *string <= '9'))
        return false;
    for (const char *c = string; *c; c++)
        if (!is_word(*c) && !(*c == ' ' && is_word(c[1])))
            return false;
    for (size_t i = 0; i < COUNT(not_text); i++)
        if (strcasecmp(string, not_text[i]) == 0)
            return false;
    return true;
}

/* Code points that YAML forbids or takes for line breaks inside quotes. */
static bool needs_escape(uint32_t code)
{
    return code < ' ' || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 || code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
}

void text_add_yaml(struct text *text, const char *string)
{
    if (is_plain(string)) {
        text_add_string(text, string);
        return;
    }
    text_add_string(text, "\"");
    for (size_t left = strlen(string); left > 0;) {
        uint32_t code = 0xFFFD;
        int size = utf8_decode(string, left, &code);
        if (code == '"' || code == '\\')
            text_print(text, "\\%c", (char)code);
        else if (code == '\n')
            text_add_string(text, "\\n");
        else if (needs_escape(code))
            text_print(text, "\\u%04X", code);
        else
            text_add_code(text, code);
        size += size == 0;
        string += size;
        left -= (size_t)size;
    }
    text_add_string(text, "\"");
}

void text_add_yaml_path(struct text *text, const char *path)
{
    char here[4096];
    if (*path == '/' || !getcwd(here, sizeof here)) {
        text_add_yaml(text, path);
        return;
    }
    struct text absolute = text_new(text->arena);
    text_print(&absolute, "%s/%s", strcmp(here, "/") ? here : "", path);
    text_add_yaml(text, absolute.bytes);
}

/* The shortest digits that read back to the same number; with a point before the exponent, as YAML 1.1 readers want. */
static void add_real(struct text *out, double value)
{
    char digits[40];
    double again;
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (text_to_real(digits, &again) && again == value)
            break;
    }
    char *exponent = strchr(digits, 'e');
    if (exponent && !strchr(digits, '.'))
        text_print(out, "%.*s.0%s", (int)(exponent - digits), digits, exponent);
    else
        text_add_string(out, digits);
}

static bool in_range(const struct setting *row, double value)
{
    return (row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max);
}

/* A value that was never given and has no default reads back as absent. */
static bool is_absent(const struct setting *row, const void *field)
{
    if (row->type == SETTING_TEXT || row->type == SETTING_PATH)
        return !*(const char *const *)field;
    double number = row->type == SETTING_INT ? (double)*(const int64_t *)field : row->type == SETTING_REAL ? *(const double *)field : 1;
    return !row->fallback && number == 0 && !in_range(row, 0);
}

static void add_value(struct text *out, const struct setting *row, const void *field)
{
    if (row->type == SETTING_OWN)
        row->print(out, row, field);
    else if (is_absent(row, field))
        text_add_string(out, "null");
    else if (row->type == SETTING_BOOL)
        text_add_string(out, *(const bool *)field ? "true" : "false");
    else if (row->type == SETTING_INT)
        text_print(out, "%" PRId64, *(const int64_t *)field);
    else if (row->type == SETTING_REAL)
        add_real(out, *(const double *)field);
    else if (row->type == SETTING_TEXT)
        text_add_yaml(out, *(const char *const *)field);
    else if (row->type == SETTING_PATH)
        text_add_yaml_path(out, *(const char *const *)field);
    else
        text_add_yaml(out, row->choices[*(const int *)field]);
}

void settings_print(struct text *out, const struct setting *row, size_t rows, const void *section, int indent)
{
    for (size_t i = 0; i < rows; i++) {
        if (row[i].type == SETTING_OWN && !row[i].print)
            continue;
        text_print(out, "%*s%s: ", indent, "", row[i].name);
        add_value(out, &row[i], (const char *)section + row[i].offset);
        text_add_string(out, "\n");
    }
}

static void add_domain(struct text *out, const struct setting *row)
{
    static const char *const type[] = { [SETTING_BOOL] = "true|false", [SETTING_INT] = "integer", [SETTING_REAL] = "number", [SETTING_TEXT] = "text",
                                        [SETTING_PATH] = "path",       [SETTING_CHOICE] = "",     [SETTING_OWN] = "value" };
    text_add_string(out, type[row->type]);
    for (size_t i = 0; row->type == SETTING_CHOICE && row->choices[i]; i++)
        text_print(out, "%s%s", i ? "|" : "", row->choices[i]);
    if ((row->type != SETTING_INT && row->type != SETTING_REAL) || (row->min == 0 && row->max == 0))
        return;
    if (isinf(row->max))
        text_print(out, " >= %.15g", row->min);
    else
        text_print(out, " %.15g..%.15g", row->min, row->max);
}

void settings_help(struct text *out, const struct setting *row, size_t rows, const char *section)
{
    for (size_t i = 0; i < rows; i++) {
        struct text name = text_new(out->arena);
        text_print(&name, "%s%s%s", section, *section ? "." : "", row[i].name);
        text_print(out, "  %-36s ", name.bytes);
        add_domain(out, &row[i]);
        if (text_equal(row[i].fallback, "!"))
            text_add_string(out, " (required)");
        else if (row[i].fallback)
            text_print(out, " (default %s)", *row[i].fallback ? row[i].fallback : "empty");
        text_print(out, "\n      %s\n", row[i].help);
    }
}
