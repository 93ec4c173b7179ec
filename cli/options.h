/* The command line as rows: one table parses, checks and documents. */
#ifndef GRAFT_CLI_OPTIONS_H
#define GRAFT_CLI_OPTIONS_H

#include "common/arena.h"
#include "common/status.h"
#include "common/text.h"

#include <stdint.h>

struct list {
    const char **item;
    int count;
};

enum option_type {
    OPTION_FLAG, /* bool */
    OPTION_TEXT, /* const char * */
    OPTION_INT,  /* int64_t */
    OPTION_REAL, /* double */
    OPTION_LIST, /* struct list: may be given several times */
};

struct option {
    const char *name; /* without the dashes */
    enum option_type type;
    size_t offset;
    const char *value;    /* what stands behind it in --help: "DIR", "N" */
    const char *fallback; /* NULL: absent; "!": required */
    double min, max;      /* INT and REAL; both 0: any */
    const char *help;
};

/* First member of every command's options. */
struct common_options {
    const char *device;
    int64_t threads;
    bool quiet, help;
    struct list arguments; /* what is no option */
};

struct cli {
    struct arena *arena;
    struct error *err;
    bool told; /* another rank reports the failure */
    /* What is still to be done once a failure has been printed, or NULL: a launcher ends all ranks as soon as one has ended. */
    void (*leave)(void *self);
    void *self;
};

struct command {
    const char *name, *arguments, *summary;
    int min_arguments, max_arguments; /* max -1: any number */
    const struct option *option;
    size_t options, bytes; /* number of rows; size of the options struct */
    enum status (*run)(struct cli *cli, const void *options);
    bool multiplies; /* matrices: see cli/allocator.h */
    /* More text for --help (settings), or NULL. */
    void (*more_help)(struct text *out);
};

/* Parses argv[0..count) (behind the command's name) into `options` (command->bytes, zeroed). "--name value" and "--name=value"; "--" ends options. */
enum status options_parse(struct arena *arena, const struct command *command, int count, char **argv, void *options, struct error *err) MUST_USE;
void options_help(const struct command *command, struct text *out);

#endif
