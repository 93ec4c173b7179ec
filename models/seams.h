/* Where adapters touch the base model, and nowhere else.
 *
 * A seam is called by the decoder while it records; it returns the tensor to go on with. Several adapters attached at once are a list of seams called in order.
 */
#ifndef GRAFT_MODELS_SEAMS_H
#define GRAFT_MODELS_SEAMS_H

#include "autograd/ops.h"

/* QKV: queries, keys and values as one layer, in families that store them so; its site then takes the place of Q, K and V. GATE_UP likewise. */
enum projection { Q, K, V, QKV, ATTENTION_OUT, GATE, UP, GATE_UP, DOWN, HEAD, PROJECTIONS };

/* A linear layer of the model, as data. */
struct site {
    int layer; /* -1 for the head */
    enum projection projection;
    int64_t in, out;
    const char *module; /* as Hugging Face spells it in the live model: "model.layers.0.self_attn.q_proj", "lm_head" */
};

struct pass;

/* Rows in front of the keys and values of every sequence, [P, kv_heads * head_size] each, not rotated; or NULLs. */
struct prefix {
    struct tensor *keys, *values;
};

/* What a frozen linear layer computes: y = onto + x w^T + bias; bias and onto may be NULL. */
struct frozen {
    const struct site *site;
    struct tensor *w, *bias, *x, *onto, *y;
};

struct seams {
    void *self;
    /* y is frozen->y, or what adapters before this one made of it; returns it, or it changed. Every linear layer but the head. NULL: nothing to do. */
    struct tensor *(*linear)(void *self, struct pass *p, const struct frozen *frozen, struct tensor *y);
    /* What is added to the head's output, as two factors: with the loss the output is never there to be changed. At most one adapter of a walk has them.
     * NULL: nothing to do. */
    struct low_rank (*head)(void *self, struct pass *p, struct tensor *hidden);
    /* h are the rows of the embedding that p->ids looked up; returns them, or them changed. NULL: nothing to do. */
    struct tensor *(*embed)(void *self, struct pass *p, struct tensor *h);
    /* The trained copy of a frozen tensor (norm, bias, head, embedding table), or w itself. NULL: nothing to do. */
    struct tensor *(*weight)(void *self, struct pass *p, struct tensor *w);
    /* Rows of the adapter's own, made once per walk and found in p->virtual_rows afterwards: with virtual_tokens [virtual_tokens, width] f32, which are
     * embedded, else whatever prefix() cuts keys and values from. At most one adapter of a set has them. NULL: none. */
    struct tensor *(*virtual_rows)(void *self, struct pass *p);
    struct prefix (*prefix)(void *self, struct pass *p, int layer); /* NULL: none */
    int64_t virtual_tokens;                                         /* so many ids behind the vocabulary stand in front of every sequence; those of a
                                                                       set behind those of the sets before it */
    int64_t first_position;                                         /* of the first row of every sequence */
};

enum { MOST_SETS = 64 }; /* among which the rows of one walk may choose */

/* Adapters that are attached together, in order. */
struct seam_set {
    const struct seams *const *seams;
    int count;
};

#endif
