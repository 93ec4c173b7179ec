/* Words that were met before, and the parts they became: most of a text is words of the text before it.
 *
 * A slot is one line of the processor's cache and holds one short word; a newer word takes the slot of an older one. A word is compared byte by byte, so what
 * is remembered never changes what comes out. Whoever encodes takes a memory and gives it back, so that no two threads write the same one.
 */
#ifndef GRAFT_TOKENIZER_WORDS_H
#define GRAFT_TOKENIZER_WORDS_H

#include "tokenizer/model.h"

struct words;
struct word_pool;

/* Makes no memory yet: they are made when taken, with an arena of their own each. */
struct word_pool *word_pool_new(struct arena *arena);
void word_pool_close(struct word_pool *pool); /* NULL is fine */
/* A memory nobody else has, NULL where all are taken: then words are encoded without one. Thread-safe. */
struct words *words_take(struct word_pool *pool);
void words_give_back(struct words *words); /* NULL is fine */

/* Appends the parts of an equal word met before, whose first byte is at `begin` of the passage; false: not remembered. */
bool words_recall(const struct words *words, const char *word, uint32_t length, uint32_t begin, struct parts *parts);
/* Keeps what the word became: the last `count` of parts. A long word, or one of many parts, is not kept. */
void words_keep(struct words *words, const char *word, uint32_t length, uint32_t begin, const struct parts *parts, size_t count);

#endif
