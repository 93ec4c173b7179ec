/* THE vocabulary: everything that can be said in a graph. Each builder is explained in the file of its name, autograd/ops/<name>.c.
 *
 * x, y are [rows, ...] float tensors of the compute dtype (f32 or bf16); shapes stand in brackets. NULL where "or NULL" is written.
 */
#ifndef GRAFT_AUTOGRAD_OPS_H
#define GRAFT_AUTOGRAD_OPS_H

#include "autograd/graph.h"

/* y[i] = onto[i] + scale * table[ids[i]]; ids >= table rows take row (id - table rows) of virtual_rows (f32, not scaled). ids I32 [rows, 1], table [vocab,
 * width], virtual_rows [P, width] or NULL, onto [rows, width] of dtype `dtype` or NULL (y then usually takes over its storage). y has dtype `dtype`. The
 * gradient of a table adds rows of equal id in row order, and nothing for the id `padding` (-1: none). */
struct tensor *embed(struct graph *g, struct tensor *ids, struct tensor *table, struct tensor *virtual_rows, struct tensor *onto, float scale, int padding,
                     enum dtype dtype);

/* y[i] = x[index[i]]; index I32 [SELECTED, 1], strictly increasing. x [rows, width]. */
struct tensor *take_rows(struct graph *g, struct tensor *x, struct tensor *index);

/* y = some columns of x, in their order. x [rows, cols], y [rows, pieces * width]; pieces do not overlap. */
struct tensor *take_columns(struct graph *g, struct tensor *x, struct columns columns);

/* y[i] = column ids[i] of the table, 0 for ids behind it. ids I32 [rows, 1], table f32 [width, vocab]; y [rows, width] of dtype `dtype`. The column of the id
 * `padding` gets no gradient (-1: none). */
struct tensor *embed_columns(struct graph *g, struct tensor *ids, struct tensor *table, int padding, enum dtype dtype);

/* y[i] = scale * taken[place[id]] where that is a row of it, else x[i]; id = ids[i], or i itself where ids is NULL. x [rows, width], ids I32 [rows, 1], place
 * I32 [vocab, 1] (-1: none), taken f32 [n, width]. Rows of the id `padding` in ids give taken no gradient (-1: none). */
struct tensor *replace_rows(struct graph *g, struct tensor *x, struct tensor *ids, struct tensor *place, struct tensor *taken, float scale, int padding);

/* y[i] = mine[i] where choice[i] == number, else others[i]; both [rows, width] of one dtype, choice I32 [rows, 1]. Without gradients. */
struct tensor *choose_rows(struct graph *g, struct tensor *others, struct tensor *mine, struct tensor *choice, int number);

/* y = the rows of x[0], then those of x[1], and so on. x [n, width] f32 each, count of 1 or more. Without gradients. */
struct tensor *join_rows(struct graph *g, struct tensor *const *x, int count);

/* y = (w + shift) * x / rms(x), each piece of w's width on its own. x [rows, pieces * width], w [1, width] f32 or compute dtype. */
struct tensor *rmsnorm(struct graph *g, struct tensor *x, struct tensor *w, float shift, float eps);

/* y = w * (x - mean(x)) / deviation(x) + b. w, b [1, width] f32 or compute dtype; b or NULL. */
struct tensor *layernorm(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *b, float eps);

/* y = onto + scale * (x w^T + bias). x [rows, in], w [out, in], bias [1, out] or NULL, onto [rows, out] or NULL (y then usually takes over its storage). */
struct tensor *linear(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *bias, struct tensor *onto, float scale);

/* f32 [1, out]: the norm of every row of w + scale * (b a), a constant for gradients. w [out, in], a f32 [rank, in], b f32 [out, rank]. */
struct tensor *row_norms(struct graph *g, struct tensor *w, struct tensor *a, struct tensor *b, float scale);

/* y = onto + bias + x * (magnitude / norm + shift), a factor for each column: 0 in place of magnitude / norm where the norm is 0. magnitude, norm f32 [1,
 * cols]; bias [1, cols] or NULL, onto like x or NULL. */
struct tensor *scale_columns(struct graph *g, struct tensor *x, struct tensor *magnitude, struct tensor *norm, struct tensor *bias, struct tensor *onto,
                             float shift);

/* The same values in another float dtype; the gradient keeps x's dtype. Returns x itself if nothing changes. */
struct tensor *cast(struct graph *g, struct tensor *x, enum dtype dtype);

/* Inverted dropout: y = x / (1 - p) where kept, else 0. What is kept depends on (seed, node stream, step, row_key[row], column): not on the batch's layout.
 * row_key I32 [rows, 1]; draw I32 [1, 3] = {seed low, seed high, optimizer step}. probability 0 returns x itself. */
struct tensor *dropout(struct graph *g, struct tensor *x, struct tensor *row_key, struct tensor *draw, float probability);

/* cos and sin of every position: out f32 [rows, 2 * n] = cos of n angles, then sin. positions I32 [rows, 1]; spans as in attention (for dynamic frequencies);
 * inv_freq f32 [1, n]. */
struct tensor *rope_angles(struct graph *g, struct tensor *positions, struct tensor *spans, struct tensor *inv_freq, struct dynamic_rope dynamic,
                           float amplitude);

/* Rotates pairs of the first 2n columns of every head, (j, j + n) or (2j, 2j + 1); x [rows, count * head_size], angles from rope_angles. */
struct tensor *rope(struct graph *g, struct tensor *x, struct tensor *angles, int count, int head_size, enum rope_pairs pairs);

/* Causal attention inside each sequence. q [rows, heads * head_size]; k, v [key rows, kv_heads * head_size]; spans I32 [SEQUENCES, 4] = {first row of q, rows
 * of q, first row of k, rows of k}: queries are aligned to the END of their sequence's keys. prefix_k, prefix_v [P, kv_heads * head_size] f32 or compute dtype,
 * or NULL: keys in front of every sequence, seen by every query (but a sliding window and slopes count them as the first positions). slopes f32 [1, heads] or
 * NULL (frozen): slope * (key position - query position) is added to the scaled score (ALiBi); heads.scaled_slopes: times scale; heads.coarse, of these:
 * scale * bf16(slope * key position), both rounded to nearest even. y like q. Nothing of size rows x keys is kept. */
struct tensor *attention(struct graph *g, struct tensor *q, struct tensor *k, struct tensor *v, struct tensor *spans, struct tensor *prefix_k,
                         struct tensor *prefix_v, struct tensor *slopes, struct heads heads);

/* y = activation(gate) * up. */
struct tensor *gated(struct graph *g, struct tensor *gate, struct tensor *up, enum activation activation);

/* y = activation(x). */
struct tensor *activation(struct graph *g, struct tensor *x, enum activation which);

/* y = x kept within [-bound, bound]. bound above 0. */
struct tensor *clamp(struct graph *g, struct tensor *x, float bound);

/* One bidirectional LSTM layer over the rows of x as one sequence; y [rows, 2h]: forward, then reverse. x [rows, in]; everything f32. */
struct lstm_weights {
    struct tensor *w_ih, *w_hh, *b_ih, *b_hh; /* [4h, in], [4h, h], [1, 4h], [1, 4h]; gates in the order i, f, g, o */
};
struct tensor *lstm(struct graph *g, struct tensor *x, struct lstm_weights forward, struct lstm_weights reverse);

/* The last projection fused with cross entropy, by chunks of rows: no [rows, vocab] is ever stored. x [n, width] (the selected rows only), w [vocab, width],
 * bias [1, vocab] or NULL, update: u v^T is added to the logits (NULLs: nothing), labels I32 [n, 1] in [0, vocab), weight f32 [1, 1]. The gradients of x, u
 * and v are made during forward. */
struct low_rank {
    struct tensor *u, *v; /* [n, rank], [vocab, rank] */
};
struct head_loss {
    struct tensor *loss;     /* f32 [1, 1]: weight * sum of row_loss */
    struct tensor *row_loss; /* f32 [n, 1]: -log p(label) */
    struct tensor *greedy;   /* I32 [n, 1]: the most probable id (lowest on ties) */
};
struct head_loss head_loss(struct graph *g, struct tensor *x, struct tensor *w, struct tensor *bias, struct low_rank update, struct tensor *labels,
                           struct tensor *weight);

/* The next id of each row, I32 [n, 1]: the most probable one (the lowest on ties) or a draw, the same on every device; -1 - j where logit j is not a number,
 * the first such. logits f32 [n, vocab], vocab at most 2^24. draws I32 [n, 2]: what is drawn depends on (seed, draws[0], draws[1]) alone: which text, and which
 * of its ids. seen I32 [n, most]: ids so far, up to the first negative one, for the repetition penalty as transformers applies it: positive logits are divided
 * by it, negative ones multiplied, once per distinct id; NULL if the penalty is 1. */
struct tensor *sample(struct graph *g, struct tensor *logits, struct tensor *draws, struct tensor *seen, const struct sampling *sampling);

/* cache[slot[i]] = x[i]. cache STATE [slots, width], slot I32 [rows, 1]. No output: readers of the cache are recorded behind. */
void kv_append(struct graph *g, struct tensor *cache, struct tensor *x, struct tensor *slot);

/* out f32 [1, 1] = sum of x^2 over everything (fixed order, f64 partial sums); NaN or infinite if any element is. x f32 STATE. */
struct tensor *sum_squares(struct graph *g, struct tensor *x);

/* One AdamW update, PyTorch's order of operations (decoupled decay first). value, grad, first, second f32 [1, n]; norm_squared from sum_squares; hyper f32 [1,
 * 8] = {learning rate, beta1, beta2, epsilon, weight decay, max norm (0: no clipping), step from 1, unused}. The gradient is first scaled by min(1, max_norm /
 * (norm + 1e-6)). The vector is cut into ranges: ends I32 [ranges, 1] in units of 16 values, increasing, the last one being the vector's end whatever stands
 * there; factors f32 [ranges, 2] multiply learning rate and weight decay. */
void adamw(struct graph *g, struct tensor *value, struct tensor *grad, struct tensor *first, struct tensor *second, struct tensor *norm_squared,
           struct tensor *hyper, struct tensor *ends, struct tensor *factors);

/* sum += x, value by value. Both f32 of one shape; sum STATE. No output. */
void add_into(struct graph *g, struct tensor *sum, struct tensor *x);

/* t [rows, cols] set to a value (the root of backward). */
struct tensor *fill(struct graph *g, int64_t rows, int64_t cols, float value);

extern const struct op op_embed, op_embed_columns, op_take_rows, op_take_columns, op_replace_rows, op_choose_rows, op_join_rows, op_rmsnorm, op_layernorm,
    op_linear, op_scale_columns, op_row_norms, op_cast, op_dropout, op_rope_angles, op_rope, op_attention, op_gated, op_head_loss, op_kv_append, op_sum_squares,
    op_adamw, op_fill, op_activation, op_clamp, op_lstm, op_add_into, op_sample;

#endif
