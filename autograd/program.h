/* Run: a program is a flat array of steps; running it is walking the array. */
#ifndef GRAFT_AUTOGRAD_PROGRAM_H
#define GRAFT_AUTOGRAD_PROGRAM_H

#include "autograd/graph.h"
#include "autograd/op.h"

struct step {
    enum { FORWARD, BACKWARD } what;
    bool recomputed; /* a forward step done again for backward */
    const struct node *node;
};

struct program {
    struct graph *graph;
    struct step *step;
    int count;
    size_t arena_bytes;
    void *bound;           /* the arena given to program_bind last */
    int64_t rows[EXTENTS]; /* live, as program_resize() was told last; capacity before */
    int peak_step;         /* where the arena is fullest */
    /* What lies in the arena: for binding, reports and tests. */
    struct placement {
        struct tensor *tensor; /* NULL: scratch */
        struct node *scratch;  /* the node whose scratch this is */
        size_t offset, bytes;
        int first, last; /* steps between which the bytes are in use */
    } * placement;
    int placements;
    /* Of a device that can capture (autograd/captures.h), made at the first run: */
    uint64_t number, *key;
    struct tensor **outside; /* tensors that outlive graphs */
    int64_t outsides;
};

/* Makes ready what the steps need beyond the arena (library objects, buffers), for batches of every size: then no step makes any, and what the process has
 * resident lacks only the arena and what is read. Neither an address nor data are needed; again it costs almost nothing. Errors are the kernels'. */
enum status program_prepare(struct program *p, struct device *device) MUST_USE;
/* Gives every tensor its address in an arena of at least arena_bytes. Programs that never run at the same time may share one arena. */
void program_bind(struct program *p, void *arena);
/* Live rows of all tensors of that extent; 0 <= rows <= capacity. */
void program_resize(struct program *p, enum extent extent, int64_t rows);
/* Asks for all steps and waits for none: what kernels on another device find wrong is the error of the device's next synchronize(). Where the device can
 * capture, runs that are like an earlier one replay it: the same bytes, in one call. */
enum status program_start(struct program *p, struct device *device) MUST_USE;
/* Also waits until they are done. Errors are the kernels'. */
enum status program_run(struct program *p, struct device *device) MUST_USE;
/* As program_run, always walking, with a call before the first step (step -1) and after each (profiles, tests). */
typedef void program_watch(void *self, const struct program *p, int step);
enum status program_run_watched(struct program *p, struct device *device, program_watch *watch, void *self) MUST_USE;

#endif
