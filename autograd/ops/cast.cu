/* cast on a GPU: see cast.c. */
#include "autograd/cuda/copy.cuh"

enum { X };
enum { Y };

enum status cast_forward_cuda(struct device *device, const struct node *n)
{
    const struct copy_values f = { view_of(n->out[Y]), view_of(n->in[X]), false, NULL };
    return for_elements(device, n, n->out[Y], f);
}

enum status cast_backward_cuda(struct device *device, const struct node *n)
{
    if (!wants(n, X))
        return OK;
    const struct copy_values f = { view_of(n->in[X]->grad), view_of(n->out[Y]->grad), adds(n, X), NULL };
    return for_elements(device, n, n->out[Y], f);
}
