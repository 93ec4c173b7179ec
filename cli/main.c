/* graft: finds the command's row, parses its options, runs it, and is the only place that prints errors and ends the process. */
#include "cli/allocator.h"
#include "cli/commands.h"
#include "cli/last_words.h"

#include <stdio.h>

static const struct command *const commands[] = {
    &command_train,    &command_replay,     &command_plan,    &command_score, &command_generate, &command_evaluate, &command_data,
    &command_tokenize, &command_detokenize, &command_inspect, &command_merge, &command_report,   &command_doctor,
};

static void usage(struct text *out)
{
    text_add_string(out, "graft " GRAFT_VERSION ": parameter-efficient fine-tuning\n\ngraft COMMAND [arguments] [--option value]\n\n");
    for (size_t i = 0; i < COUNT(commands); i++)
        text_print(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    text_add_string(out, "\n'graft COMMAND --help' explains a command; 'graft --version' says what this is.\n");
}

static int print(struct text *text)
{
    bool written = fwrite(text->bytes, 1, text->length, stdout) == text->length;
    if (fflush(stdout) != 0 || !written) {
        fprintf(stderr, "graft: error: could not write to stdout\n  cure: keep it open, or write to a file on a disk with room\n");
        return 1;
    }
    return 0;
}

static enum status find(const char *name, const struct command **command, struct error *err)
{
    const char *names[COUNT(commands)];
    for (size_t i = 0; i < COUNT(commands); i++) {
        names[i] = commands[i]->name;
        if (text_equal(name, names[i]))
            *command = commands[i];
    }
    if (*command)
        return OK;
    enum status status = fail_with(err, BAD_OPTION, "unknown command '%s'", "'graft --help' lists the commands", name);
    const char *near = text_nearest(name, names, COUNT(commands));
    if (near)
        cure_with(err, "did you mean 'graft %s'?", near);
    return status;
}

static void report(const struct error *err)
{
    fprintf(stderr, "graft: %s: %s\n", err->code == INTERRUPTED ? "stopped" : "error", err->what);
    if (err->cure[0])
        fprintf(stderr, "  cure: %s\n", err->cure);
}

static int run(struct arena *arena, int argc, char **argv)
{
    struct error err = { 0 };
    struct cli cli = { .arena = arena, .err = &err };
    struct text out = text_new(arena);
    if (argc < 2 || text_equal(argv[1], "--help") || text_equal(argv[1], "-h") || text_equal(argv[1], "help")) {
        usage(&out);
        return argc < 2 ? (fwrite(out.bytes, 1, out.length, stderr), 2) : print(&out);
    }
    if (text_equal(argv[1], "--version")) {
        text_add_string(&out, "graft " GRAFT_VERSION " (" GRAFT_BUILD ")\n");
        return print(&out);
    }
    const struct command *command = NULL;
    enum status status = find(argv[1], &command, &err);
    if (status == OK) {
        struct common_options *options = arena_alloc(arena, command->bytes);
        status = options_parse(arena, command, argc - 2, argv + 2, options, &err);
        if (status == OK && options->help) {
            options_help(command, &out);
            return print(&out);
        }
        if (status == OK && command->multiplies)
            allocator_prepare(argv);
        if (status == OK)
            status = command->run(&cli, options);
    }
    if (status != OK && !cli.told)
        report(&err);
    if (cli.leave)
        cli.leave(cli.self);
    return status_exit_code(status);
}

int main(int argc, char **argv)
{
    last_words_prepare();
    struct arena *arena = arena_create(out_of_memory);
    int code = run(arena, argc, argv);
    arena_destroy(arena);
    return code;
}
