/* Slopes of ALiBi by head.
 *
 * Where heads are a power of two n they are 2^(-max j / n), j = 1..n, with max 8. Other numbers of heads take some slopes of the next power: after all of the
 * largest power below (BLOOM, Falcon), or the ones between first (MPT); both give every second slope of 2n.
 *
 * Source: Press, Smith & Lewis 2021, "Train Short, Test Long", section 3; rounding follows transformers' modeling_bloom.py and modeling_mpt.py.
 */
#include "models/alibi.h"

#include "autograd/cpu/rows.h"

#include <math.h>

static int64_t power_below(int64_t heads)
{
    int64_t n = 1;
    while (2 * n <= heads)
        n *= 2;
    return n;
}

/* Powers of one base: all of them for the first n heads, the odd ones of a finer base for the rest. */
static void by_power(int64_t heads, float *slopes)
{
    const int64_t n = power_below(heads);
    const float base = (float)exp2(-exp2(-(log2((double)n) - 3))), finer = (float)exp2(-exp2(-(log2((double)(2 * n)) - 3)));
    for (int64_t i = 0; i < heads; i++)
        slopes[i] = i < n ? powf(base, (float)(i + 1)) : powf(finer, (float)(2 * (i - n) + 1));
}

/* Every second slope of the next power of two, then the others, as far as there are heads. */
static void by_every_second(int64_t heads, double max, float *slopes)
{
    const int64_t below = power_below(heads), n = below == heads ? heads : 2 * below;
    const float step = (float)(max / (double)n);
    for (int64_t i = 0; i < heads; i++) {
        int64_t j = n == heads ? i : i < n / 2 ? 2 * i + 1 : 2 * (i - n / 2);
        slopes[i] = 1.0f / exp2f((float)(j + 1) * step);
    }
}

void alibi_slopes(const struct model_config *config, float *slopes)
{
    if (config->shape.every_second)
        by_every_second(config->heads, config->alibi_max, slopes);
    else
        by_power(config->heads, slopes);
    for (int64_t i = 0; config->shape.coarse && i < config->heads; i++) {
        uint16_t rounded;
        narrow(&rounded, slopes + i, BF16, 1);
        widen(slopes + i, &rounded, BF16, 1);
    }
}
