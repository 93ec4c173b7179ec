/* Sizes and names of dtypes, and how many bytes a matrix has. */
#include "autograd/tensor.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[DTYPES] = {
    [F32] = { "float32", 4 },
    [BF16] = { "bfloat16", 2 },
    [F16] = { "float16", 2 },
    [I32] = { "int32", 4 },
};

size_t dtype_bytes(enum dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *dtype_name(enum dtype dtype)
{
    return dtypes[dtype].name;
}

size_t tensor_bytes(const struct tensor *t)
{
    return (size_t)t->rows * (size_t)t->cols * dtype_bytes(t->dtype);
}

size_t tensor_capacity_bytes(const struct tensor *t)
{
    return (size_t)t->capacity * (size_t)t->cols * dtype_bytes(t->dtype);
}
