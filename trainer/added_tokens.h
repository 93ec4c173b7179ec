/* Tokens of the run's own (data.added_tokens): their ids, and that their rows are trained.
 *
 * They take the ids behind the tokenizer's. Published models have more rows in the embedding than tokens, so that its size is a round number: those rows are
 * taken first, and there are no others, because an adapter does not change the base model's shape.
 */
#ifndef GRAFT_TRAINER_ADDED_TOKENS_H
#define GRAFT_TRAINER_ADDED_TOKENS_H

#include "trainer/run.h"

/* Opens run->tokenizer: that of the folder adapter.init_from if it has one, else the model's, with data.added_tokens. Errors: BAD_CONFIG if a token gets an id
 * that the embedding has no row for; those of tokenizer_open(). */
enum status added_tokens_open(struct run *run, struct error *err) MUST_USE;
/* The section `adapter` with those tokens in trainable_token_indices: of the embedding, and of a head that is not tied to it; what modules_to_save trains whole
 * is left out. Errors: BAD_CONFIG if the method trains no rows. */
enum status added_tokens_section(const struct run *run, const struct yaml **section, struct error *err) MUST_USE;
/* Tells the adapter where new rows begin, and which tokenizer to keep. Errors: BAD_CONFIG if a row cannot begin as `init` says. */
enum status added_tokens_attach(const struct run *run, struct adapter *adapter, struct error *err) MUST_USE;

#endif
