/* A tokenizer.json, or the older files it is made from, id for id as the Python package `tokenizers` reads it.
 *
 * Text goes through added tokens, normalizer, pre-tokenizer, model and post-processor, as the file says; ids come back through the decoder.
 * What a file asks for and graft does not know is an error that names it, never a guess. Reading the file is own code (no C library is
 * packaged); patterns are PCRE2's, Unicode forms utf8proc's.
 */
#ifndef GRAFT_TOKENIZER_TOKENIZER_H
#define GRAFT_TOKENIZER_TOKENIZER_H

#include "common/arena.h"
#include "common/files.h"
#include "common/status.h"
#include "common/text.h"

#include <stdint.h>

struct tokenizer;

/* path: a folder with tokenizer.json (and, when present, tokenizer_config.json, special_tokens_map.json), or the file itself. In its place may stand
 * what such files are made from: a SentencePiece model (tokenizer.model, spiece.model), or vocab.json and merges.txt (see slow.h).
 * truncation and padding of the file are ignored on purpose, and so are add_bos_token and add_eos_token of tokenizer_config.json: the
 * file's post-processor decides. Errors: BAD_FILE naming the component and its value. *tokenizer is NULL after a failure. */
enum status tokenizer_open(struct tokenizer **tokenizer, struct arena *arena, const char *path, struct error *err) MUST_USE;
/* A token that a tokenizer is to have besides its own. */
struct added_token {
    const char *text; /* valid UTF-8, not empty */
    bool special;     /* skipped when ids are decoded without special tokens; else it is searched in the normalized text, as Python's add_tokens() does */
    const char *init; /* for who gives it a row of the embedding: "mean", or a text; NULL: the row as it is */
    const char *where;
};
/* The same with more tokens. One that the tokenizer has already as an added token stays what it is; the others get the ids that the Python package gives them:
 * the model's, if that knows the text, else those behind all others, in this order. tokenizer_write() and tokenizer_hash() then mean the file with them. */
enum status tokenizer_open_with(struct tokenizer **tokenizer, struct arena *arena, const char *path, const struct added_token *added, int count,
                                struct error *err) MUST_USE;
void tokenizer_close(struct tokenizer *tokenizer); /* NULL is fine */
/* Begins tokenizer.json and tokenizer_config.json of a tokenizer that tokenizer_open_with() opened, in a folder: commit them. The second takes over what small
 * files beside the tokenizer say, the chat template among it. Errors: BAD_FILE, DISK. */
enum { TOKENIZER_FILES = 2 };
enum status tokenizer_write(const struct tokenizer *tokenizer, struct arena *arena, const char *folder, struct output file[TOKENIZER_FILES],
                            struct error *err) MUST_USE;
/* Whether the folder has one of those files. */
bool tokenizer_exists(struct arena *arena, const char *folder);

struct token {
    int32_t id;
    int64_t begin, end; /* bytes of the ORIGINAL text this token came from, [begin, end); begin == end for tokens the post-processor added
                           (both 0 in front, both length behind). A character that became several tokens (byte-level, byte fallback): each
                           of them has the whole character. A space that the tokenizer itself puts in front (Prepend, Metaspace,
                           add_prefix_space) is an empty range before the next character: the token "▁Hi" of "Hi" covers "Hi". A space of
                           the text belongs to its token, whatever it was rewritten to: " yes" begins at the space. Added tokens cover the
                           white space they strip. Begins do not go back from one token to the next, unless a
                           template repeats the text or byte tokens overtake an unknown character. */
};
struct tokens {
    struct token *token;
    int64_t count;
};

/* Encodes text[0..length). special: apply the post-processor (BOS and the like). Invalid UTF-8 is BAD_DATA with the byte offset. Results
 * live in arena. Thread-safe: the tokenizer is not changed. */
enum status tokenizer_encode(const struct tokenizer *tokenizer, struct arena *arena, const char *text, size_t length, bool special, struct tokens *out,
                             struct error *err) MUST_USE;
/* Appends the text of ids to out. skip_special leaves special added tokens out, except one whose own string the normalizer changes (so the
 * Python package: `<s>` of old Llama files, which are "normalized"). An id that no token has is BAD_DATA. */
enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *id, int64_t count, bool skip_special, struct text *out,
                             struct error *err) MUST_USE;

/* Streaming decode: give ids one at a time; only whole, final characters come out (bytes that later ids could still change are held back).
 */
struct token_stream;
struct token_stream *token_stream_new(const struct tokenizer *tokenizer, struct arena *arena, bool skip_special);
enum status token_stream_add(struct token_stream *stream, int32_t id, struct text *out, struct error *err) MUST_USE;
enum status token_stream_end(struct token_stream *stream, struct text *out, struct error *err) MUST_USE; /* the rest, broken characters as U+FFFD */

/* The token's string as the file spells it ("Ġthe", "<0x0A>"), NULL if there is none. */
const char *tokenizer_token(const struct tokenizer *tokenizer, int32_t id);
/* -1 if no token is spelled so. */
int32_t tokenizer_id(const struct tokenizer *tokenizer, const char *token);
/* One more than the largest id. */
int64_t tokenizer_size(const struct tokenizer *tokenizer);

/* Special ids from tokenizer_config.json / special_tokens_map.json beside the file; -1 where unknown. */
int32_t tokenizer_bos(const struct tokenizer *tokenizer);
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
int32_t tokenizer_pad(const struct tokenizer *tokenizer);
/* Whether encoding with special tokens already puts BOS in front / EOS behind. */
bool tokenizer_adds_bos(const struct tokenizer *tokenizer);
bool tokenizer_adds_eos(const struct tokenizer *tokenizer);
/* SHA-256 of tokenizer.json, hex; of the one that older files were converted to. */
const char *tokenizer_hash(const struct tokenizer *tokenizer);

#endif
