/* alpaca: instruction, input (may be empty), output. Some files carry the rendered prompt as `text`; it is made anew from the fields. */
#include "datasets/format.h"

const struct dataset_format format_alpaca = {
    .name = "alpaca",
    .field = {
        { "instruction", "instruction", REQUIRED },
        { "input", "context", OPTIONAL },
        { "output", "response", REQUIRED },
        { "text", NULL, IGNORED },
    },
    .template_name = "alpaca",
};
