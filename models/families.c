/* The table of families. A new one is a file in families/ and a word here. */
#include "models/family.h"

#include "common/text.h"

#define EACH_FAMILY(X)                                                                                                                                         \
    X(llama) X(mistral) X(qwen2) X(gpt_neox) X(gpt2) X(bloom) X(falcon) X(gpt_bigcode) X(mpt) X(codegen) X(gptj) X(opt) X(gemma) X(phi3) X(qwen3) X(stablelm)

#define DECLARE(name) extern const struct family family_##name;
#define ADDRESS(name) &family_##name,
#define WORD(name)    #name,

EACH_FAMILY(DECLARE)
static const struct family *const families[] = { EACH_FAMILY(ADDRESS) };
static const char *const names[] = { EACH_FAMILY(WORD) NULL };

const struct family *family_find(const char *model_type)
{
    for (size_t i = 0; i < COUNT(families); i++)
        if (text_equal(families[i]->model_type, model_type) || text_equal(families[i]->old_types[0], model_type) ||
            text_equal(families[i]->old_types[1], model_type))
            return families[i];
    return NULL;
}

const char *const *family_names(void)
{
    return names;
}
