/* dolly: instruction, context (may be empty), response; databricks-dolly-15k also has a category, which a template may use. */
#include "datasets/format.h"

const struct dataset_format format_dolly = {
    .name = "dolly",
    .field = {
        { "instruction", "instruction", REQUIRED },
        { "context", "context", OPTIONAL },
        { "response", "response", REQUIRED },
        { "category", "category", OPTIONAL },
    },
    .template_name = "dolly",
};
