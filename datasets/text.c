/* text: one text, all of it trained (its first token only where the tokenizer puts BOS in front: nothing else could predict it). */
#include "datasets/format.h"

const struct dataset_format format_text = {
    .name = "text",
    .field = { { "text", "text", REQUIRED, NULL } },
    .template_name = "text",
};
