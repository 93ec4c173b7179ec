/* gated on a GPU: see gated.c. */
#include "autograd/cuda/curves.cuh"

enum { GATE, UP };
enum { Y };

/* to = activation(gate) * factor: y with up, and likewise dup with dy. */
struct gated_times {
    struct view gate, factor, to;
    enum activation which;
    bool add;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN], by[SPAN];
        read(values, gate, at, count);
        read(by, factor, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = curve_at(which, values[i]).value * by[i];
        write_gradient(to, at, count, values, add);
    }
};

struct gated_slopes {
    struct view gate, up, dgate, dy;
    enum activation which;
    bool add;
    __device__ void operator()(int64_t, int64_t at, int count) const
    {
        float values[SPAN], by[SPAN], upstream[SPAN];
        read(values, gate, at, count);
        read(by, up, at, count);
        read(upstream, dy, at, count);
        for (int i = 0; i < SPAN; i++)
            values[i] = upstream[i] * by[i] * curve_at(which, values[i]).slope;
        write_gradient(dgate, at, count, values, add);
    }
};

enum status gated_forward_cuda(struct device *device, const struct node *n)
{
    const struct gated_times f = { view_of(n->in[GATE]), view_of(n->in[UP]), view_of(n->out[Y]), n->params.activation, false };
    return for_elements(device, n, n->out[Y], f);
}

enum status gated_backward_cuda(struct device *device, const struct node *n)
{
    const struct view gate = view_of(n->in[GATE]), up = view_of(n->in[UP]), dy = view_of(n->out[Y]->grad);
    if (wants(n, GATE)) {
        const struct gated_slopes f = { gate, up, view_of(n->in[GATE]->grad), dy, n->params.activation, adds(n, GATE) };
        TRY(for_elements(device, n, n->out[Y], f));
    }
    if (wants(n, UP)) {
        const struct gated_times f = { gate, dy, view_of(n->in[UP]->grad), n->params.activation, adds(n, UP) };
        TRY(for_elements(device, n, n->out[Y], f));
    }
    return OK;
}
