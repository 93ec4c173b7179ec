/* Run: binding addresses, setting live rows, walking the steps. */
#include "autograd/program.h"
#include "autograd/captures.h"

void program_bind(struct program *p, void *arena)
{
    p->bound = arena;
    for (int i = 0; i < p->placements; i++) {
        struct placement *place = &p->placement[i];
        void *bytes = (char *)arena + place->offset;
        if (place->tensor)
            place->tensor->data = bytes;
        else
            place->scratch->scratch = bytes;
    }
}

void program_resize(struct program *p, enum extent extent, int64_t rows)
{
    struct graph *g = p->graph;
    CHECK(extent != FIXED && rows >= 0 && rows <= g->capacity[extent]);
    p->rows[extent] = rows;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->extent == extent)
            g->tensor[i]->rows = rows;
}

enum status program_prepare(struct program *p, struct device *device)
{
    for (enum extent extent = FIXED + 1; extent < EXTENTS; extent++)
        program_resize(p, extent, p->graph->capacity[extent]);
    for (int i = 0; i < p->count; i++) {
        const struct node *n = p->step[i].node;
        if (n->op->prepare[device->kind])
            TRY(n->op->prepare[device->kind](device, n));
    }
    return OK;
}

static enum status run_step(const struct step *step, struct device *device)
{
    const struct op *op = step->node->op;
    return (step->what == FORWARD ? op->forward : op->backward)[device->kind](device, step->node);
}

static enum status walk(const struct program *p, struct device *device)
{
    for (int i = 0; i < p->count; i++)
        TRY(run_step(&p->step[i], device));
    return OK;
}

enum status program_start(struct program *p, struct device *device)
{
    return device->row->capture ? captures_run(p, device, walk) : walk(p, device);
}

enum status program_run(struct program *p, struct device *device)
{
    TRY(program_start(p, device));
    return device->row->synchronize(device); /* what kernels found wrong belongs to this run */
}

enum status program_run_watched(struct program *p, struct device *device, program_watch *watch, void *self)
{
    watch(self, p, -1);
    for (int i = 0; i < p->count; i++) {
        TRY(run_step(&p->step[i], device));
        watch(self, p, i);
    }
    return device->row->synchronize(device);
}
