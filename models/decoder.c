/* THE forward of every decoder-only family.
 *
 *     h = embed(ids);  per layer:  h += o(attention(rope(q(n)), rope(k(n)), v(n))), n = norm(h);   h += down(act(gate(n)) * up(n)), n = norm(h)
 *     hidden = norm(h);  logits = hidden head^T;  behind the attention of the last layer h has the selected rows only
 *
 * What families do differently is data (struct shape): the norm, where positions enter, one fused layer for q, k and v, an MLP without gate, and whether
 * attention and MLP of a block both read the h before it. Residuals are added by the projections themselves (linear's `onto`). Adapters see every projection
 * through project() and every other weight through weight().
 */
#include "models/model.h"

/* Where rows choose among sets of adapters, each stage that adapters may change is recorded for every set, as if it were alone, and rows take theirs. What a
 * set does not change is recorded once.
 */
static int sets(const struct pass *p)
{
    return p->sets ? p->sets : 1;
}

static void enter(struct pass *p, int set)
{
    p->seams = p->sets ? p->set[set].seams : p->seams;
    p->adapters = p->sets ? p->set[set].count : p->adapters;
    p->virtual_rows = p->set_rows ? p->set_rows[set] : NULL;
}

/* What the sets up to this one make of each row; `first` is what set 0 makes of it. */
static struct tensor *choose(struct pass *p, int set, struct tensor *so_far, struct tensor *first, struct tensor *mine)
{
    return set == 0 ? mine : mine == first ? so_far : choose_rows(p->g, so_far, mine, p->choice, set);
}

/* A frozen tensor, or the copy that an adapter trains instead. NULL (no bias) stays NULL. */
static struct tensor *weight(struct pass *p, struct tensor *w)
{
    struct tensor *used = w;
    for (int i = 0; i < p->adapters && w; i++)
        if (p->seams[i]->weight)
            used = p->seams[i]->weight(p->seams[i]->self, p, used);
    return used;
}

/* The weights that one set computes with. */
struct weights {
    struct tensor *w, *bias;
};

/* All sets are asked before anything is computed: a tied table asked for behind the first lookup is the head. */
static void ask_for_weights(struct pass *p, struct weights own[MOST_SETS], struct tensor *w, struct tensor *bias)
{
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        own[set] = (struct weights){ weight(p, w), weight(p, bias) };
    }
}

static bool as_first(const struct weights own[MOST_SETS], int set)
{
    return set > 0 && own[set].w == own[0].w && own[set].bias == own[0].bias;
}

/* A stage of the walk that adapters may change: computed from weights that may be theirs, and then perhaps adapted. */
struct stage {
    struct tensor *w, *bias, *x, *onto; /* frozen weights; what else compute() reads */
    const struct site *site;
    struct tensor *(*compute)(struct pass *p, const struct stage *stage, struct weights own);
    struct tensor *(*adapt)(struct pass *p, const struct stage *stage, struct weights own, struct tensor *y); /* NULL: y as it is */
};

static struct tensor *record_stage(struct pass *p, const struct stage stage)
{
    struct weights own[MOST_SETS];
    struct tensor *first = NULL, *first_mine = NULL, *y = NULL;
    ask_for_weights(p, own, stage.w, stage.bias);
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        struct tensor *computed = as_first(own, set) ? first : stage.compute(p, &stage, own[set]);
        struct tensor *mine = stage.adapt ? stage.adapt(p, &stage, own[set], computed) : computed;
        first = set ? first : computed;
        first_mine = set ? first_mine : mine;
        y = choose(p, set, y, first_mine, mine);
    }
    return y;
}

void pass_choose(struct pass *p, const struct seam_set *set, int count)
{
    p->set = set;
    p->sets = count;
    p->choice = graph_input(p->g, "choice", I32, ROWS, 0, 1);
}

/* Recomputation segments: block i is i + 1, everything outside blocks is kept. */
enum { OUTSIDE = 0 };

struct pass pass_new(struct graph *g, const struct model *model, const struct seams *const *seams, int adapters, struct kv_cache *cache, bool training)
{
    return (struct pass){
        .g = g,
        .model = model,
        .seams = seams,
        .adapters = adapters,
        .cache = cache,
        .ids = graph_input(g, "ids", I32, ROWS, 0, 1),
        .positions = graph_input(g, "positions", I32, ROWS, 0, 1),
        .spans = graph_input(g, "spans", I32, SEQUENCES, 0, 4),
        .selected = graph_input(g, "selected", I32, SELECTED, 0, 1),
        .slots = cache ? graph_input(g, "slots", I32, ROWS, 0, 1) : NULL,
        .row_key = training ? graph_input(g, "row_key", I32, ROWS, 0, 1) : NULL,
        .draw = training ? graph_input(g, "draw", I32, FIXED, 1, 3) : NULL,
    };
}

static struct tensor *compute_norm(struct pass *p, const struct stage *stage, struct weights own)
{
    const float eps = (float)p->model->config.norm_eps;
    return p->model->config.shape.norm == RMSNORM ? rmsnorm(p->g, stage->x, own.w, p->model->config.shape.one_plus, eps)
                                                  : layernorm(p->g, stage->x, own.w, own.bias, eps);
}

static struct tensor *norm(struct pass *p, struct tensor *x, struct tensor *w, struct tensor *bias)
{
    return record_stage(p, (struct stage){ .w = w, .bias = bias, .x = x, .compute = compute_norm });
}

static struct tensor *block_norm(struct pass *p, int layer, int which, struct tensor *x)
{
    const struct layer *l = &p->model->layer[layer];
    return norm(p, x, l->norm[which], l->norm_bias[which]);
}

/* The adapter that puts rows of its own in front of every sequence, or NULL. */
static const struct seams *virtual_seams(struct pass *p)
{
    const struct seams *found = NULL;
    for (int i = 0; i < p->adapters; i++) {
        if (p->seams[i]->virtual_rows && found)
            graph_fail(p->g, "two adapters put rows in front of every sequence, one can");
        found = p->seams[i]->virtual_rows ? p->seams[i] : found;
    }
    return found;
}

static struct tensor *compute_lookup(struct pass *p, const struct stage *stage, struct weights own)
{
    return embed(p->g, p->ids, own.w, stage->x, NULL, p->model->embed_scale, p->model->config.padding, p->model->dtype);
}

static struct tensor *adapt_lookup(struct pass *p, const struct stage *stage, struct weights own, struct tensor *y)
{
    (void)stage, (void)own;
    for (int i = 0; i < p->adapters; i++)
        if (p->seams[i]->embed)
            y = p->seams[i]->embed(p->seams[i]->self, p, y);
    return y;
}

/* The rows that the sets put in front of sequences; returns those that are embedded, in the order of their ids, or NULL. */
static struct tensor *make_virtual_rows(struct pass *p)
{
    struct tensor *embedded[MOST_SETS], **rows = NEW_ARRAY(p->g->arena, sets(p), struct tensor *);
    int count = 0;
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        const struct seams *own = virtual_seams(p);
        rows[set] = own ? own->virtual_rows(own->self, p) : NULL;
        if (own && own->virtual_tokens)
            embedded[count++] = rows[set];
    }
    p->set_rows = rows;
    return count ? join_rows(p->g, embedded, count) : NULL;
}

/* The rows that ids look up, and what adapters make of them. */
static struct tensor *look_up(struct pass *p)
{
    struct tensor *rows = make_virtual_rows(p);
    return record_stage(p, (struct stage){ .w = p->model->embed, .x = rows, .compute = compute_lookup, .adapt = adapt_lookup });
}

static struct tensor *compute_positions(struct pass *p, const struct stage *stage, struct weights own)
{
    return embed(p->g, p->positions, own.w, NULL, stage->onto, 1, NO_PADDING, p->model->dtype);
}

/* Learned positions are added to what was looked up. */
static struct tensor *add_positions(struct pass *p, struct tensor *h)
{
    return record_stage(p, (struct stage){ .w = p->model->position_table, .onto = h, .compute = compute_positions });
}

static struct tensor *compute_projection(struct pass *p, const struct stage *stage, struct weights own)
{
    return linear(p->g, stage->x, own.w, own.bias, stage->onto, 1);
}

static struct tensor *adapt_projection(struct pass *p, const struct stage *stage, struct weights own, struct tensor *y)
{
    const struct frozen frozen = { .site = stage->site, .w = own.w, .bias = own.bias, .x = stage->x, .onto = stage->onto, .y = y };
    for (int i = 0; i < p->adapters; i++)
        if (p->seams[i]->linear)
            y = p->seams[i]->linear(p->seams[i]->self, p, &frozen, y);
    return y;
}

/* onto + x W^T + bias, and what adapters add at this site. */
static struct tensor *project(struct pass *p, int layer, enum projection which, struct tensor *x, struct tensor *onto)
{
    const struct layer *l = &p->model->layer[layer];
    return record_stage(p, (struct stage){ .w = l->w[which],
                                           .bias = l->bias[which],
                                           .x = x,
                                           .onto = onto,
                                           .site = &l->site[which],
                                           .compute = compute_projection,
                                           .adapt = adapt_projection });
}

/* The keys or values that queries see: this batch's, or with a cache the whole past. */
static struct tensor *remember(struct pass *p, struct tensor *cached, struct tensor *x)
{
    kv_append(p->g, cached, x, p->slots);
    return cached;
}

/* Behind the last attention only the selected rows are of use: the others go no further. */
static void leave_rows_behind(struct pass *p, struct tensor **attended, struct tensor **h, struct tensor **x)
{
    *attended = take_rows(p->g, *attended, p->selected);
    *h = take_rows(p->g, *h, p->selected);
    *x = *x ? take_rows(p->g, *x, p->selected) : NULL;
    if (p->row_key)
        p->row_key = take_rows(p->g, p->row_key, p->selected);
    if (p->choice)
        p->choice = take_rows(p->g, p->choice, p->selected);
}

struct qkv {
    struct tensor *q, *k, *v;
};

/* Queries, keys and values of a fused layer lie in blocks; an adapter on it sees the layer as the files hold it. */
static struct qkv take_apart(struct pass *p, struct tensor *fused)
{
    const struct model_config *c = &p->model->config;
    const int64_t blocks = c->shape.qkv_blocks, q = c->heads * c->head_size / blocks, kv = c->kv_heads * c->head_size / blocks, step = q + 2 * kv;
    const int64_t k_from = c->shape.values_first ? q + kv : q, v_from = c->shape.values_first ? q : q + kv;
    struct qkv a;
    a.q = take_columns(p->g, fused, (struct columns){ 0, q, blocks, step });
    a.k = take_columns(p->g, fused, (struct columns){ k_from, kv, blocks, step });
    a.v = take_columns(p->g, fused, (struct columns){ v_from, kv, blocks, step });
    return a;
}

/* MPT keeps its queries, keys and values within bounds. */
static struct tensor *bounded(struct pass *p, struct tensor *x)
{
    const double bound = p->model->config.clip_qkv;
    return bound > 0 ? clamp(p->g, x, (float)bound) : x;
}

static struct qkv queries_keys_values(struct pass *p, int layer, struct tensor *x)
{
    const struct model_config *c = &p->model->config;
    const struct layer *l = &p->model->layer[layer];
    struct qkv a;
    if (c->shape.qkv_blocks > 0) {
        a = take_apart(p, bounded(p, project(p, layer, QKV, x, NULL)));
    } else {
        a.q = project(p, layer, Q, x, NULL);
        a.k = project(p, layer, K, x, NULL);
        a.v = project(p, layer, V, x, NULL);
    }
    if (c->shape.head_norms) {
        a.q = norm(p, a.q, l->head_norm[0], NULL);
        a.k = norm(p, a.k, l->head_norm[1], NULL);
    }
    if (c->shape.positions == ROTARY) {
        a.q = rope(p->g, a.q, p->angles, (int)c->heads, (int)c->head_size, c->shape.pairs);
        a.k = rope(p->g, a.k, p->angles, (int)c->kv_heads, (int)c->head_size, c->shape.pairs);
    }
    return a;
}

/* What the rows of x, normed, attend to; of sets with prefixes of their own each row takes its own's. */
static struct tensor *attend(struct pass *p, int layer, struct tensor *x)
{
    const struct model_config *c = &p->model->config;
    const struct seams *first_owner = NULL;
    struct tensor *first = NULL, *y = NULL;
    bool first_coarse = false;
    struct heads heads = { .heads = (int)c->heads,
                           .kv_heads = (int)c->kv_heads,
                           .head_size = (int)c->head_size,
                           .scale = (float)(c->attention_scale / (c->shape.depth_scaled ? layer + 1 : 1)),
                           .window = model_window(c, layer),
                           .scaled_slopes = c->shape.coarse };
    struct qkv a = queries_keys_values(p, layer, x);
    if (p->cache) {
        a.k = remember(p, p->cache->k[layer], a.k);
        a.v = remember(p, p->cache->v[layer], a.v);
    }
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        const struct seams *own = virtual_seams(p), *owner = own && own->prefix ? own : NULL;
        heads.coarse = c->shape.coarse && !own; /* behind virtual rows transformers multiplies positions in float32 */
        struct tensor *mine = first;
        if (!first || owner != first_owner || heads.coarse != first_coarse) {
            struct prefix prefix = owner ? owner->prefix(owner->self, p, layer) : (struct prefix){ 0 };
            mine = attention(p->g, a.q, a.k, a.v, p->spans, prefix.keys, prefix.values, p->model->slopes, heads);
        }
        first_owner = set ? first_owner : owner;
        first_coarse = set ? first_coarse : heads.coarse;
        first = set ? first : mine;
        y = choose(p, set, y, first, mine);
    }
    return y;
}

static struct tensor *mlp(struct pass *p, int layer, struct tensor *x, struct tensor *onto)
{
    const struct model_config *c = &p->model->config;
    struct tensor *gate = NULL, *up;
    if (c->shape.fused_mlp) {
        struct tensor *both = project(p, layer, GATE_UP, x, NULL);
        gate = take_columns(p->g, both, (struct columns){ 0, c->mlp_width, 1, 2 * c->mlp_width });
        up = take_columns(p->g, both, (struct columns){ c->mlp_width, c->mlp_width, 1, 2 * c->mlp_width });
    } else {
        gate = c->shape.plain_mlp ? NULL : project(p, layer, GATE, x, NULL);
        up = project(p, layer, UP, x, NULL);
    }
    return project(p, layer, DOWN, gate ? gated(p->g, gate, up, c->activation) : activation(p->g, up, c->activation), onto);
}

static struct tensor *block(struct pass *p, int layer, struct tensor *h)
{
    const struct shape *shape = &p->model->config.shape;
    struct tensor *x = block_norm(p, layer, 0, h), *attended = attend(p, layer, x);
    struct tensor *shared = shape->one_norm ? x : NULL; /* what the MLP reads too */
    h = shape->normed_residual ? x : h;
    if (layer == p->model->config.layers - 1)
        leave_rows_behind(p, &attended, &h, &shared);
    struct tensor *beside = shape->parallel && !shared ? block_norm(p, layer, 1, h) : shared;
    h = project(p, layer, ATTENTION_OUT, attended, h);
    x = beside ? beside : block_norm(p, layer, 1, h);
    return mlp(p, layer, x, shape->normed_residual ? x : h);
}

struct tensor *decoder(const struct pass *pass)
{
    struct pass walk = *pass, *p = &walk; /* its row keys change on the way, the caller's are inputs */
    const struct model *m = p->model;
    graph_segment(p->g, OUTSIDE);
    if (m->inv_freq)
        p->angles = rope_angles(p->g, p->positions, p->spans, m->inv_freq, m->dynamic_rope, m->rope_amplitude);
    struct tensor *h = look_up(p);
    if (m->position_table)
        h = add_positions(p, h);
    if (m->embed_norm)
        h = norm(p, h, m->embed_norm, m->embed_norm_bias);
    for (int layer = 0; layer < (int)m->config.layers; layer++) {
        graph_segment(p->g, layer + 1);
        h = block(p, layer, h);
    }
    graph_segment(p->g, OUTSIDE);
    return norm(p, h, m->final_norm, m->final_norm_bias);
}

/* The pass behind decoder(): of what is given for each row that of the selected ones is left. */
static struct pass behind(const struct pass *p)
{
    struct pass left = *p;
    if (p->choice)
        left.choice = take_rows(p->g, p->choice, p->selected);
    if (p->row_key)
        left.row_key = take_rows(p->g, p->row_key, p->selected);
    return left;
}

/* What the set's adapters add to the logits; u NULL: nothing. */
static struct low_rank head_update(struct pass *p, struct tensor *hidden)
{
    struct low_rank update = { 0 };
    for (int i = 0; i < p->adapters; i++) {
        if (p->seams[i]->head && update.u)
            graph_fail(p->g, "two adapters add to the output of %s, one can", p->model->head_site.module);
        else if (p->seams[i]->head)
            update = p->seams[i]->head(p->seams[i]->self, p, hidden);
    }
    return update;
}

static struct tensor *compute_logits(struct pass *p, const struct stage *stage, struct weights own)
{
    return linear(p->g, stage->x, own.w, own.bias, NULL, 1);
}

static struct tensor *update_logits(struct pass *p, const struct stage *stage, struct weights own, struct tensor *y)
{
    (void)own;
    const struct low_rank update = head_update(p, stage->x);
    return update.u ? linear(p->g, update.u, update.v, NULL, y, 1) : y;
}

struct tensor *decoder_logits(struct pass *pass, struct tensor *hidden)
{
    struct pass left = behind(pass), *p = &left;
    const struct model *m = p->model;
    const struct stage stage = { .w = m->head, .bias = m->head_bias, .x = hidden, .compute = compute_logits, .adapt = update_logits };
    return cast(p->g, record_stage(p, stage), F32);
}

struct head_loss decoder_loss(struct pass *pass, struct tensor *hidden, struct tensor *labels, struct tensor *loss_weight)
{
    struct pass left = behind(pass), *p = &left;
    struct weights own[MOST_SETS];
    struct low_rank first_update = { 0 };
    struct head_loss first = { 0 }, loss = { 0 };
    ask_for_weights(p, own, p->model->head, p->model->head_bias);
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        const struct low_rank update = head_update(p, hidden);
        const bool same = as_first(own, set) && update.v == first_update.v;
        const struct head_loss mine = same ? first : head_loss(p->g, hidden, own[set].w, own[set].bias, update, labels, loss_weight);
        first_update = set ? first_update : update;
        first = set ? first : mine;
        loss = (struct head_loss){ first.loss, choose(p, set, loss.row_loss, first.row_loss, mine.row_loss),
                                   choose(p, set, loss.greedy, first.greedy, mine.greedy) };
    }
    return loss;
}
