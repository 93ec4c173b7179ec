/* Room for the keys and values of the past: one allocation, cut into two tensors a layer. */
#include "models/model.h"

enum status kv_cache_describe(struct kv_cache *cache, struct arena *arena, const struct model *model, int64_t slots, struct error *err)
{
    int64_t layers = model->config.layers, width = model->config.kv_heads * model->config.head_size;
    CHECK(slots > 0 && slots <= INT32_MAX);
    *cache = (struct kv_cache){ .slots = slots, .layers = layers };
    /* at most 2^31 slots of 2^24 values in 2^11 tensors do not fit 64 bits */
    size_t row = (size_t)width * dtype_bytes(model->dtype), one, all;
    if (__builtin_mul_overflow((size_t)slots, row, &one) || __builtin_add_overflow(one, (size_t)63, &one) ||
        __builtin_mul_overflow(one & ~(size_t)63, 2 * (size_t)layers, &all))
        return fail_with(err, NO_MEMORY, "a cache of %lld tokens is beyond any memory", "use a shorter context or fewer sequences at once", (long long)slots);
    one &= ~(size_t)63;
    cache->k = NEW_ARRAY(arena, layers, struct tensor *);
    cache->v = NEW_ARRAY(arena, layers, struct tensor *);
    cache->bytes = all;
    for (int64_t i = 0; i < layers; i++) {
        cache->k[i] = tensor_new(arena, "cached keys", model->dtype, STATE, slots, width, NULL);
        cache->v[i] = tensor_new(arena, "cached values", model->dtype, STATE, slots, width, NULL);
    }
    return OK;
}

enum status kv_cache_fill(struct kv_cache *cache, struct device *device, struct error *err)
{
    TRY(device_allocate(device, "keys and values of the past", cache->bytes, &cache->memory, err));
    cache->device = device;
    char *bytes = cache->memory;
    size_t one = cache->bytes / (2 * (size_t)cache->layers);
    for (int64_t i = 0; i < cache->layers; i++, bytes += 2 * one) {
        cache->k[i]->data = bytes;
        cache->v[i]->data = bytes + one;
    }
    return OK;
}

enum status kv_cache_create(struct kv_cache *cache, struct arena *arena, const struct model *model, int64_t slots, struct device *device, struct error *err)
{
    TRY(kv_cache_describe(cache, arena, model, slots, err));
    return kv_cache_fill(cache, device, err);
}

void kv_cache_destroy(struct kv_cache *cache)
{
    if (cache->device)
        device_release(cache->device, cache->memory, cache->bytes);
    *cache = (struct kv_cache){ 0 };
}
