/* How graft reports that something went wrong.
 *
 * Fallible functions return enum status and take a struct error last. fail_with() keeps the FIRST failure: whoever
 * notices it first knows most. TRY() passes it up. Three classes of status exist: the user's mistake (exit 2), the
 * environment's failure (exit 1), and an interruption after a clean save (exit 130). A bug in graft is none of these: CHECK.
 * An error says where and what (one text, values included) and the cure; only cli/main.c prints it.
 */
#ifndef GRAFT_COMMON_STATUS_H
#define GRAFT_COMMON_STATUS_H

#include <stdbool.h>
#include <stddef.h>

enum status {
    OK = 0,
    /* the user's mistakes: exit 2 */
    BAD_OPTION,   /* command line or environment */
    BAD_CONFIG,   /* YAML */
    BAD_FILE,     /* missing, unreadable or malformed input file */
    BAD_MODEL,    /* a model folder that graft cannot compute faithfully */
    BAD_DATA,     /* records */
    DOES_NOT_FIT, /* memory */
    EXISTS,       /* output would overwrite something */
    /* the environment's failures: exit 1 */
    NO_MEMORY,
    DISK, /* writing or reading failed, not for want of a right path */
    NO_DEVICE,
    LIBRARY,   /* a library call failed that should not */
    UNHEALTHY, /* a run did not reach a healthy end */
    /* exit 130 */
    INTERRUPTED,
};

struct error {
    enum status code;
    char what[1024]; /* where and what, e.g. "run.yaml:3:5: unknown key 'lerning_rate'" */
    char cure[512];  /* what to do about it, e.g. "did you mean 'learning_rate'?"; may be empty */
};

#define MUST_USE __attribute__((warn_unused_result))

/* Records a failure and returns code. `what` is a printf format for the arguments after `cure`; `cure` is plain text.
 * If err already holds a failure it is left as it is (and the new code is still returned). */
enum status fail_with(struct error *err, enum status code, const char *what, const char *cure, ...) __attribute__((format(printf, 3, 5)));

/* Replaces the cure of the failure just recorded by fail_with(), for cures that carry values. Returns err->code. */
enum status cure_with(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "where: " before the failure just recorded, for callees that do not know where their input came from. Returns err->code. */
enum status place_failure(struct error *err, const char *where);

/* 0 for OK, 2 for the user's mistakes, 130 for INTERRUPTED, otherwise 1. */
int status_exit_code(enum status code);

#define TRY(call)                                                                                                                                              \
    do {                                                                                                                                                       \
        enum status try_status_ = (call);                                                                                                                      \
        if (try_status_ != OK)                                                                                                                                 \
            return try_status_;                                                                                                                                \
    } while (0)

/* A claim whose failure is a bug in graft: prints file, line and claim, and aborts. On in all builds. */
#define CHECK(claim) ((claim) ? (void)0 : check_failed(#claim, __FILE__, __LINE__))
void check_failed(const char *claim, const char *file, int line) __attribute__((noreturn));

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
