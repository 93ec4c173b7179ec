/* alpaca: instruction, input (may be empty), output. Some files carry the rendered prompt as `text`; it is made anew from the fields. */
#include "datasets/format.h"

const struct dataset_format format_alpaca = {
    .name = "alpaca",
    .field = {
        { "instruction", "instruction", REQUIRED, NULL },
        { "input", "context", OPTIONAL, NULL },
        { "output", "response", REQUIRED, NULL },
        { "text", NULL, IGNORED, NULL },
    },
    .template_name = "alpaca",
    .wording = { "{instruction}\n\n{context}", "{instruction}", "{response}" },
};
