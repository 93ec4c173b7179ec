/* kv_append on a GPU: see kv_append.c. */
#include "autograd/cuda/kernel.cuh"

enum { CACHE, X, SLOT };

struct cache_rows {
    struct view cache, x;
    const int32_t *slot;
    int64_t slots, width;
    struct complaint *complaint;
    __device__ void operator()(int64_t row, int64_t first, int count) const
    {
        if (slot[row] < 0 || slot[row] >= slots) {
            complain(complaint, CACHE_SLOT, row, slot[row], slots);
            return;
        }
        float values[SPAN];
        read(values, x, row * width + first, count);
        write(cache, slot[row] * width + first, count, values);
    }
};

enum status kv_append_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *cache = n->in[CACHE], *x = n->in[X];
    const struct cache_rows f = { view_of(cache), view_of(x), (const int32_t *)n->in[SLOT]->data, cache->rows, cache->cols, device->cuda->complaint };
    return for_spans(device, n, x->rows, x->cols, f);
}
