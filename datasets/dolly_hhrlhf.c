/* dolly_hhrlhf: prompts that are rendered already (Alpaca's words, or a dialogue), and responses. */
#include "datasets/format.h"

const struct dataset_format format_dolly_hhrlhf = {
    .name = "dolly_hhrlhf",
    .field = { { "prompt", "prompt", REQUIRED, NULL }, { "response", "response", REQUIRED, NULL } },
    .template_name = "prompt_completion",
    .wording = { "{prompt}", NULL, "{response}" },
};
