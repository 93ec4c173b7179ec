/* dolly: instruction, context (may be empty), response; databricks-dolly-15k also has a category, which a template may use. */
#include "datasets/format.h"

const struct dataset_format format_dolly = {
    .name = "dolly",
    .field = {
        { "instruction", "instruction", REQUIRED, NULL },
        { "context", "context", OPTIONAL, NULL },
        { "response", "response", REQUIRED, NULL },
        { "category", "category", OPTIONAL, NULL },
    },
    .template_name = "dolly",
    .wording = { "{instruction}\n\n{context}", "{instruction}", "{response}" },
};
