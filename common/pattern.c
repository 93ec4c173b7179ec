/* Regular expressions on names: PCRE2 behind two questions.
 *
 * PCRE2 reads what Python's re reads but for a few spellings; those that would silently mean something else are refused. All of PCRE2's memory is the arena's,
 * so there is nothing to close.
 */
#include "common/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

/* Names have a hundred characters and honest patterns take a few hundred steps on them. */
enum { MOST_STEPS = 100000, LONGEST_PATTERN = 4096 };

struct question {
    pcre2_code *code;
    pcre2_match_data *found;
};

struct pattern {
    const char *text, *where;
    struct question whole, end;
    pcre2_match_context *limits;
};

static void *take(PCRE2_SIZE size, void *arena)
{
    return arena_alloc(arena, size);
}

static void give_back(void *memory, void *arena)
{
    (void)memory;
    (void)arena;
}

/* Spellings that Python and PCRE2 both accept, with another meaning. */
static const struct {
    const char *spelling, *cure;
} different[] = {
    { "{,", "write {0,n}: regular expression libraries disagree about {,n}" },
    { "[[:", "list the characters: classes in [[:name:]] are not in Python's syntax" },
    { "(*", "put a backslash before the star, or leave it out: nothing stands before it" },
};

static enum status compile(struct question *question, pcre2_general_context *memory, const char *text, size_t prefix, const struct pattern *pattern,
                           struct error *err)
{
    int code;
    PCRE2_SIZE offset;
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
    question->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &code, &offset, context);
    if (!question->code) {
        char message[256] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
        return fail_with(err, BAD_CONFIG, "%s: '%.200s' is no regular expression: %s at character %zu",
                         "a dot matches any character, \\. a dot, .* anything; brackets must be closed", pattern->where, pattern->text, message,
                         offset > prefix ? offset - prefix : 0);
    }
    question->found = pcre2_match_data_create_from_pattern(question->code, memory);
    return OK;
}

enum status pattern_new(struct pattern **pattern, struct arena *arena, const char *text, const char *where, struct error *err)
{
    static const char before[] = "(?:.*\\.)?(?:";
    struct pattern *new = NEW(arena, struct pattern);
    *new = (struct pattern){ .text = arena_text(arena, text, strlen(text)), .where = where };
    *pattern = NULL;
    if (strlen(text) > LONGEST_PATTERN)
        return fail_with(err, BAD_CONFIG, "%s: a regular expression of %zu characters", "give a list of names instead", where, strlen(text));
    for (size_t i = 0; i < COUNT(different); i++)
        if (strstr(text, different[i].spelling)) {
            fail_with(err, BAD_CONFIG, "%s: '%.200s' holds '%s'", "", where, text, different[i].spelling);
            return cure_with(err, "%s", different[i].cure);
        }
    pcre2_general_context *memory = pcre2_general_context_create(take, give_back, arena);
    new->limits = pcre2_match_context_create(memory);
    pcre2_set_match_limit(new->limits, MOST_STEPS);
    TRY(compile(&new->whole, memory, new->text, 0, new, err));
    TRY(compile(&new->end, memory, arena_print(arena, "%s%s)", before, text), sizeof before - 1, new, err));
    *pattern = new;
    return OK;
}

static enum status ask(const struct pattern *pattern, const struct question *question, const char *subject, bool *matches, struct error *err)
{
    int code = pcre2_match(question->code, (PCRE2_SPTR)subject, strlen(subject), 0, 0, question->found, pattern->limits);
    *matches = code >= 0;
    if (code >= 0 || code == PCRE2_ERROR_NOMATCH)
        return OK;
    char message[256] = "";
    pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
    return fail_with(err, BAD_CONFIG, "%s: matching '%.200s' against '%.200s' failed: %s", "use fewer nested * and +, or a list of names", pattern->where,
                     pattern->text, subject, message);
}

enum status pattern_matches_whole(const struct pattern *pattern, const char *subject, bool *matches, struct error *err)
{
    return ask(pattern, &pattern->whole, subject, matches, err);
}

enum status pattern_matches_end(const struct pattern *pattern, const char *subject, bool *matches, struct error *err)
{
    return ask(pattern, &pattern->end, subject, matches, err);
}
