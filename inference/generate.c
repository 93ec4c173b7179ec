/* Continuing prompts: lanes over a KV cache, all of them fed in one pass per round. */
#include "inference/generate.h"

#include <string.h>

enum { PREFILL_ROWS = 1024 };

struct lane {
    int64_t prompt; /* -1: free */
    int64_t fed;    /* ids already in the cache */
    int64_t held;   /* ids so far: virtual tokens, prompt, answer */
    int32_t *ids;   /* [slots_per_lane] */
};

struct lanes {
    const struct session *session;
    const struct generation *generation;
    const struct prompt *prompt;
    struct answer *answer;
    int64_t count, next; /* prompts; the next one to take a lane */
    struct lane *lane;
    int64_t lanes, slots_per_lane, rows;
    struct kv_cache cache;
    struct forward forward;
    struct batch *batch;
    int32_t *slots;
    int64_t *fed_lane;     /* [lanes]: lane of each sequence of the batch */
    int32_t *draws, *seen; /* of each sequence: [lanes, 2], [lanes, slots_per_lane] */
    int32_t *id;           /* [lanes]: its next one */
};

/* Only dynamic rope and ALiBi are meant for more positions than a model was made for. */
static enum status check_prompts(const struct session *session, const struct prompt *prompt, int64_t count, struct error *err)
{
    const struct model *model = session->model;
    const bool endless = model->config.rope.type == ROPE_DYNAMIC || model->config.shape.positions == ALIBI;
    for (int64_t i = 0; i < count; i++) {
        const int64_t left = session_positions(session, prompt[i].choice), positions = endless ? INT64_MAX : left;
        if (prompt[i].count == 0)
            return fail_with(err, BAD_DATA, "prompt %lld has no ids", "give at least one token to continue from", (long long)i + 1);
        if (prompt[i].count > positions)
            return fail_with(err, BAD_DATA, "prompt %lld has %lld ids, the model has %lld positions%s", "shorten it", (long long)i + 1,
                             (long long)prompt[i].count, (long long)positions,
                             left < model->config.max_positions ? " beside those that the adapter takes" : "");
        for (int64_t t = 0; t < prompt[i].count; t++)
            if (prompt[i].ids[t] < 0 || prompt[i].ids[t] >= model->config.vocab)
                return fail_with(err, BAD_DATA, "prompt %lld: id %d at %lld is outside the vocabulary of %lld", "use ids of this model's tokenizer",
                                 (long long)i + 1, prompt[i].ids[t], (long long)t, (long long)model->config.vocab);
    }
    return OK;
}

/* Sizes follow the longest prompt and answer; rows allow one whole prompt, and every lane at least one id. */
static enum status lanes_describe(struct lanes *l, struct arena *arena, const struct sampling *sampling, int64_t most_lanes, struct error *err)
{
    int64_t longest = 1, slots = 1;
    for (int64_t i = 0; i < l->count; i++) {
        const int64_t before = session_in_front(l->session, l->prompt[i].choice).tokens + l->prompt[i].count;
        if (before > longest)
            longest = before;
        if (before + l->prompt[i].max_new > slots)
            slots = before + l->prompt[i].max_new;
    }
    l->lanes = most_lanes < l->count ? most_lanes : l->count;
    l->slots_per_lane = slots;
    l->rows = l->count > 1 && longest < PREFILL_ROWS ? PREFILL_ROWS : longest;
    l->rows += l->lanes;
    l->rows = l->rows < l->lanes * longest ? l->rows : l->lanes * longest; /* no lane is ever fed more than its prompt */
    l->lane = NEW_ARRAY(arena, l->lanes, struct lane);
    l->fed_lane = NEW_ARRAY(arena, l->lanes, int64_t);
    for (int64_t i = 0; i < l->lanes; i++)
        l->lane[i] = (struct lane){ .prompt = -1, .ids = NEW_ARRAY(arena, slots, int32_t) };
    l->batch = batch_new(arena, l->rows, l->lanes);
    l->slots = NEW_ARRAY(arena, l->rows, int32_t);
    l->draws = NEW_ARRAY(arena, 2 * l->lanes, int32_t);
    l->seen = NEW_ARRAY(arena, l->lanes * slots, int32_t);
    l->id = NEW_ARRAY(arena, l->lanes, int32_t);
    TRY(kv_cache_describe(&l->cache, arena, l->session->model, l->lanes * slots, err));
    return forward_new_ids(&l->forward, arena, l->session, sampling, slots, (struct capacity){ l->rows, l->lanes, l->lanes, 0 }, &l->cache, err);
}

static void take_prompts(struct lanes *l, struct arena *arena)
{
    for (int64_t i = 0; i < l->lanes && l->next < l->count; i++) {
        if (l->lane[i].prompt >= 0)
            continue;
        const struct prompt *prompt = &l->prompt[l->next];
        l->answer[l->next] = (struct answer){ .ids = NEW_ARRAY(arena, prompt->max_new, int32_t) };
        if (prompt->max_new == 0) {
            l->next++;
            i--;
            continue;
        }
        const struct in_front in_front = session_in_front(l->session, prompt->choice);
        l->lane[i] = (struct lane){ .prompt = l->next++, .held = in_front.tokens + prompt->count, .ids = l->lane[i].ids };
        for (int64_t t = 0; t < in_front.tokens; t++)
            l->lane[i].ids[t] = (int32_t)(in_front.first_id + t);
        memcpy(l->lane[i].ids + in_front.tokens, prompt->ids, (size_t)prompt->count * sizeof *prompt->ids);
    }
}

/* How the next id of this lane is taken, as row `row` of those that are. */
static void choose(struct lanes *l, const struct lane *lane, int64_t row)
{
    const int64_t in_front = session_in_front(l->session, l->prompt[lane->prompt].choice).tokens, count = lane->held - in_front;
    int32_t *seen = l->seen + row * l->slots_per_lane;
    l->draws[2 * row] = (int32_t)lane->prompt;
    l->draws[2 * row + 1] = (int32_t)l->answer[lane->prompt].count;
    if (!l->forward.seen)
        return;
    memcpy(seen, lane->ids + in_front, (size_t)count * sizeof *seen);
    for (int64_t i = count; i < l->slots_per_lane; i++)
        seen[i] = -1;
}

/* Lays what each lane has not seen end to end; a prompt that does not fit beside the others waits for the next round. */
static void gather(struct lanes *l)
{
    struct batch *batch = l->batch;
    batch->rows = batch->selected = batch->sequences = 0;
    for (int64_t i = 0; i < l->lanes; i++) {
        const struct lane *lane = &l->lane[i];
        int64_t rows = lane->held - lane->fed;
        if (lane->prompt < 0 || rows > l->rows - batch->rows)
            continue;
        int32_t *span = batch->spans + 4 * batch->sequences;
        span[0] = (int32_t)batch->rows;
        span[1] = (int32_t)rows;
        span[2] = (int32_t)(i * l->slots_per_lane);
        span[3] = (int32_t)lane->held;
        const struct prompt *prompt = &l->prompt[lane->prompt];
        const int64_t first_position = session_in_front(l->session, prompt->choice).first_position;
        for (int64_t t = lane->fed; t < lane->held; t++) {
            batch->ids[batch->rows] = lane->ids[t];
            batch->choice[batch->rows] = prompt->choice;
            batch->positions[batch->rows] = (int32_t)(first_position + t);
            l->slots[batch->rows++] = (int32_t)(i * l->slots_per_lane + t);
        }
        choose(l, lane, batch->selected);
        batch->select[batch->selected++] = (int32_t)(batch->rows - 1);
        l->fed_lane[batch->sequences++] = i;
    }
}

static bool ends(const struct generation *generation, int32_t id)
{
    for (int i = 0; i < generation->eos_count; i++)
        if (generation->eos[i] == id)
            return true;
    return false;
}

static enum status take_id(struct lanes *l, struct lane *lane, int32_t id, struct error *err)
{
    const struct generation *generation = l->generation;
    struct answer *answer = &l->answer[lane->prompt];
    const struct prompt *prompt = &l->prompt[lane->prompt];
    if (id < 0)
        return fail_with(err, BAD_MODEL, "prompt %lld: behind %lld ids the logit of id %lld is not a number", NOT_FINITE, (long long)lane->prompt + 1,
                         (long long)(lane->held - session_in_front(l->session, prompt->choice).tokens), -1 - (long long)id);
    lane->fed = lane->held;
    answer->ids[answer->count++] = id;
    answer->stopped = ends(generation, id);
    if (!answer->stopped && generation->watch)
        answer->stopped = !generation->watch(generation->self, lane->prompt, answer);
    if (answer->stopped || answer->count == prompt->max_new)
        lane->prompt = -1;
    else
        lane->ids[lane->held++] = id;
    return OK;
}

static enum status next_ids(struct lanes *l, struct session *session, struct error *err)
{
    const struct tensor *id = l->forward.id;
    TRY(forward_start(session, &l->forward, &(struct feed){ .batch = l->batch, .slots = l->slots, .draws = l->draws, .seen = l->seen }, err));
    session->device->row->download_later(session->device, l->id, id->data, tensor_bytes(id));
    return device_synchronize(session->device, err);
}

enum status generate(struct session *session, struct arena *arena, const struct generation *generation, const struct prompt *prompt, int64_t count,
                     struct answer *answer, struct error *err)
{
    TRY(check_prompts(session, prompt, count, err));
    if (count == 0)
        return OK;
    struct arena *own = arena_create_like(arena);
    struct lanes l = { .session = session, .generation = generation, .prompt = prompt, .answer = answer, .count = count };
    enum status status = lanes_describe(&l, own, &generation->sampling, generation->lanes, err);
    if (status == OK)
        status = kv_cache_fill(&l.cache, session->device, err);
    while (status == OK) {
        take_prompts(&l, arena);
        gather(&l);
        if (l.batch->sequences == 0)
            break;
        status = next_ids(&l, session, err);
        for (int64_t s = 0; s < l.batch->sequences && status == OK; s++)
            status = take_id(&l, &l.lane[l.fed_lane[s]], l.id[s], err);
    }
    kv_cache_destroy(&l.cache);
    arena_destroy(own);
    return status;
}

enum status generate_needs(struct inference_needs *needs, const struct session *session, int64_t lanes, const struct prompt *prompt, int64_t count,
                           const bool *used, struct error *err)
{
    static const struct sampling greedy = { .top_p = 1, .repetition_penalty = 1 };
    struct arena *arena = arena_create_like(session->arena);
    struct lanes l = { .session = session, .prompt = prompt, .count = count };
    *needs = (struct inference_needs){ 0 };
    enum status status = count ? lanes_describe(&l, arena, &greedy, lanes, err) : OK;
    if (status == OK && count)
        status = forward_prepare(&l.forward, session, err);
    if (status == OK && count)
        *needs = (struct inference_needs){ .activations = l.forward.program->arena_bytes,
                                           .cache = l.cache.bytes,
                                           .host = arena_used(arena),
                                           .touched = model_touched_bytes(session->model, l.forward.program, used) };
    arena_destroy(arena);
    return status;
}
