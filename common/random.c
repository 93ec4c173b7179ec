/* Counter-based random numbers. The key is the seed; the counter is (index, stream), so streams never meet. */
#include "common/random.h"
#include "common/status.h"

#include <math.h>

static void draw(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    const uint32_t counter[4] = { (uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32) };
    const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    philox(counter, key, out);
}

float random_uniform(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (float)(random_bits(seed, stream, index) >> 8) * 0x1p-24f;
}

float random_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t word[4];
    draw(seed, stream, index, word);
    /* The radius needs a uniform in (0, 1]: log(0) never happens. */
    double radius = sqrt(-2 * log(((double)word[0] + 1) * 0x1p-32));
    return (float)(radius * cos(2 * M_PI * 0x1p-32 * (double)word[1]));
}

/* Lemire 2019, "Fast random integer generation in an interval": the high half of word * n, redrawn where the low half is biased. */
uint64_t random_below(uint64_t seed, uint64_t stream, uint64_t index, uint64_t n)
{
    CHECK(n >= 1);
    const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
    const uint64_t biased = -n % n;
    uint32_t word[4];
    draw(seed, stream, index, word);
    for (;;) {
        for (int pair = 0; pair < 4; pair += 2) {
            unsigned __int128 product = (unsigned __int128)((uint64_t)word[pair] << 32 | word[pair + 1]) * n;
            if ((uint64_t)product >= biased)
                return (uint64_t)(product >> 64);
        }
        const uint32_t next[4] = { word[0], word[1], word[2], word[3] };
        philox(next, key, word);
    }
}

uint64_t random_stream(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 0x100000001B3u;
    return hash;
}

void random_permutation(uint64_t seed, uint64_t stream, int64_t *order, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)random_below(seed, stream, (uint64_t)i, (uint64_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
