/* Record: a graph is a list of nodes in the order in which builders were called.
 *
 * Recording never fails in the middle: builders always return a tensor, the graph keeps the first error and plan() reports it, so model code reads like
 * mathematics. A graph is recorded once per program, planned once, and then belongs to the program.
 */
#ifndef GRAFT_AUTOGRAD_GRAPH_H
#define GRAFT_AUTOGRAD_GRAPH_H

#include "autograd/tensor.h"
#include "common/arena.h"
#include "common/status.h"

enum { MAX_IN = 10, MAX_OUT = 7 };

enum activation { SILU, GELU, GELU_TANH, RELU, TANH };

/* How attention sees its heads. */
struct heads {
    int heads, kv_heads, head_size;
    float scale;                /* of q.k, usually 1 / sqrt(head_size) */
    int window;                 /* 0: all earlier keys; else query at key position q sees keys k with q - k < window */
    bool scaled_slopes, coarse; /* as in Falcon, see attention() */
};

/* Columns of a matrix: `pieces` of `width` each, the first from column `from` on and each `step` behind the one before. */
struct columns {
    int64_t from, width, pieces, step;
};

/* Which columns of a head rotate together. */
enum rope_pairs { HALVES, NEIGHBOURS }; /* (j, j + n), (2j, 2j + 1) */

/* Angles that depend on a sequence's length (rope_type dynamic): base grows once a sequence is longer than `original`. */
struct dynamic_rope {
    float base, factor; /* factor 0: frequencies are as given */
    int original;
};

enum { NO_PADDING = -1 };

/* How the next id is taken from logits, in this order: penalty, temperature, top-k, top-p, one draw. */
struct sampling {
    double temperature; /* 0: the most probable id */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    double repetition_penalty;
    uint64_t seed;
};

union op_params {
    float value; /* fill; clamp: the bound */
    float eps;   /* layernorm */
    float scale; /* linear, row_norms */
    struct {
        float scale;
        int padding;
    } lookup;                   /* embed, embed_columns, replace_rows */
    float shift;                /* scale_columns */
    float probability;          /* dropout */
    enum activation activation; /* gated, activation */
    int number;                 /* choose_rows */
    struct columns columns;     /* take_columns */
    struct heads heads;         /* attention */
    struct {
        float eps, shift;
    } rms;
    struct {
        int heads, head_size;
        enum rope_pairs pairs;
    } rope;
    struct {
        struct sampling rules;
        uint64_t stream; /* of all draws */
    } sample;
    struct {
        struct dynamic_rope dynamic;
        float amplitude; /* cos and sin are multiplied by this (yarn) */
    } angles;
};

struct node {
    const struct op *op; /* a pointer to its row */
    struct tensor *in[MAX_IN], *out[MAX_OUT];
    union op_params params;
    uint32_t grad_to; /* bit i: input i gets its gradient from this node (set by plan) */
    uint32_t add_to;  /* bit i: add, somebody wrote first; else set (set by plan) */
    uint32_t stream;  /* random stream, unique in the graph; a recomputed copy keeps it */
    int segment;      /* recomputation range; 0: never recomputed */
    void *scratch;    /* op->scratch() bytes, valid during a step only (set by plan) */
    struct graph *graph;
};

struct graph {
    struct arena *arena;
    struct error error; /* the first recording error */
    bool gradients;     /* outputs computed from parameters want gradients */
    int64_t capacity[EXTENTS];
    struct node **node;
    int nodes, node_room;
    struct tensor **tensor; /* all that this graph owns, by id */
    int tensors, tensor_room;
    bool *kept; /* by id: survives to the end of the program */
    int segment;
};

/* capacity[FIXED] is unused. gradients: record for training (else no tensor wants a gradient). */
struct graph *graph_new(struct arena *arena, const int64_t capacity[EXTENTS], bool gradients);
/* Nodes recorded from now on belong to this recomputation segment (0: none). */
void graph_segment(struct graph *g, int segment);
/* An input that is uploaded before each run. extent FIXED needs rows; others take the capacity. */
struct tensor *graph_input(struct graph *g, const char *name, enum dtype dtype, enum extent extent, int64_t rows, int64_t cols);
/* A tensor that the graph owns. Builders use output(), models graph_input(); the planner makes gradients and copies with it. */
struct tensor *graph_tensor(struct graph *g, const char *name, enum dtype dtype, enum role role, enum extent extent, int64_t rows, int64_t cols);
/* The tensor is a result: its bytes stay valid after the program ran. Returns t. */
struct tensor *graph_keep(struct graph *g, struct tensor *t);

/* A tensor that outlives graphs (WEIGHT, PARAMETER, STATE); data is the caller's. */
struct tensor *tensor_new(struct arena *arena, const char *name, enum dtype dtype, enum role role, int64_t rows, int64_t cols, void *data);

/* For builders (autograd/ops). NULL inputs are allowed where the op says so. */
struct node *record_node(struct graph *g, const struct op *op, int count, struct tensor *const in[]);
#define record(g, op, ...)                                                                                                                                     \
    record_node((g), (op), (int)(sizeof((struct tensor *[]){ __VA_ARGS__ }) / sizeof(struct tensor *)), (struct tensor *[]){ __VA_ARGS__ })
/* Output number `slot`: as many rows (and the extent) of `like`, cols columns. Wants a gradient if any float input does and dtype is not I32. */
struct tensor *output(struct node *n, int slot, enum dtype dtype, const struct tensor *like, int64_t cols);
/* Output with a fixed number of rows. */
struct tensor *output_fixed(struct node *n, int slot, enum dtype dtype, int64_t rows, int64_t cols);
/* An output that never carries a gradient (statistics, indices): call right after output(). Returns t. */
struct tensor *no_gradient(struct tensor *t);

/* Shape checks for builders: the first mismatch becomes the graph's error (a bug of the caller or an odd model: names op, tensor and both shapes).
 * rows or cols < 0: any. */
void expect_shape(struct graph *g, const char *op, const struct tensor *t, int64_t rows, int64_t cols);
void expect_rows_of(struct graph *g, const char *op, const struct tensor *t, const struct tensor *like);
/* Appends a node that was made elsewhere. */
void graph_append(struct graph *g, struct node *n);
void graph_fail(struct graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
