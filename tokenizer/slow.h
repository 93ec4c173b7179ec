/* Folders without tokenizer.json, whose tokenizer is spread over old files: a SentencePiece model, or vocab.json and merges.txt.
 *
 * They are converted, in memory, to the tokenizer.json that the Python packages make of them (transformers' conversion of its slow classes), and
 * that is read as ever. What the old files leave to a class of that package (tokenizer_class) are rows here; a class that is not among them is
 * refused by name.
 */
#ifndef GRAFT_TOKENIZER_SLOW_H
#define GRAFT_TOKENIZER_SLOW_H

#include "common/json.h"
#include "tokenizer/vocabulary.h"

/* The old file of the folder that holds its vocabulary ("tokenizer.model", "spiece.model", "vocab.json"; in the arena), NULL if it has none. */
const char *slow_file(struct arena *arena, const char *folder);
bool slow_is_file(const char *path);
/* Appends a tokenizer.json to json. path: such a file; those that belong to it stand beside it. Its added_tokens have an "id" where a file gives one.
 * Errors: BAD_FILE. */
enum status slow_convert(struct text *json, const char *path, struct error *err) MUST_USE;

/* slow_beside.c: what the small files beside the vocabulary say. */
struct slow_token {
    const char *content;
    int64_t id; /* -1: no file gives one */
    bool single_word, lstrip, rstrip, normalized, special;
};
struct slow_beside {
    struct arena *arena;
    const char *folder;
    json_t *config; /* tokenizer_config.json; owned, NULL if there is none */
    const char *config_path;
    struct slow_token *token; /* to be added, in this order */
    size_t count, capacity;
};
/* Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json, where they exist. slow_beside_close() whatever comes back. */
enum status slow_beside_read(struct slow_beside *beside, struct arena *arena, const char *folder, struct error *err) MUST_USE;
void slow_beside_close(struct slow_beside *beside);
/* Adds a token unless its string is there. */
void slow_beside_add(struct slow_beside *beside, struct slow_token token);

#endif
