/* A command and its arguments, one a line: parsed by the command's own rows, refused or within the ranges that --help promises. */
#include "cli/commands.h"
#include "tests/fuzz/fuzz_file.h"

#include <string.h>

static const struct command *const commands[] = {
    &command_train, &command_plan,     &command_score,      &command_generate, &command_evaluate,
    &command_data,  &command_tokenize, &command_detokenize, &command_inspect,  &command_doctor,
};

enum { MOST_WORDS = 64 };

static void check_ranges(const struct command *command, const void *options)
{
    for (size_t i = 0; i < command->options; i++) {
        const struct option *row = &command->option[i];
        const char *field = (const char *)options + row->offset;
        const double value = row->type == OPTION_REAL  ? *(const double *)(const void *)field
                             : row->type == OPTION_INT ? (double)*(const int64_t *)(const void *)field
                                                       : row->min;
        CHECK((row->min == 0 && row->max == 0) || (value >= row->min && value <= row->max));
        if (row->type == OPTION_TEXT && row->fallback)
            CHECK(*(const char *const *)(const void *)field);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct text help = text_new(arena);
    char *rest = arena_text(arena, (const char *)bytes, size), *word[MOST_WORDS];
    const char *name = strsep(&rest, "\n");
    const struct command *command = commands[0];
    int words = 0;
    for (size_t i = 0; i < COUNT(commands); i++)
        command = text_equal(commands[i]->name, name) ? commands[i] : command;
    while (rest && words < MOST_WORDS)
        word[words++] = strsep(&rest, "\n");
    struct common_options *options = arena_alloc(arena, command->bytes);
    enum status status = options_parse(arena, command, words, word, options, &err);
    fuzz_check(status, &err);
    if (status == OK && options->help)
        options_help(command, &help);
    else if (status == OK)
        check_ranges(command, options);
    fuzz_accepted += status == OK;
    arena_destroy(arena);
    return 0;
}
