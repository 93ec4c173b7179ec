/* prompt_completion: a prompt as the model shall see it, and what follows, spelled completion or response. Nothing is put between the two. */
#include "datasets/format.h"

const struct dataset_format format_prompt_completion = {
    .name = "prompt_completion",
    .field = {
        { "prompt", "prompt", REQUIRED, NULL },
        { "completion", "response", REQUIRED, NULL },
        { "response", "response", REQUIRED, NULL },
    },
    .template_name = "prompt_completion",
    .wording = { "{prompt}", NULL, "{response}" },
};
