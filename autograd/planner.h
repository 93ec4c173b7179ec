/* What the planner's files share while one graph becomes a program: plan.c decides which steps there are, place.c where their bytes lie. */
#ifndef GRAFT_AUTOGRAD_PLANNER_H
#define GRAFT_AUTOGRAD_PLANNER_H

#include "autograd/plan.h"

/* When the bytes of a storage are in use, in steps; tensors that share storage share one life. */
struct life {
    int first, last;
    int shares; /* id of the tensor whose storage this one uses; its own id if none */
};

struct planner {
    struct graph *g;
    struct plan_options options;
    struct step *step;
    int steps, step_room;
    int forward_steps; /* of the steps, before backward begins */
};

/* Lifetimes, sharing and placement of everything the steps touch. */
struct program *place(struct planner *p);

#endif
