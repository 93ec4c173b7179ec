/* Room for the keys and values of the past: one allocation, cut into two tensors a layer. */
#include "models/model.h"

enum status kv_cache_create(struct kv_cache *cache, struct arena *arena, const struct model *model, int64_t slots, struct device *device, struct error *err)
{
    int64_t layers = model->config.layers, width = model->config.kv_heads * model->config.head_size;
    CHECK(slots > 0 && slots <= INT32_MAX);
    *cache = (struct kv_cache){ .slots = slots, .device = device };
    /* at most 2^31 slots of 2^24 values in 2^11 tensors do not fit 64 bits */
    size_t row = (size_t)width * dtype_bytes(model->dtype), one, all;
    if (__builtin_mul_overflow((size_t)slots, row, &one) || __builtin_add_overflow(one, (size_t)63, &one) ||
        __builtin_mul_overflow(one & ~(size_t)63, 2 * (size_t)layers, &all))
        return fail_with(err, NO_MEMORY, "a cache of %lld tokens is beyond any memory", "use a shorter context or fewer sequences at once", (long long)slots);
    one &= ~(size_t)63;
    cache->k = NEW_ARRAY(arena, layers, struct tensor *);
    cache->v = NEW_ARRAY(arena, layers, struct tensor *);
    cache->bytes = all;
    TRY(device_allocate(device, "keys and values of the past", all, &cache->memory, err));
    char *bytes = cache->memory;
    for (int64_t i = 0; i < layers; i++, bytes += 2 * one) {
        cache->k[i] = tensor_new(arena, "cached keys", model->dtype, STATE, slots, width, bytes);
        cache->v[i] = tensor_new(arena, "cached values", model->dtype, STATE, slots, width, bytes + one);
    }
    return OK;
}

void kv_cache_destroy(struct kv_cache *cache)
{
    if (cache->device)
        device_release(cache->device, cache->memory, cache->bytes);
    *cache = (struct kv_cache){ 0 };
}
