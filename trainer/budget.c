/* What a training run takes of the machine's memory. */
#include "trainer/budget.h"
#include "common/text.h"
#include "inference/score.h"
#include "trainer/course.h"

/* One combination of the two settings that trade memory for time. */
struct candidate {
    int64_t tokens;
    bool recompute;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t parameter_bytes(const struct session *session, const struct parameters *parameters)
{
    return device_footprint(session->device, (size_t)parameters->count * sizeof(float));
}

static size_t frozen_bytes(const struct session *session, const struct parameters *parameters)
{
    return parameters->frozen ? parameter_bytes(session, parameters->frozen) : 0;
}

static void add_up(struct needs *n, const struct session *session)
{
    const bool host = session->device->row->host;
    n->converted = device_footprint(session->device, session->model->converted_bytes + (host ? 0 : session->model->mapped_bytes));
    if (!host)
        n->program = n->mapped = n->best = n->host = 0;
    n->sum = n->program + n->mapped + n->converted + n->parameters + n->frozen + n->sums + n->best + n->host + device_footprint(session->device, n->cache) +
             device_footprint(session->device, larger(n->training, n->evaluation));
}

/* Virtual tokens lie behind the vocabulary: no row of the model is read for them. */
static void mark_ids(bool *used, int64_t vocab, const struct dataset *dataset)
{
    for (int64_t s = 0; s < dataset->count; s++) {
        for (int64_t t = 0; dataset->sequence[s].ids && t < dataset->sequence[s].count; t++)
            if (dataset->sequence[s].ids[t] < vocab)
                used[dataset->sequence[s].ids[t]] = true;
        if (s % 1024 == 0)
            dataset_forget(dataset);
    }
}

/* The needs of one candidate; plans into an arena of its own, since plans are large and most are thrown away. */
static enum status count_needs(struct needs *needs, const struct session *session, const struct parameters *parameters, const struct dataset *train,
                               const struct dataset *eval, const struct training_settings *settings, struct candidate c, struct capacity *capacity,
                               struct error *err)
{
    struct arena *arena = arena_create_like(session->arena), *lasting = arena_create_like(session->arena);
    struct training_settings tried = *settings;
    struct forward forward;
    struct inference_needs loss = { 0 };
    bool *used = NEW_ARRAY(arena, session->model->config.vocab, bool);
    mark_ids(used, session->model->config.vocab, train);
    mark_ids(used, session->model->config.vocab, eval);
    tried.micro_batch_tokens = c.tokens;
    *capacity = course_capacity(arena, train, &tried);
    enum status status = forward_new(&forward, lasting, session, FOR_TRAINING, *capacity, NULL, c.recompute, err);
    if (status == OK && eval->count)
        status = loss_needs(&loss, session, eval->sequence, eval->count, c.tokens, used, err);
    if (status == OK) {
        needs->training = forward.program->arena_bytes;
        needs->mapped = larger(model_touched_bytes(session->model, forward.program, used), loss.touched);
        needs->parameters = 4 * parameter_bytes(session, parameters);
        needs->frozen = frozen_bytes(session, parameters);
        needs->sums = device_footprint(session->device, (size_t)(gradient_sum_spare(capacity->micro_batches, 1) * parameters->count) * sizeof(float));
        needs->best = eval->count ? (size_t)parameters->count * sizeof(float) : 0;
        needs->host = arena_used(lasting) + loss.host;
        needs->evaluation = loss.activations;
        add_up(needs, session);
    }
    arena_destroy(lasting);
    arena_destroy(arena);
    return status;
}

struct needs needs_of_inference(const struct session *session, const struct parameters *parameters, const struct inference_needs *inference,
                                struct memory memory)
{
    struct needs needs = { .program = memory.resident,
                           .mapped = inference->touched,
                           .parameters = parameter_bytes(session, parameters),
                           .host = inference->host,
                           .cache = inference->cache,
                           .evaluation = inference->activations };
    add_up(&needs, session);
    return needs;
}

/* Every candidate the settings allow, the fastest first. Halving stops at the longest sequence, which cannot be cut. */
static int candidates_of(const struct dataset *train, const struct training_settings *settings, struct candidate out[64])
{
    const int64_t least = dataset_longest(train->sequence, train->count), most = step_micro_batch_tokens(train, settings);
    int count = 0;
    for (int recompute = settings->recompute == RECOMPUTE_ALWAYS; recompute <= (settings->recompute != RECOMPUTE_NEVER); recompute++)
        for (int64_t tokens = most; count<64; tokens = tokens / 2> least ? tokens / 2 : least) {
            out[count++] = (struct candidate){ tokens, recompute };
            if (settings->micro_batch_tokens || tokens <= least)
                break;
        }
    return count;
}

enum status budget_prepare(const struct session *session, const struct dataset *train, const struct dataset *eval, const struct training_settings *settings,
                           struct error *err)
{
    struct candidate candidate[64];
    struct training_settings tried = *settings;
    struct arena *arena = arena_create_like(session->arena);
    struct forward forward;
    struct inference_needs loss;
    candidates_of(train, settings, candidate);
    tried.micro_batch_tokens = candidate[0].tokens;
    enum status status = forward_new(&forward, arena, session, FOR_TRAINING, course_capacity(arena, train, &tried), NULL, candidate[0].recompute, err);
    if (status == OK)
        status = forward_prepare(&forward, session, err);
    if (status == OK && eval->count)
        status = loss_needs(&loss, session, eval->sequence, eval->count, tried.micro_batch_tokens, NULL, err);
    arena_destroy(arena);
    return status;
}

static enum status refuse(const struct budget *budget, const struct session *session, const struct parameters *parameters, const struct dataset *train,
                          const struct dataset *eval, const struct training_settings *settings, struct error *err)
{
    const struct candidate smallest = { dataset_longest(train->sequence, train->count), true };
    struct needs least = { .program = budget->needs.program };
    struct capacity capacity;
    const struct needs *needs = &budget->needs;
    char need[32], weights[32], trained[32], activations[32], limit[32], then[32];
    text_bytes(need, needs->sum);
    text_bytes(weights, needs->mapped + needs->converted);
    text_bytes(trained, needs->parameters + needs->frozen + needs->sums + needs->best);
    text_bytes(activations, larger(needs->training, needs->evaluation));
    text_bytes(limit, budget->limit);
    TRY(count_needs(&least, session, parameters, train, eval, settings, smallest, &capacity, err));
    text_bytes(then, least.sum);
    fail_with(err, DOES_NOT_FIT, "the run needs %s of memory%s%s (weights %s, what is trained %s, activations %s), and %s %s%s", "", need,
              session->device->row->host ? "" : " on ", session->device->row->host ? "" : session->device->name, weights, trained, activations,
              settings->memory_limit > 0 ? "training.memory_limit allows" : "there are", limit, settings->memory_limit > 0 ? "" : " free");
    if (least.sum <= budget->limit)
        return cure_with(err, "training.recompute: always with training.micro_batch_tokens: %lld takes %s", (long long)smallest.tokens, then);
    return cure_with(err, "even the smallest micro-batch (%lld tokens, recomputed) takes %s, %s of it weights: a smaller data.max_length or model",
                     (long long)smallest.tokens, then, text_bytes(need, least.mapped + least.converted));
}

enum status budget_choose(struct budget *budget, const struct session *session, const struct parameters *parameters, const struct dataset *train,
                          const struct dataset *eval, const struct training_settings *settings, struct memory memory, struct error *err)
{
    struct candidate candidate[64];
    const int count = candidates_of(train, settings, candidate);
    *budget = (struct budget){ .limit = settings->memory_limit > 0 ? (size_t)(settings->memory_limit * 0x1p30) : memory.available + memory.resident };
    for (int i = 0; i < count; i++) {
        budget->micro_batch_tokens = candidate[i].tokens;
        budget->recompute = candidate[i].recompute;
        budget->needs = (struct needs){ .program = memory.resident };
        TRY(count_needs(&budget->needs, session, parameters, train, eval, settings, candidate[i], &budget->capacity, err));
        if (budget->needs.sum <= budget->limit)
            return OK;
    }
    return refuse(budget, session, parameters, train, eval, settings, err);
}
