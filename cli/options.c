/* The command line as rows: parsing and --help from the same table. */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

static const struct option common_rows[] = {
    { "device", OPTION_TEXT, offsetof(struct common_options, device), "auto|cpu|cuda", "auto", 0, 0,
      "where to compute; auto is a GPU if build and machine have one" },
    { "threads", OPTION_INT, offsetof(struct common_options, threads), "N", "0", 0, 4096, "CPU threads; 0: the cores this process may use" },
    { "quiet", OPTION_FLAG, offsetof(struct common_options, quiet), NULL, NULL, 0, 0, "no progress on stderr" },
    { "help", OPTION_FLAG, offsetof(struct common_options, help), NULL, NULL, 0, 0, "this text" },
};

static const struct option *row_at(const struct command *command, size_t i)
{
    return i < command->options ? &command->option[i] : &common_rows[i - command->options];
}

static size_t row_count(const struct command *command)
{
    return command->options + COUNT(common_rows);
}

static void list_add(struct arena *arena, struct list *list, const char *item)
{
    list->item = arena_grow(arena, list->item, (size_t)list->count, (size_t)list->count + 1, sizeof *list->item);
    list->item[list->count++] = item;
}

static bool has_range(const struct option *row)
{
    return row->min != 0 || row->max != 0;
}

static enum status no_number(const struct option *row, const char *value, const char *what, struct error *err)
{
    const char *whole = row->type == OPTION_INT ? "whole " : "";
    fail_with(err, BAD_OPTION, "--%s %s: %s", "", row->name, value, what);
    return has_range(row) ? cure_with(err, "give a %snumber from %.15g to %.15g", whole, row->min, row->max)
                          : cure_with(err, "give a %snumber of at most 64 bits", whole);
}

static enum status store(struct arena *arena, const struct option *row, const char *value, void *options, struct error *err)
{
    char *field = (char *)options + row->offset;
    double real = 0;
    int64_t integer = 0;
    switch (row->type) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return OK;
    case OPTION_TEXT:
        *(const char **)field = value;
        return OK;
    case OPTION_LIST:
        list_add(arena, (struct list *)field, value);
        return OK;
    case OPTION_INT:
        if (!text_to_int(value, &integer))
            return no_number(row, value, text_to_real(value, &real) ? "not a whole number of 64 bits" : "not a whole number", err);
        real = (double)integer;
        *(int64_t *)field = integer;
        break;
    case OPTION_REAL:
        if (!text_to_real(value, &real))
            return no_number(row, value, "not a finite number", err);
        *(double *)field = real;
        break;
    }
    if (has_range(row) && (real < row->min || real > row->max))
        return no_number(row, value, "out of range", err);
    return OK;
}

static enum status unknown(struct arena *arena, const struct command *command, const char *name, struct error *err)
{
    size_t rows = row_count(command);
    const char **names = NEW_ARRAY(arena, rows, const char *);
    for (size_t i = 0; i < rows; i++)
        names[i] = row_at(command, i)->name;
    enum status status = fail_with(err, BAD_OPTION, "graft %s: unknown option --%s", "", command->name, name);
    const char *near = text_nearest(name, names, rows);
    if (near)
        cure_with(err, "did you mean --%s? 'graft %s --help' lists all", near, command->name);
    else
        cure_with(err, "'graft %s --help' lists all options", command->name);
    return status;
}

static enum status defaults(struct arena *arena, const struct command *command, void *options, struct error *err)
{
    for (size_t i = 0; i < row_count(command); i++) {
        const struct option *row = row_at(command, i);
        if (row->fallback && !text_equal(row->fallback, "!"))
            TRY(store(arena, row, row->fallback, options, err));
    }
    return OK;
}

static enum status parse_one(struct arena *arena, const struct command *command, int count, char **argv, int *at, void *options, bool *given, struct error *err)
{
    const char *word = argv[*at] + 2, *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    for (size_t i = 0; i < row_count(command); i++) {
        const struct option *row = row_at(command, i);
        if (strlen(row->name) != length || memcmp(row->name, word, length) != 0)
            continue;
        const char *value = equals ? equals + 1 : NULL;
        if (row->type == OPTION_FLAG && value)
            return fail_with(err, BAD_OPTION, "--%s takes no value", "write it alone", row->name);
        if (row->type != OPTION_FLAG && !value) {
            if (*at + 1 >= count)
                return fail_with(err, BAD_OPTION, "--%s needs a value", "write it behind the option", row->name);
            value = argv[++*at];
        }
        if (given[i] && row->type != OPTION_LIST)
            return fail_with(err, BAD_OPTION, "--%s is given twice", "keep one of them", row->name);
        given[i] = true;
        if (row->value && !*value && !text_equal(row->value, "TEXT")) { /* most often a shell variable that is not set */
            fail_with(err, BAD_OPTION, "--%s '': empty", "", row->name);
            return cure_with(err, "give --%s %s: %s", row->name, row->value, row->help);
        }
        return store(arena, row, value, options, err);
    }
    return unknown(arena, command, arena_text(arena, word, length), err);
}

static enum status check_given(const struct command *command, const struct common_options *common, const bool *given, struct error *err)
{
    for (size_t i = 0; i < row_count(command); i++) {
        const struct option *row = row_at(command, i);
        if (text_equal(row->fallback, "!") && !given[i]) {
            enum status status = fail_with(err, BAD_OPTION, "graft %s: --%s %s is missing", "", command->name, row->name, row->value);
            cure_with(err, "--%s: %s", row->name, row->help);
            return status;
        }
    }
    int arguments = common->arguments.count;
    if (arguments < command->min_arguments) {
        enum status status = fail_with(err, BAD_OPTION, "graft %s needs %s", "", command->name, command->arguments);
        cure_with(err, "'graft %s --help' says what these are", command->name);
        return status;
    }
    if (command->max_arguments >= 0 && arguments > command->max_arguments)
        return fail_with(err, BAD_OPTION, "graft %s: unexpected argument '%s'", "options begin with --", command->name,
                         common->arguments.item[command->max_arguments]);
    return OK;
}

enum status options_parse(struct arena *arena, const struct command *command, int count, char **argv, void *options, struct error *err)
{
    struct common_options *common = options;
    bool *given = NEW_ARRAY(arena, row_count(command), bool);
    bool only_arguments = false;
    TRY(defaults(arena, command, options, err));
    for (int i = 0; i < count; i++) {
        if (!only_arguments && text_equal(argv[i], "--"))
            only_arguments = true;
        else if (!only_arguments && text_starts(argv[i], "--"))
            TRY(parse_one(arena, command, count, argv, &i, options, given, err));
        else
            list_add(arena, &common->arguments, argv[i]);
    }
    return common->help ? OK : check_given(command, common, given, err);
}

static void help_row(const struct option *row, struct text *out)
{
    char head[128];
    snprintf(head, sizeof head, "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
    text_print(out, "  %-28s %s", head, row->help);
    if (text_equal(row->fallback, "!"))
        text_add_string(out, " (required)");
    else if (row->fallback)
        text_print(out, " (default %s)", row->fallback);
    if (row->type == OPTION_LIST)
        text_add_string(out, " (may be repeated)");
    text_add_string(out, "\n");
}

void options_help(const struct command *command, struct text *out)
{
    text_print(out, "graft %s%s%s [options]\n\n%s\n\n", command->name, command->arguments ? " " : "", command->arguments ? command->arguments : "",
               command->summary);
    for (size_t i = 0; i < row_count(command); i++)
        help_row(row_at(command, i), out);
    if (command->more_help)
        command->more_help(out);
}
