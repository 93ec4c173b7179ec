/* competition_math (MATH): problem and solution, the answer in \boxed{} inside; or, as some copies spell it, context and chain_of_thought, the answer apart. */
#include "datasets/format.h"

const struct dataset_format format_competition_math = {
    .name = "competition_math",
    .field = {
        { "problem", "instruction", REQUIRED, NULL },
        { "context", "instruction", REQUIRED, NULL },
        { "solution", "response", REQUIRED, NULL },
        { "chain_of_thought", "response", REQUIRED, NULL },
        { "level", "level", OPTIONAL, NULL },
        { "type", "type", OPTIONAL, NULL },
        { "category", "type", OPTIONAL, NULL },
        { "answer", "answer", OPTIONAL, NULL },
    },
    .template_name = "question_answer",
    .wording = { "{instruction}", NULL, "{response}" },
};
