/* Plan: a graph becomes a program, with every byte placed.
 *
 * The planner decides which gradients flow, who sets and who adds, what is recomputed, which storage is shared and where everything lies in one arena. It knows
 * ops only through their rows.
 */
#ifndef GRAFT_AUTOGRAD_PLAN_H
#define GRAFT_AUTOGRAD_PLAN_H

#include "autograd/program.h"

struct plan_options {
    bool recompute; /* recompute marked segments in backward; otherwise only their cheap ops */
    bool keep;      /* recompute nothing at all: for proofs that recomputation changes no bit */
    bool separate;  /* do not share storage (in place, passed gradients): for proofs that sharing changes no bit */
    int threads;    /* scratch is per thread */
};

/* loss: f32 [1, 1], or NULL for a program without backward. If loss->grad was set by the caller (to an INPUT of its shape), that is the root of backward, and
 * loss may have any shape; otherwise the root is 1. Consumes the graph. Errors: the graph's first error; UNHEALTHY if a gradient would have to pass an op that
 * has none. */
enum status plan(struct program **program, struct graph *g, struct tensor *loss, struct plan_options options, struct error *err) MUST_USE;

#endif
