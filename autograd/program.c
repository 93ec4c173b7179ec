/* Run: binding addresses, setting live rows, walking the steps. */
#include "autograd/program.h"

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

enum status program_run_watched(struct program *p, struct device *device, program_watch *watch, void *self)
{
    if (watch)
        watch(self, p, -1);
    for (int i = 0; i < p->count; i++) {
        const struct step *step = &p->step[i];
        const struct op *op = step->node->op;
        TRY((step->what == FORWARD ? op->forward : op->backward)[device->kind](device, step->node));
        if (watch)
            watch(self, p, i);
    }
    return device->row->synchronize(device); /* what kernels found wrong belongs to this run */
}

enum status program_run(struct program *p, struct device *device)
{
    return program_run_watched(p, device, NULL, NULL);
}
