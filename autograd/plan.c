/* Plan, first half: which gradients flow, which steps there are, who sets and who adds.
 *
 * Backward of a node is a copy of the node in which the inputs and outputs that a gradient reads may be recomputed copies; gradients themselves are never
 * copied. Where bytes lie is decided afterwards, in place.c.
 */
#include "autograd/plan.h"
#include "autograd/ops.h"
#include "autograd/planner.h"

#include <string.h>

static void add_step(struct planner *p, int what, bool recomputed, const struct node *n)
{
    if (p->steps == p->step_room) {
        p->step_room = p->step_room ? 2 * p->step_room : 512;
        p->step = arena_grow(p->g->arena, p->step, (size_t)p->steps, (size_t)p->step_room, sizeof *p->step);
    }
    p->step[p->steps++] = (struct step){ .what = what == FORWARD ? FORWARD : BACKWARD, .recomputed = recomputed, .node = n };
}

/* needed[id]: somebody reads it, or it is a result. A node lives if it makes something needed or writes a state. */
static void forward_steps(struct planner *p, const struct tensor *loss)
{
    struct graph *g = p->g;
    bool *needed = arena_grow(g->arena, g->kept, (size_t)g->tensors, (size_t)g->tensors, sizeof *needed);
    bool *alive = NEW_ARRAY(g->arena, g->nodes, bool);
    if (loss)
        needed[loss->id] = true;
    for (int i = g->nodes - 1; i >= 0; i--) {
        const struct node *n = g->node[i];
        alive[i] = n->op->writes != 0;
        for (int j = 0; j < MAX_OUT; j++)
            alive[i] |= n->out[j] && needed[n->out[j]->id];
        for (int j = 0; alive[i] && j < MAX_IN; j++)
            if (n->in[j] && n->in[j]->id >= 0)
                needed[n->in[j]->id] = true;
    }
    int count = 0;
    for (int i = 0; i < g->nodes; i++) {
        if (!alive[i])
            continue;
        g->node[count++] = g->node[i];
        add_step(p, FORWARD, false, g->node[i]);
    }
    g->nodes = count;
    p->forward_steps = p->steps;
}

static bool has_output_gradient(const struct node *n)
{
    for (int j = 0; j < MAX_OUT; j++)
        if (n->out[j] && n->out[j]->grad)
            return true;
    return false;
}

/* Marks in every node which inputs get a gradient from it, and makes the tensors for them. */
static enum status flow(struct planner *p, struct error *err)
{
    struct graph *g = p->g;
    for (int i = g->nodes - 1; i >= 0; i--) {
        struct node *n = g->node[i];
        if (!has_output_gradient(n))
            continue;
        for (int j = 0; j < MAX_IN; j++) {
            struct tensor *t = n->in[j];
            if (!t || !t->wants_grad)
                continue;
            if (n->op->no_gradient)
                return fail_with(err, UNHEALTHY, "%s has no gradient, but one would have to pass its input %d (%s)",
                                 "this is a bug: please report the configuration", n->op->name, j, t->name);
            n->grad_to |= 1u << j;
            if (!t->grad) {
                t->grad = graph_tensor(g, t->name, t->grad_dtype, ACTIVATION, t->extent, t->capacity, t->cols);
                if (t->role == INPUT)
                    graph_keep(g, t->grad);
            }
        }
    }
    return OK;
}

/* Everything the gradients of this node read, as a mask over its inputs and outputs. */
static uint32_t reads_of(const struct node *n)
{
    uint32_t reads = 0;
    for (int i = 0; i < MAX_IN; i++)
        if (wants(n, i))
            reads |= n->op->reads[i];
    return reads;
}

/* The recomputed twin of each tensor, by id; NULL: the tensor itself is used. */
struct twins {
    struct tensor **of;
    int *maker; /* index of the node that made it, -1 for inputs */
    int room;
};

static struct tensor *twin(const struct twins *twins, struct tensor *t)
{
    return t && t->id >= 0 && t->id < twins->room && twins->of[t->id] ? twins->of[t->id] : t;
}

/* Whether a node of a segment runs again for backward: with recomputation all do, else those whose results cost more to keep than to make. */
static bool repeats(const struct planner *p, const struct node *n)
{
    return p->options.recompute || n->op->cheap;
}

/* Marks the nodes of the segment that must run again so that t exists: its maker, and what the maker reads. Walked with a list, not by recursion. */
static void want_again(const struct planner *p, const struct twins *twins, const struct tensor *t, int segment, bool *again)
{
    if (!t || t->id < 0 || t->id >= twins->room || twins->maker[t->id] < 0)
        return;
    const struct node *n = p->g->node[twins->maker[t->id]];
    if (n->segment == segment && repeats(p, n))
        again[twins->maker[t->id]] = true;
}

static void recompute(struct planner *p, struct twins *twins, int from, int to, int segment)
{
    struct graph *g = p->g;
    bool *again = NEW_ARRAY(g->arena, g->nodes, bool);
    for (int i = to; i >= from; i--) {
        const struct node *n = g->node[i];
        uint32_t reads = n->grad_to ? reads_of(n) : 0;
        for (int j = 0; j < MAX_IN; j++)
            if (reads & IN(j))
                want_again(p, twins, n->in[j], segment, again);
        for (int j = 0; j < MAX_OUT; j++)
            again[i] |= (reads & OUT(j)) && n->out[j] && repeats(p, n);
    }
    for (int i = to; i >= from; i--)
        for (int j = 0; again[i] && j < MAX_IN; j++)
            want_again(p, twins, g->node[i]->in[j], segment, again);
    for (int i = from; i <= to; i++) {
        if (!again[i])
            continue;
        struct node *copy = NEW(g->arena, struct node);
        *copy = *g->node[i];
        for (int j = 0; j < MAX_IN; j++)
            copy->in[j] = twin(twins, copy->in[j]);
        for (int j = 0; j < MAX_OUT; j++) {
            struct tensor *t = copy->out[j];
            if (!t)
                continue;
            copy->out[j] = graph_tensor(g, t->name, t->dtype, ACTIVATION, t->extent, t->capacity, t->cols);
            copy->out[j]->grad = t->grad;
            copy->out[j]->grad_dtype = t->grad_dtype;
            copy->out[j]->wants_grad = t->wants_grad; /* ops size their scratch by it */
            twins->of[t->id] = copy->out[j];
        }
        add_step(p, FORWARD, true, copy);
    }
}

static void backward_steps(struct planner *p)
{
    struct graph *g = p->g;
    struct twins twins = { .room = g->tensors, .of = NEW_ARRAY(g->arena, g->tensors, struct tensor *), .maker = NEW_ARRAY(g->arena, g->tensors, int) };
    memset(twins.maker, -1, (size_t)g->tensors * sizeof *twins.maker);
    for (int i = 0; i < g->nodes; i++)
        for (int j = 0; j < MAX_OUT; j++)
            if (g->node[i]->out[j])
                twins.maker[g->node[i]->out[j]->id] = i;
    int done = 0; /* the segment recomputed last */
    for (int i = g->nodes - 1; i >= 0; i--) {
        const struct node *n = g->node[i];
        if (!n->grad_to)
            continue;
        if (!p->options.keep && n->segment && n->segment != done) {
            int from = i;
            while (from > 0 && g->node[from - 1]->segment == n->segment)
                from--;
            recompute(p, &twins, from, i, n->segment);
            done = n->segment;
        }
        struct node *back = NEW(g->arena, struct node);
        *back = *n;
        for (int j = 0; j < MAX_IN; j++)
            back->in[j] = twin(&twins, n->in[j]);
        for (int j = 0; j < MAX_OUT; j++)
            back->out[j] = twin(&twins, n->out[j]);
        add_step(p, BACKWARD, false, back);
    }
}

/* The first writer of an activation's gradient sets it, later ones add; gradients of parameters are always added to. */
static void set_or_add(struct planner *p)
{
    bool *written = NEW_ARRAY(p->g->arena, p->g->tensors, bool);
    for (int s = p->forward_steps; s < p->steps; s++) {
        if (p->step[s].what != BACKWARD)
            continue;
        struct node *n = (struct node *)(uintptr_t)p->step[s].node; /* a copy made by backward_steps: ours to finish */
        for (int j = 0; j < MAX_IN; j++) {
            if (!wants(n, j))
                continue;
            const struct tensor *grad = n->in[j]->grad;
            if (grad->id < 0 || written[grad->id])
                n->add_to |= 1u << j;
            else
                written[grad->id] = true;
        }
    }
}

enum status plan(struct program **program, struct graph *g, struct tensor *loss, struct plan_options options, struct error *err)
{
    if (g->error.code != OK) {
        *err = g->error;
        return err->code;
    }
    struct planner p = { .g = g, .options = options };
    forward_steps(&p, loss);
    if (loss && loss->wants_grad) {
        if (!loss->grad) {
            loss->grad = fill(g, loss->capacity, loss->cols, 1);
            add_step(&p, FORWARD, false, g->node[--g->nodes]);
            p.forward_steps = p.steps;
        }
        TRY(flow(&p, err));
        backward_steps(&p);
        set_or_add(&p);
    }
    *program = place(&p);
    return OK;
}
