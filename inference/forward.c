/* One walk through the model, ready to run: recording for a purpose, and feeding batches. */
#include "inference/forward.h"

static struct in_front in_front_of(const struct seam_set *set, int64_t first_id, int64_t first_position)
{
    struct in_front in_front = { .first_id = first_id, .first_position = first_position };
    for (int i = 0; i < set->count; i++) {
        in_front.tokens += set->seams[i]->virtual_tokens;
        in_front.first_position += set->seams[i]->first_position;
    }
    return in_front;
}

static void attach(struct session *session, const struct seam_set *set, int sets)
{
    struct in_front *in_front = NEW_ARRAY(session->arena, sets, struct in_front);
    int64_t first_id = session->model->config.vocab;
    for (int i = 0; i < sets; i++) {
        in_front[i] = in_front_of(&set[i], first_id, session->model->config.first_position);
        first_id += in_front[i].tokens;
    }
    session->seams = set->seams;
    session->adapters = set->count;
    session->in_front = in_front;
}

struct session session_new(struct arena *arena, struct device *device, const struct model *model, struct adapter *const *adapters, int count)
{
    const struct seams **seams = NEW_ARRAY(arena, count, const struct seams *);
    struct session session = { .arena = arena, .device = device, .model = model };
    for (int i = 0; i < count; i++)
        seams[i] = &adapters[i]->seams;
    attach(&session, &(struct seam_set){ seams, count }, 1);
    return session;
}

void session_choose(struct session *session, const struct seam_set *set, int sets)
{
    CHECK(sets > 0 && sets <= MOST_SETS);
    attach(session, set, sets);
    session->set = sets > 1 ? set : NULL;
    session->sets = sets > 1 ? sets : 0;
}

struct in_front session_in_front(const struct session *session, int choice)
{
    return session->in_front[session->sets ? choice : 0];
}

int64_t session_positions(const struct session *session, int choice)
{
    const struct model_config *c = &session->model->config;
    const struct in_front in_front = session_in_front(session, choice);
    if (c->shape.positions == ALIBI) /* a slope goes on for ever: what stands in front takes nothing from the text */
        return c->max_positions;
    return c->first_position + c->max_positions - in_front.tokens - in_front.first_position;
}

struct sequence *session_sequences(const struct session *session, struct arena *arena, const struct sequence *sequence, int64_t count)
{
    struct sequence *behind = NEW_ARRAY(arena, count, struct sequence);
    for (int64_t i = 0; i < count; i++)
        behind[i] = sequence_behind(arena, &sequence[i], session_in_front(session, sequence[i].choice));
    return behind;
}

void session_release(struct session *session)
{
    device_release(session->device, session->memory, session->memory_bytes);
    session->memory = NULL;
    session->memory_bytes = 0;
}

/* Up to what is asked for; returns the hidden rows. */
static struct tensor *record_walk(struct forward *forward, struct arena *arena, const struct session *session, enum purpose purpose, struct capacity capacity,
                                  struct kv_cache *cache)
{
    const int64_t extents[EXTENTS] = { [ROWS] = capacity.rows, [SELECTED] = capacity.selected, [SEQUENCES] = capacity.sequences };
    bool training = purpose == FOR_TRAINING;
    struct graph *g = graph_new(arena, extents, training);
    *forward = (struct forward){ .purpose = purpose, .pass = pass_new(g, session->model, session->seams, session->adapters, cache, training) };
    if (session->sets)
        pass_choose(&forward->pass, session->set, session->sets);
    return decoder(&forward->pass);
}

enum status forward_new_with(struct forward *forward, struct arena *arena, const struct session *session, enum purpose purpose, struct capacity capacity,
                             struct kv_cache *cache, struct plan_options options, struct error *err)
{
    struct tensor *hidden = record_walk(forward, arena, session, purpose, capacity, cache);
    struct graph *g = forward->pass.g;
    if (purpose == FOR_LOGITS) {
        forward->logits = graph_keep(g, decoder_logits(&forward->pass, hidden));
    } else {
        forward->labels = graph_input(g, "labels", I32, SELECTED, 0, 1);
        forward->weight = graph_input(g, "weight", F32, FIXED, 1, 1);
        forward->loss = decoder_loss(&forward->pass, hidden, forward->labels, forward->weight);
        graph_keep(g, forward->loss.row_loss);
        graph_keep(g, forward->loss.greedy);
    }
    return plan(&forward->program, g, forward->loss.loss, options, err);
}

enum status forward_new(struct forward *forward, struct arena *arena, const struct session *session, enum purpose purpose, struct capacity capacity,
                        struct kv_cache *cache, bool recompute, struct error *err)
{
    const struct plan_options options = { .recompute = recompute, .threads = session->device->threads };
    return forward_new_with(forward, arena, session, purpose, capacity, cache, options, err);
}

enum status forward_new_ids(struct forward *forward, struct arena *arena, const struct session *session, const struct sampling *sampling, int64_t most_seen,
                            struct capacity capacity, struct kv_cache *cache, struct error *err)
{
    struct tensor *hidden = record_walk(forward, arena, session, FOR_IDS, capacity, cache);
    struct graph *g = forward->pass.g;
    forward->draws = graph_input(g, "draws", I32, SELECTED, 0, 2);
    if (sampling->repetition_penalty != 1)
        forward->seen = graph_input(g, "ids so far", I32, SELECTED, 0, most_seen);
    forward->logits = decoder_logits(&forward->pass, hidden);
    forward->id = graph_keep(g, sample(g, forward->logits, forward->draws, forward->seen, sampling));
    return plan(&forward->program, g, NULL, (struct plan_options){ .threads = session->device->threads }, err);
}

enum status forward_prepare(struct forward *forward, const struct session *session, struct error *err)
{
    session->device->err = err;
    return program_prepare(forward->program, session->device);
}

/* The arena all programs share grows when a larger program comes; addresses are given out anew before each run, since another program may have been there. */
static enum status make_room(struct session *session, const struct program *program, struct error *err)
{
    if (program->arena_bytes <= session->memory_bytes)
        return OK;
    session_release(session);
    TRY(device_allocate(session->device, "activations", program->arena_bytes, &session->memory, err));
    session->memory_bytes = program->arena_bytes;
    return OK;
}

enum status forward_start(struct session *session, struct forward *forward, const struct feed *feed, struct error *err)
{
    struct device *device = session->device;
    const struct batch *batch = feed->batch;
    struct pass *pass = &forward->pass;
    if (!forward->program->bound)
        TRY(forward_prepare(forward, session, err));
    TRY(make_room(session, forward->program, err));
    if (forward->program->bound != session->memory)
        program_bind(forward->program, session->memory);
    program_resize(forward->program, ROWS, batch->rows);
    program_resize(forward->program, SELECTED, batch->selected);
    program_resize(forward->program, SEQUENCES, batch->sequences);
    tensor_upload(device, pass->ids, batch->ids);
    tensor_upload(device, pass->positions, batch->positions);
    tensor_upload(device, pass->spans, batch->spans);
    tensor_upload(device, pass->selected, batch->select);
    if (pass->choice)
        tensor_upload(device, pass->choice, batch->choice);
    if (pass->slots)
        tensor_upload(device, pass->slots, feed->slots);
    if (forward->labels) {
        tensor_upload(device, forward->labels, batch->labels);
        tensor_upload(device, forward->weight, &feed->weight);
    }
    if (forward->draws)
        tensor_upload(device, forward->draws, feed->draws);
    if (forward->seen)
        tensor_upload(device, forward->seen, feed->seen);
    if (pass->draw) {
        const int32_t draw[3] = { (int32_t)(uint32_t)feed->seed, (int32_t)(uint32_t)(feed->seed >> 32), feed->step };
        tensor_upload(device, pass->draw, draw);
        tensor_upload(device, pass->row_key, batch->row_key);
    }
    device->err = err;
    return session->watch ? program_run_watched(forward->program, device, session->watch, session->watcher) : program_start(forward->program, device);
}

enum status forward_run(struct session *session, struct forward *forward, const struct feed *feed, struct error *err)
{
    TRY(forward_start(session, forward, feed, err));
    return device_synchronize(session->device, err);
}
