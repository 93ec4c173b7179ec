/* SentencePiece's character map: which characters a text's are replaced by before anything else, precompiled by its trainer.
 *
 * The bytes, base64 in a tokenizer.json: the size of a double array trie (32 bits, little-endian), the trie, and the texts it points into,
 * each ended by a NUL. Source of the trie's units: Yata, "Darts-clone" (darts.h, DoubleArrayUnit).
 */
#ifndef GRAFT_TOKENIZER_CHARSMAP_H
#define GRAFT_TOKENIZER_CHARSMAP_H

#include "common/json.h"
#include "tokenizer/passage.h"

struct charsmap;

/* base64: the text of "precompiled_charsmap"; where names it in errors, which are BAD_FILE. */
enum status charsmap_read(const struct charsmap **charsmap, struct arena *arena, const char *where, const char *base64, struct error *err) MUST_USE;
/* Appends bytes[0..size) as base64. */
void text_add_base64(struct text *text, const unsigned char *bytes, size_t size);
/* Rewrites every piece that is no added token. */
void charsmap_run(const struct charsmap *charsmap, struct passages *passages);

#endif
