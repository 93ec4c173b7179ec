/* A tokenizer with more tokens than its file has: what is to be read, and the files that say the same.
 *
 * The new tokens are put at the end of the file's own list, before it is read: so they get their ids by the rules that all added tokens follow. The text of the
 * file is kept as it is but for that list.
 */
#ifndef GRAFT_TOKENIZER_EXTEND_H
#define GRAFT_TOKENIZER_EXTEND_H

#include "common/json.h"
#include "tokenizer/tokenizer.h"

struct extension {
    bool wanted; /* the text of the file is kept, tokens or not */
    const struct added_token *token;
    int count;
    bool *is_new;     /* [count]: not in the file */
    bool has_list;    /* the file has a member added_tokens */
    struct text text; /* the tokenizer.json that says all this */
};

/* Appends to added_tokens of a parsed tokenizer.json what is not there; anything else than a list is left to the reader of that. */
void extension_list(struct extension *extension, json_t *json);
/* Makes extension->text from the text of the file at `path`, now that the tokenizer knows the ids. Errors: BAD_FILE if the list is spelled so that it cannot be
 * found. */
enum status extension_text(struct extension *extension, const struct tokenizer *tokenizer, struct arena *arena, const char *path, const char *bytes,
                           size_t size, struct error *err) MUST_USE;
/* Begins the tokenizer_config.json that stands beside it, with what the small files of `folder` say. */
enum status extension_config(const struct extension *extension, const struct tokenizer *tokenizer, struct arena *arena, const char *folder, const char *path,
                             struct output *out, struct error *err) MUST_USE;

#endif
