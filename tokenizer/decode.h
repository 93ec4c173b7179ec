/* From token strings to text. A decoder is a row of steps; a stream pushes tokens through them and holds back what is not final.
 *
 * There is one way to decode: a whole sequence is a stream that is ended at once.
 */
#ifndef GRAFT_TOKENIZER_DECODE_H
#define GRAFT_TOKENIZER_DECODE_H

#include "tokenizer/stage.h"

struct decoder_step;
struct decoder {
    const struct decoder_step *step;
    int count;
};

/* json: decoder of the file (NULL or null: tokens with a space between). */
enum status decoder_read(struct decoder *decoder, struct arena *arena, const char *path, const json_t *json, struct pattern **patterns,
                         struct error *err) MUST_USE;

struct decoding;
struct decoding *decoding_new(const struct decoder *decoder, struct arena *arena);
/* Appends to out what is final now. */
enum status decoding_add(struct decoding *decoding, const char *token, size_t length, struct text *out, struct error *err) MUST_USE;
enum status decoding_end(struct decoding *decoding, struct text *out, struct error *err) MUST_USE;

#endif
