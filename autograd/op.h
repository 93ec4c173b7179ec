/* The contract for op authors. Everything about one op stands in one file, autograd/ops/<name>.c, which ends with its row.
 *
 * A row says, beside the kernels, what the gradient of each input READS. From that alone the planner knows what must stay in memory, what can be recomputed and
 * which storage may be shared; so a kernel may touch, in backward, only: the inputs and outputs its row names for the inputs in grad_to, the gradients of
 * outputs, the gradients of those inputs, its scratch. Everything else may already hold other bytes.
 */
#ifndef GRAFT_AUTOGRAD_OP_H
#define GRAFT_AUTOGRAD_OP_H

#include "autograd/device.h"
#include "autograd/graph.h"

typedef enum status kernel(struct device *device, const struct node *n);

/* The second column of a row: the kernel x_cuda in a build with CUDA, nothing in one without. */
#if defined(GRAFT_CUDA)
#include "autograd/cuda/kernels.h"
#define ON_CUDA(name) name##_cuda
#else
#define ON_CUDA(name) NULL
#endif

#define IN(i)  (1u << (i))
#define OUT(i) (1u << (MAX_IN + (i)))
enum { NONE = -1 };

struct op {
    const char *name;
    uint32_t reads[MAX_IN]; /* reads[i]: what the gradient of input i reads, as IN(..) | OUT(..) */
    kernel *forward[DEVICES], *backward[DEVICES];
    /* Makes ready what the kernels need beyond the arena, for any number of live rows up to those of now; no data are there yet. NULL: nothing. */
    kernel *prepare[DEVICES];
    /* Bytes of scratch a step of this node needs (the larger of forward and backward) with that many threads; NULL: none. */
    size_t (*scratch)(const struct node *n, int threads);
    int in_place; /* input whose storage output 0 may take over when nothing reads it later, or NONE. The kernel must then work with out[0]->data == in[i]->data
                   */
    uint32_t
        passes; /* inputs whose gradient is the gradient of output 0, unchanged: usually shared, copied or added by the kernel otherwise (bit in grad_to) */
    uint32_t writes;  /* STATE inputs that forward writes: such a node is never dropped */
    bool cheap;       /* one pass over memory: done again for backward rather than kept */
    bool no_gradient; /* has no backward: plan() refuses if a gradient would have to pass */
};

/* Kernel side: does this step compute the gradient of input i, and does it add to what is there? */
static inline bool wants(const struct node *n, int i)
{
    return n->grad_to >> i & 1u;
}
static inline bool adds(const struct node *n, int i)
{
    return n->add_to >> i & 1u;
}

#endif
