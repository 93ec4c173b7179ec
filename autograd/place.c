/* Plan, second half: when each byte is in use, who may share, and where everything lies.
 *
 * Two kinds of sharing: an output takes over the storage of an input that nothing reads later (op->in_place), and a gradient that a node passes on unchanged
 * keeps its storage (op->passes). Placement is greedy: biggest first, at the lowest offset that is free for the whole of its life.
 */
#include "autograd/planner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int root(const struct life *life, int id)
{
    while (life[id].shares != id)
        id = life[id].shares;
    return id;
}

static void use(struct life *life, const struct tensor *t, int step)
{
    if (!t || t->id < 0)
        return;
    struct life *l = &life[root(life, t->id)];
    if (step < l->first)
        l->first = step;
    if (step > l->last)
        l->last = step;
}

/* Marks all that a step touches. */
static void use_step(struct life *life, const struct step *step, int s)
{
    const struct node *n = step->node;
    uint32_t reads = 0;
    for (int i = 0; i < MAX_IN; i++) {
        if (step->what == FORWARD) {
            use(life, n->in[i], s);
        } else if (wants(n, i)) {
            reads |= n->op->reads[i];
            use(life, n->in[i]->grad, s);
        }
    }
    for (int j = 0; j < MAX_OUT; j++) {
        if (step->what == FORWARD || (reads & OUT(j)))
            use(life, n->out[j], s);
        if (step->what == BACKWARD && n->out[j])
            use(life, n->out[j]->grad, s);
    }
    for (int i = 0; i < MAX_IN; i++)
        if (reads & IN(i))
            use(life, n->in[i], s);
}

static void lifetimes(const struct planner *p, struct life *life)
{
    const struct graph *g = p->g;
    for (int i = 0; i < g->tensors; i++)
        life[i] = (struct life){ .first = INT_MAX, .last = -1, .shares = i };
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == INPUT) {
            use(life, g->tensor[i], 0);
            use(life, g->tensor[i], p->steps - 1);
        }
    for (int s = 0; s < p->steps; s++)
        use_step(life, &p->step[s], s);
    for (int i = 0; i < g->tensors; i++)
        if (g->kept[i])
            use(life, g->tensor[i], p->steps - 1);
}

/* `taker` moves into the storage of `giver`. */
static void share(struct life *life, const struct tensor *giver, const struct tensor *taker)
{
    int to = root(life, giver->id), from = root(life, taker->id);
    life[from].shares = to;
    life[to].first = life[from].first < life[to].first ? life[from].first : life[to].first;
    life[to].last = life[from].last > life[to].last ? life[from].last : life[to].last;
}

static bool same_storage_size(const struct tensor *a, const struct tensor *b)
{
    return a->dtype == b->dtype && a->extent == b->extent && tensor_capacity_bytes(a) == tensor_capacity_bytes(b);
}

static void share_in_place(struct life *life, const struct graph *g, const struct node *n, int s)
{
    int k = n->op->in_place;
    if (k == NONE || !n->in[k] || !n->out[0])
        return;
    const struct tensor *giver = n->in[k], *taker = n->out[0];
    if (giver->role != ACTIVATION || g->kept[giver->id] || life[root(life, giver->id)].last != s || !same_storage_size(giver, taker))
        return;
    for (int i = 0; i < MAX_IN; i++)
        if (i != k && n->in[i] == giver)
            return;
    share(life, giver, taker);
}

/* Only the node that made out[0] reads its gradient, so that storage may live on as the gradient of one input. The step then has nothing to do for that input.
 */
static void share_passed(struct life *life, const struct graph *g, struct node *n)
{
    struct tensor *giver = n->out[0] ? n->out[0]->grad : NULL;
    if (!giver || giver->id < 0 || giver->role != ACTIVATION || g->kept[giver->id])
        return;
    for (int i = 0; i < MAX_IN; i++) {
        if (!(n->op->passes >> i & 1u) || !wants(n, i) || adds(n, i))
            continue;
        const struct tensor *taker = n->in[i]->grad;
        if (g->kept[taker->id] || !same_storage_size(giver, taker))
            continue;
        share(life, giver, taker);
        n->grad_to &= ~(1u << i);
        return;
    }
}

static void share_storage(struct planner *p, struct life *life)
{
    int kept = 0;
    for (int s = 0; s < p->steps; s++) {
        struct node *n = (struct node *)(uintptr_t)p->step[s].node;
        if (p->step[s].what == FORWARD)
            share_in_place(life, p->g, n, s);
        else
            share_passed(life, p->g, n);
    }
    /* backward steps with nothing left to do go; lifetimes keep their step numbers until they are counted again */
    for (int s = 0; s < p->steps; s++)
        if (p->step[s].what == FORWARD || p->step[s].node->grad_to)
            p->step[kept++] = p->step[s];
    p->steps = kept;
}

/* After steps were dropped: the same sharing, lifetimes in the final numbering. */
static void count_again(struct planner *p, struct life *life)
{
    const struct graph *g = p->g;
    for (int i = 0; i < g->tensors; i++)
        life[i].first = INT_MAX, life[i].last = -1;
    for (int i = 0; i < g->tensors; i++) {
        if (g->tensor[i]->role == INPUT)
            use(life, g->tensor[i], 0);
        if (g->tensor[i]->role == INPUT || g->kept[i])
            use(life, g->tensor[i], p->steps - 1);
    }
    for (int s = 0; s < p->steps; s++)
        use_step(life, &p->step[s], s);
}

struct item {
    size_t bytes, offset;
    int first, last, id; /* id of the storage's tensor; -1 - step for scratch */
};

static int bigger_first(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    if (x->first != y->first)
        return x->first - y->first;
    return x->id - y->id;
}

/* placed[] is kept in order of offset, so one pass finds the lowest gap. */
static void settle(struct item *item, struct item **placed, int count)
{
    size_t offset = 0;
    int at = count;
    for (int i = 0; i < count; i++) {
        const struct item *other = placed[i];
        if (other->last < item->first || other->first > item->last)
            continue;
        if (other->offset >= offset + item->bytes)
            break;
        if (other->offset + other->bytes > offset)
            offset = other->offset + other->bytes;
    }
    item->offset = offset;
    while (at > 0 && placed[at - 1]->offset > offset)
        at--;
    memmove(placed + at + 1, placed + at, (size_t)(count - at) * sizeof *placed);
    placed[at] = item;
}

static int collect(const struct planner *p, const struct life *life, struct item *item)
{
    const struct graph *g = p->g;
    int items = 0;
    for (int i = 0; i < g->tensors; i++)
        if (life[i].shares == i && life[i].last >= 0)
            item[items++] = (struct item){ .bytes = aligned(tensor_capacity_bytes(g->tensor[i])), .first = life[i].first, .last = life[i].last, .id = i };
    for (int s = 0; s < p->steps; s++) {
        const struct node *n = p->step[s].node;
        size_t bytes = n->op->scratch ? n->op->scratch(n, p->options.threads) : 0;
        if (bytes)
            item[items++] = (struct item){ .bytes = aligned(bytes), .first = s, .last = s, .id = -1 - s };
    }
    return items;
}

static void find_peak(struct program *program, struct arena *arena, const struct item *item, int items)
{
    size_t *used = NEW_ARRAY(arena, program->count + 1, size_t);
    for (int i = 0; i < items; i++) {
        used[item[i].first] += item[i].bytes;
        used[item[i].last + 1] -= item[i].bytes; /* wraps on purpose: only prefix sums are looked at */
        if (item[i].offset + item[i].bytes > program->arena_bytes)
            program->arena_bytes = item[i].offset + item[i].bytes;
    }
    size_t now = 0, most = 0;
    for (int s = 0; s < program->count; s++) {
        now += used[s];
        if (now > most)
            most = now, program->peak_step = s;
    }
}

struct program *place(struct planner *p)
{
    struct graph *g = p->g;
    struct life *life = NEW_ARRAY(g->arena, g->tensors, struct life);
    lifetimes(p, life);
    if (!p->options.separate) {
        share_storage(p, life);
        count_again(p, life);
    }
    struct item *item = NEW_ARRAY(g->arena, g->tensors + p->steps, struct item);
    int items = collect(p, life, item);
    qsort(item, (size_t)items, sizeof *item, bigger_first);
    struct item **placed = NEW_ARRAY(g->arena, items + 1, struct item *);
    for (int i = 0; i < items; i++)
        settle(&item[i], placed, i);

    struct program *program = NEW(g->arena, struct program);
    *program = (struct program){ .graph = g, .step = p->step, .count = p->steps };
    memcpy(program->rows, g->capacity, sizeof program->rows);
    find_peak(program, g->arena, item, items);
    struct item **of = NEW_ARRAY(g->arena, g->tensors, struct item *);
    program->placement = NEW_ARRAY(g->arena, g->tensors + p->steps, struct placement);
    for (int i = 0; i < items; i++) {
        if (item[i].id >= 0)
            of[item[i].id] = &item[i];
        else
            program->placement[program->placements++] = (struct placement){ .scratch = (struct node *)(uintptr_t)p->step[-1 - item[i].id].node,
                                                                            .offset = item[i].offset,
                                                                            .bytes = item[i].bytes,
                                                                            .first = item[i].first,
                                                                            .last = item[i].last };
    }
    for (int i = 0; i < g->tensors; i++) {
        const struct item *where = of[root(life, i)];
        if (where)
            program->placement[program->placements++] =
                (struct placement){ .tensor = g->tensor[i], .offset = where->offset, .bytes = where->bytes, .first = where->first, .last = where->last };
    }
    return program;
}
