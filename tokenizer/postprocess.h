/* The post-processor, reduced to what it does to ids: a list of ids with the text's tokens somewhere between. */
#ifndef GRAFT_TOKENIZER_POSTPROCESS_H
#define GRAFT_TOKENIZER_POSTPROCESS_H

#include "common/json.h"

#include <stdint.h>

enum { THE_TEXT = -1 };

struct template
{
    int32_t *item; /* ids, and THE_TEXT */
    size_t count;
    bool is_set; /* false: the text alone */
};

/* size: one more than the largest id; greater ids are BAD_FILE. */
enum status postprocessor_read(struct template *template, struct arena *arena, const char *path, const json_t *json, int64_t size, struct error *err) MUST_USE;

#endif
