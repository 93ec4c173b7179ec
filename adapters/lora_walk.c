/* LoRA in the walk through the model: what its seams record.
 *
 *     plain   y + s (drop(x) A^T + ..) B^T               the frozen result is what the second product adds into
 *     pissa   y - s (drop(x) A0^T) B0^T + s (drop(x) A^T) B^T    with A and B as they began
 *     DoRA    onto + bias + m / n * (x W^T + s (x A^T) B^T), n the norms of the rows of W + s B A
 *     head    s drop(x) A^T and B as they are: the product is made where the logits are
 *
 * With dropout the frozen part of DoRA keeps the input as it is, and only what the magnitude changes in it sees the dropped one, so the frozen product is made
 * twice; without, the frozen layer's own result is read by nobody and its step is removed. Source: peft 0.21 tuners/lora/{layer,variants,dora}.py.
 */
#include "adapters/lora.h"

const char lora_root[] = "base_model.model.";

int lora_place(const struct model_config *config, const struct site *site)
{
    return site->projection == HEAD ? (int)config->layers * HEAD : site->layer * HEAD + (int)site->projection;
}

static const struct lora_module *module_at(const struct lora *lora, struct pass *p, const struct site *site)
{
    return lora->by_place[lora_place(&p->model->config, site)];
}

static struct tensor *dropped(const struct lora *lora, struct pass *p, struct tensor *x)
{
    return p->draw ? dropout(p->g, x, p->row_key, p->draw, lora->dropout) : x;
}

static struct tensor *product(struct graph *g, struct tensor *a, struct tensor *b, struct tensor *x, struct tensor *bias, struct tensor *onto, float scale)
{
    return linear(g, linear(g, x, cast(g, a, x->dtype), NULL, NULL, 1), cast(g, b, x->dtype), bias, onto, scale);
}

static struct tensor *low_rank(struct graph *g, const struct lora_module *m, struct tensor *x, struct tensor *onto)
{
    if (m->start_a)
        onto = product(g, m->start_a, m->start_b, x, NULL, onto, -m->scale);
    return product(g, m->a, m->b, x, m->bias, onto, m->scale);
}

static struct tensor *with_magnitude(struct graph *g, const struct lora_module *m, const struct frozen *frozen, struct tensor *x, struct tensor *y)
{
    struct tensor *norm = row_norms(g, frozen->w, m->a, m->b, m->scale), *product = linear(g, x, frozen->w, NULL, NULL, 1);
    if (x == frozen->x && y == frozen->y)
        return scale_columns(g, low_rank(g, m, x, product), m->magnitude, norm, frozen->bias, frozen->onto, 0);
    y = scale_columns(g, product, m->magnitude, norm, NULL, y, -1);
    return scale_columns(g, low_rank(g, m, x, NULL), m->magnitude, norm, NULL, y, 0);
}

struct tensor *lora_linear_seam(void *self, struct pass *p, const struct frozen *frozen, struct tensor *y)
{
    const struct lora *lora = self;
    const struct lora_module *m = module_at(lora, p, frozen->site);
    if (!m)
        return y;
    struct tensor *x = dropped(lora, p, frozen->x);
    return m->magnitude ? with_magnitude(p->g, m, frozen, x, y) : low_rank(p->g, m, x, y);
}

struct low_rank lora_head_seam(void *self, struct pass *p, struct tensor *hidden)
{
    const struct lora *lora = self;
    const struct lora_module *m = module_at(lora, p, &p->model->head_site);
    struct tensor *x = dropped(lora, p, hidden);
    return (struct low_rank){ linear(p->g, x, cast(p->g, m->a, x->dtype), NULL, NULL, m->scale), cast(p->g, m->b, x->dtype) };
}

struct tensor *lora_embed_seam(void *self, struct pass *p, struct tensor *h)
{
    const struct lora *lora = self;
    const struct lora_module *m = lora->embedding;
    if (m)
        h = linear(p->g, embed_columns(p->g, p->ids, m->a, p->model->config.padding, h->dtype), cast(p->g, m->b, h->dtype), NULL, h,
                   m->scale * p->model->embed_scale);
    return tokens_looked_up(&lora->tokens, p, h);
}

struct tensor *lora_weight_seam(void *self, struct pass *p, struct tensor *w)
{
    const struct lora *lora = self;
    return asked_as_head(p, w) && lora->tokens.count ? tokens_head(&lora->tokens, p, copies_weight(&lora->copies, p, w)) : copies_weight(&lora->copies, p, w);
}
