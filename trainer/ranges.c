/* LoRA+: B, and every vector, learns faster than A by a factor; embeddings have a rate of their own; biases do not decay.
 *
 * Source: Hayou et al. 2024, "LoRA+: Efficient Low Rank Adaptation of Large Models"; peft 0.21 optimizers/loraplus.py (which parameter is in which group).
 */
#include "trainer/ranges.h"

#include <string.h>

enum { UNIT = 16 };

struct factors {
    float rate, decay;
};

static struct factors factors_of(const struct adapter *adapter, const struct tensor *t, const struct training_settings *settings)
{
    const float ratio = (float)settings->loraplus_lr_ratio;
    const double rate = settings->learning_rate, embedding = settings->loraplus_lr_embedding > 0 ? settings->loraplus_lr_embedding : 1e-6;
    if (ratio == 0)
        return (struct factors){ 1, 1 };
    if (strstr(t->name, ".lora_embedding_"))
        return (struct factors){ rate > 0 ? (float)(embedding / rate) : 0, 1 };
    if (strstr(t->name, ".lora_B.") || adapter->kind->is_vector(adapter, t))
        return (struct factors){ ratio, strstr(t->name, "bias") ? 0 : 1 };
    return (struct factors){ 1, 1 };
}

const struct ranges *ranges_new(struct arena *arena, const struct adapter *adapter, const struct training_settings *settings)
{
    const struct parameters *p = adapter->parameters;
    struct ranges *ranges = NEW(arena, struct ranges);
    ranges->end = NEW_ARRAY(arena, p->tensors + 1, int32_t);
    ranges->factor = NEW_ARRAY(arena, 2 * (p->tensors + 1), float);
    int64_t end = 0;
    for (int i = 0; i < p->tensors; i++) {
        const struct factors own = factors_of(adapter, p->tensor[i], settings);
        const float *last = ranges->factor + 2 * (ranges->count - 1);
        if (ranges->count == 0 || last[0] != own.rate || last[1] != own.decay) {
            ranges->factor[2 * ranges->count] = own.rate;
            ranges->factor[2 * ranges->count + 1] = own.decay;
            ranges->count++;
        }
        end += (p->tensor[i]->rows * p->tensor[i]->cols + UNIT - 1) / UNIT;
        CHECK(end <= INT32_MAX);
        ranges->end[ranges->count - 1] = (int32_t)end;
    }
    return ranges;
}
