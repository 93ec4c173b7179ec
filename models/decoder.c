/* THE forward of every decoder-only family.
 *
 *     h = embed(ids);  per layer:  h += o(attention(rope(q(n)), rope(k(n)), v(n))), n = rmsnorm(h);   h += down(act(gate(n)) * up(n)), n = rmsnorm(h)
 *     hidden = rmsnorm(h);  logits = hidden head^T;  behind the attention of the last layer h has the selected rows only
 *
 * Residuals are added by the projections themselves (linear's `onto`). Adapters see every projection through project() and every other weight through weight().
 */
#include "models/model.h"

#include <math.h>

/* Where rows choose among sets of adapters, each step that adapters may change is recorded for every set, as if it were alone, and rows take theirs. What a set
 * does not change is recorded once.
 */
static int sets(const struct pass *p)
{
    return p->sets ? p->sets : 1;
}

static void enter(struct pass *p, int set)
{
    p->seams = p->sets ? p->set[set].seams : p->seams;
    p->adapters = p->sets ? p->set[set].count : p->adapters;
}

/* What the sets up to this one make of each row; `first` is what set 0 makes of it. */
static struct tensor *choose(struct pass *p, int set, struct tensor *so_far, struct tensor *first, struct tensor *mine)
{
    return set == 0 || mine == first ? so_far : choose_rows(p->g, so_far, mine, p->choice, set);
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

/* A frozen tensor, or the copy that an adapter trains instead. NULL (no bias) stays NULL. */
static struct tensor *weight(struct pass *p, struct tensor *w)
{
    struct tensor *used = w;
    for (int i = 0; i < p->adapters && w; i++)
        if (p->seams[i]->weight)
            used = p->seams[i]->weight(p->seams[i]->self, p, used);
    return used;
}

static struct tensor *norm(struct pass *p, struct tensor *x, struct tensor *w)
{
    struct tensor *first_w = NULL, *first = NULL, *y = NULL;
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        struct tensor *used = weight(p, w), *mine = first && used == first_w ? first : rmsnorm(p->g, x, used, (float)p->model->config.norm_eps);
        first_w = set ? first_w : used;
        first = set ? first : mine;
        y = choose(p, set, set ? y : mine, first, mine);
    }
    return y;
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

/* The rows that ids look up, and what adapters make of them. All tables are asked for before the first lookup: a tied table asked for later is the head. */
static struct tensor *look_up(struct pass *p)
{
    const struct seams *own = virtual_seams(p);
    struct tensor *table[MOST_SETS], *first = NULL, *first_mine = NULL, *y = NULL;
    p->virtual_rows = own ? own->virtual_rows(own->self, p) : NULL;
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        table[set] = weight(p, p->model->embed);
    }
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        struct tensor *rows = own && own->virtual_tokens ? p->virtual_rows : NULL, *h = first;
        if (!h || table[set] != table[0])
            h = embed(p->g, p->ids, table[set], rows, 1, p->model->dtype);
        first = first ? first : h;
        for (int i = 0; i < p->adapters; i++)
            if (p->seams[i]->embed)
                h = p->seams[i]->embed(p->seams[i]->self, p, h);
        first_mine = set ? first_mine : h;
        y = choose(p, set, set ? y : h, first_mine, h);
    }
    return y;
}

/* onto + x W^T + bias, and what adapters add at this site. */
static struct tensor *project_site(struct pass *p, const struct site *site, struct tensor *w, struct tensor *bias, struct tensor *x, struct tensor *onto)
{
    struct frozen first = { 0 };
    struct tensor *first_mine = NULL, *y = NULL;
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        struct frozen frozen = { .site = site, .w = weight(p, w), .bias = weight(p, bias), .x = x, .onto = onto };
        const bool as_first = set && frozen.w == first.w && frozen.bias == first.bias;
        frozen.y = as_first ? first.y : linear(p->g, x, frozen.w, frozen.bias, onto, 1);
        first = set ? first : frozen;
        struct tensor *mine = frozen.y;
        for (int i = 0; i < p->adapters; i++)
            if (p->seams[i]->linear)
                mine = p->seams[i]->linear(p->seams[i]->self, p, &frozen, mine);
        first_mine = set ? first_mine : mine;
        y = choose(p, set, set ? y : mine, first_mine, mine);
    }
    return y;
}

static struct tensor *project(struct pass *p, int layer, enum projection which, struct tensor *x, struct tensor *onto)
{
    const struct layer *l = &p->model->layer[layer];
    return project_site(p, &l->site[which], l->w[which], l->bias[which], x, onto);
}

/* The keys or values that queries see: this batch's, or with a cache the whole past. */
static struct tensor *remember(struct pass *p, struct tensor *cached, struct tensor *x)
{
    kv_append(p->g, cached, x, p->slots);
    return cached;
}

/* Behind the last attention only the selected rows are of use: the others go no further. */
static void leave_rows_behind(struct pass *p, struct tensor **attended, struct tensor **h)
{
    *attended = take_rows(p->g, *attended, p->selected);
    *h = take_rows(p->g, *h, p->selected);
    if (p->row_key)
        p->row_key = take_rows(p->g, p->row_key, p->selected);
    if (p->choice)
        p->choice = take_rows(p->g, p->choice, p->selected);
}

/* h grows by what its rows attend to; x is h behind the norm. */
static void attention_block(struct pass *p, int layer, struct tensor *x, struct tensor **h)
{
    const struct model_config *c = &p->model->config;
    struct heads heads = { (int)c->heads, (int)c->kv_heads, (int)c->head_size, (float)(1 / sqrt((double)c->head_size)), c->window };
    struct tensor *q = rope(p->g, project(p, layer, Q, x, NULL), p->angles, heads.heads, heads.head_size);
    struct tensor *k = rope(p->g, project(p, layer, K, x, NULL), p->angles, heads.kv_heads, heads.head_size);
    struct tensor *v = project(p, layer, V, x, NULL);
    if (p->cache) {
        k = remember(p, p->cache->k[layer], k);
        v = remember(p, p->cache->v[layer], v);
    }
    const struct seams *own = virtual_seams(p);
    struct prefix prefix = own && own->prefix ? own->prefix(own->self, p, layer) : (struct prefix){ 0 };
    struct tensor *attended = attention(p->g, q, k, v, p->spans, prefix.keys, prefix.values, heads);
    if (layer == c->layers - 1)
        leave_rows_behind(p, &attended, h);
    *h = project(p, layer, ATTENTION_OUT, attended, *h);
}

static struct tensor *mlp(struct pass *p, int layer, struct tensor *x, struct tensor *onto)
{
    struct tensor *gate = project(p, layer, GATE, x, NULL), *up = project(p, layer, UP, x, NULL);
    return project(p, layer, DOWN, gated(p->g, gate, up, p->model->config.activation), onto);
}

static struct tensor *block(struct pass *p, int layer, struct tensor *h)
{
    const struct layer *l = &p->model->layer[layer];
    attention_block(p, layer, norm(p, h, l->norm[0]), &h);
    return mlp(p, layer, norm(p, h, l->norm[1]), h);
}

struct tensor *decoder(const struct pass *pass)
{
    struct pass walk = *pass, *p = &walk; /* its row keys change on the way, the caller's are inputs */
    const struct model *m = p->model;
    graph_segment(p->g, OUTSIDE);
    p->angles = rope_angles(p->g, p->positions, p->spans, m->inv_freq, m->dynamic_rope, m->rope_amplitude);
    struct tensor *h = look_up(p);
    for (int layer = 0; layer < (int)m->config.layers; layer++) {
        graph_segment(p->g, layer + 1);
        h = block(p, layer, h);
    }
    graph_segment(p->g, OUTSIDE);
    return norm(p, h, m->final_norm);
}

/* The pass behind decoder(): of the rows' choices those of the selected ones are left. */
static struct pass behind(const struct pass *p)
{
    struct pass left = *p;
    if (p->choice)
        left.choice = take_rows(p->g, p->choice, p->selected);
    return left;
}

struct tensor *decoder_logits(struct pass *pass, struct tensor *hidden)
{
    struct pass left = behind(pass), *p = &left;
    return cast(p->g, project_site(p, &p->model->head_site, p->model->head, NULL, hidden, NULL), F32);
}

/* The head is fused with the loss and its logits are never there to be added to. A trained copy of the head takes part like any weight; an update of its
 * output would be lost silently, so it becomes the graph's error. */
static void refuse_updates_of_the_head(struct pass *p, struct tensor *hidden)
{
    struct pass asked = *p;
    asked.draw = NULL; /* what is asked for here is not computed */
    struct tensor *y = graph_tensor(p->g, "logits", hidden->dtype, ACTIVATION, SELECTED, hidden->capacity, p->model->config.vocab);
    const struct frozen frozen = { .site = &p->model->head_site, .w = p->model->head, .x = hidden, .y = y };
    for (int i = 0; i < p->adapters; i++)
        if (p->seams[i]->linear && p->seams[i]->linear(p->seams[i]->self, &asked, &frozen, y) != y)
            graph_fail(p->g,
                       "the adapter updates the output of %s, which is fused with the loss: leave %s out of target_modules (modules_to_save can train it)",
                       p->model->head_site.module, p->model->head_site.module);
}

struct head_loss decoder_loss(struct pass *pass, struct tensor *hidden, struct tensor *labels, struct tensor *loss_weight)
{
    struct pass left = behind(pass), *p = &left;
    struct tensor *head[MOST_SETS];
    struct head_loss first = { 0 }, loss = { 0 };
    for (int set = 0; set < sets(p); set++) {
        enter(p, set);
        refuse_updates_of_the_head(p, hidden);
        head[set] = weight(p, p->model->head);
        const struct head_loss mine = set && head[set] == head[0] ? first : head_loss(p->g, hidden, head[set], NULL, labels, loss_weight);
        first = set ? first : mine;
        loss = (struct head_loss){ first.loss, choose(p, set, set ? loss.row_loss : mine.row_loss, first.row_loss, mine.row_loss),
                                   choose(p, set, set ? loss.greedy : mine.greedy, first.greedy, mine.greedy) };
    }
    return loss;
}
