/* gsm8k: question, and an answer that ends with "#### " and the number. */
#include "datasets/format.h"

const struct dataset_format format_gsm8k = {
    .name = "gsm8k",
    .field = { { "question", "instruction", REQUIRED, NULL }, { "answer", "response", REQUIRED, NULL } },
    .template_name = "question_answer",
    .wording = { "{instruction}", NULL, "{response}" },
};
