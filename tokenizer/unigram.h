/* Unigram: every token has a score (the logarithm of its probability), and a piece becomes the tokens with the greatest sum.
 *
 * Source: Kudo 2018, "Subword Regularization", section 3.2; the rules for ties and unknown characters are those of the Python package
 * `tokenizers`, whose ids this gives (see unigram.c).
 */
#ifndef GRAFT_TOKENIZER_UNIGRAM_H
#define GRAFT_TOKENIZER_UNIGRAM_H

#include "tokenizer/model.h"

extern const struct model_kind model_unigram;

#endif
