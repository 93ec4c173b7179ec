/* Frequencies of rotary positions, per rope_type.
 *
 * The plain frequency of pair j is base^(-2j / rotary_size). Scaled types divide it: all alike (linear), the slow ones (llama3: by wavelength, with a smooth
 * middle), or along a ramp over the pairs (yarn: Peng et al. 2023, section 3.2). Angles grow with position, so a relative error of 1e-7 here is one of 1e-4 at
 * position 1000: steps and precisions therefore follow transformers to the last rounding.
 */
#include "models/rope.h"

#include <math.h>

static void plain(const struct model_config *config, float *inv_freq)
{
    for (int64_t j = 0; j < config->rotary_size / 2; j++)
        inv_freq[j] = 1.0f / powf((float)config->rope.theta, (float)(2 * j) / (float)config->rotary_size);
}

static void llama3(const struct model_config *config, float *inv_freq)
{
    double original = (double)config->rope.original_positions, low = config->rope.low_frequency_factor, high = config->rope.high_frequency_factor;
    float slow = (float)(original / low), fast = (float)(original / high), factor = (float)config->rope.factor;
    for (int64_t j = 0; j < config->rotary_size / 2; j++) {
        float plain_freq = inv_freq[j], wavelength = (float)(2 * M_PI) / plain_freq;
        if (wavelength > slow)
            inv_freq[j] = plain_freq / factor;
        else if (!(wavelength < fast)) {
            float smooth = ((float)original / wavelength - (float)low) / (float)(high - low);
            inv_freq[j] = (1 - smooth) * plain_freq / factor + smooth * plain_freq;
        }
    }
}

/* The (fractional) pair that turns that many times within the original length. */
static double pair_of_turns(const struct model_config *config, double turns)
{
    double size = (double)config->rotary_size, length = (double)config->rope.original_positions;
    return size * log(length / (turns * 2 * M_PI)) / (2 * log(config->rope.theta));
}

static double yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static float yarn(const struct model_config *config, float *inv_freq)
{
    double low = pair_of_turns(config, config->rope.beta_fast), high = pair_of_turns(config, config->rope.beta_slow), factor = config->rope.factor;
    if (config->rope.truncate)
        low = floor(low), high = ceil(high);
    low = fmax(low, 0);
    high = fmin(high, (double)config->rotary_size - 1);
    if (low == high)
        high += 0.001;
    for (int64_t j = 0; j < config->rotary_size / 2; j++) {
        float power = powf((float)config->rope.theta, (float)(2 * j) / (float)config->rotary_size);
        float ramp = ((float)j - (float)low) / (float)(high - low);
        float keep = 1 - fminf(fmaxf(ramp, 0), 1);
        inv_freq[j] = 1.0f / ((float)factor * power) * (1 - keep) + 1.0f / power * keep;
    }
    if (config->rope.attention_factor > 0)
        return (float)config->rope.attention_factor;
    if (config->rope.mscale != 0 && config->rope.mscale_all_dim != 0)
        return (float)(yarn_scale(factor, config->rope.mscale) / yarn_scale(factor, config->rope.mscale_all_dim));
    return (float)yarn_scale(factor, 1);
}

float rope_frequencies(const struct model_config *config, float *inv_freq)
{
    plain(config, inv_freq);
    if (config->rope.type == ROPE_YARN)
        return yarn(config, inv_freq);
    if (config->rope.type == ROPE_LLAMA3)
        llama3(config, inv_freq);
    if (config->rope.type == ROPE_LINEAR)
        for (int64_t j = 0; j < config->rotary_size / 2; j++)
            inv_freq[j] /= (float)config->rope.factor;
    return 1;
}

struct dynamic_rope rope_growth(const struct model_config *config)
{
    if (config->rope.type != ROPE_DYNAMIC)
        return (struct dynamic_rope){ 0 };
    return (struct dynamic_rope){ .base = (float)config->rope.theta, .factor = (float)config->rope.factor, .original = (int)config->max_positions };
}
