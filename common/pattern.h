/* Regular expressions as Python's re module reads them, for matching names.
 *
 * Case-sensitive, UTF-8, with Unicode classes. A pattern may come from a file that somebody else wrote, so the work of a match is bounded.
 */
#ifndef GRAFT_COMMON_PATTERN_H
#define GRAFT_COMMON_PATTERN_H

#include "common/arena.h"
#include "common/status.h"

struct pattern;

/* `where` names the place of the text in messages ("run.yaml:7:3: adapter.target_modules"). Everything lives in the arena. Errors: BAD_CONFIG with the offset
 * at which the text stops making sense. */
enum status pattern_new(struct pattern **pattern, struct arena *arena, const char *text, const char *where, struct error *err) MUST_USE;
/* The pattern describes all of subject (re.fullmatch). Errors: BAD_CONFIG if deciding takes too long. */
enum status pattern_matches_whole(const struct pattern *pattern, const char *subject, bool *matches, struct error *err) MUST_USE;
/* The pattern describes all of subject, or what follows one of its dots. Errors as above. */
enum status pattern_matches_end(const struct pattern *pattern, const char *subject, bool *matches, struct error *err) MUST_USE;

#endif
