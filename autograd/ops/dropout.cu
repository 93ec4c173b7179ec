/* dropout on a GPU: see dropout.c, whose mask this is, word for word. */
#include "autograd/cuda/kernel.cuh"

extern "C" {
#include "common/random.h"
}

enum { X, ROW_KEY, DRAW };
enum { Y };
enum { WORDS = 4 };
enum { SEED_LOW, SEED_HIGH, STEP };

struct dropout_values {
    struct view from, to;
    const int32_t *row_key, *draw;
    uint64_t apart;
    uint32_t stream, threshold;
    float scale;
    int64_t width;
    bool add;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        const uint32_t key[2] = { (uint32_t)draw[SEED_LOW] ^ (uint32_t)apart, (uint32_t)draw[SEED_HIGH] ^ (uint32_t)(apart >> 32) };
        uint32_t words[SPAN];
        float values[SPAN];
        for (int i = 0; i < SPAN; i += WORDS) {
            const uint32_t counter[4] = { (uint32_t)draw[STEP], (uint32_t)row_key[row], (uint32_t)((first + i) / WORDS), stream };
            philox(counter, key, words + i);
        }
        read(values, from, row * width + first, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = words[i] < threshold ? 0 : values[i] * scale;
        write_gradient(to, row * width + first, count, values, add);
    }
};

static enum status mask_rows(struct device *device, const struct node *n, const struct tensor *to, const struct tensor *from, bool add)
{
    const float p = n->params.probability;
    const struct dropout_values f = { view_of(from),
                                      view_of(to),
                                      (const int32_t *)n->in[ROW_KEY]->data,
                                      (const int32_t *)n->in[DRAW]->data,
                                      random_stream("dropout"),
                                      n->stream,
                                      (uint32_t)((double)p * 4294967296.0),
                                      1 / (1 - p),
                                      to->cols,
                                      add };
    return for_spans(device, n, to->rows, to->cols, f);
}

enum status dropout_forward_cuda(struct device *device, const struct node *n)
{
    return mask_rows(device, n, n->out[Y], n->in[X], false);
}

enum status dropout_backward_cuda(struct device *device, const struct node *n)
{
    return mask_rows(device, n, n->in[X]->grad, n->out[Y]->grad, adds(n, X));
}
