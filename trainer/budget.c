/* What a training run takes of the machine's memory. */
#include "trainer/budget.h"
#include "common/text.h"
#include "inference/score.h"

/* One combination of the two settings that trade memory for time. */
struct candidate {
    int64_t tokens;
    bool recompute;
};

/* The needs of one candidate; plans into an arena of its own, since plans are large and most are thrown away. */
static enum status count_needs(struct needs *needs, const struct session *session, const struct parameters *parameters, const struct dataset *train,
                               const struct dataset *eval, const struct training_settings *settings, struct candidate c, struct error *err)
{
    struct arena *arena = arena_create_like(session->arena);
    struct training_settings tried = *settings;
    struct forward forward;
    tried.micro_batch_tokens = c.tokens;
    enum status status = forward_new(&forward, arena, session, FOR_TRAINING, step_capacity(train, &tried), NULL, c.recompute, err);
    if (status == OK)
        needs->training = forward.program->arena_bytes;
    if (status == OK && eval->count)
        status = forward_new(&forward, arena, session, FOR_LOSS, loss_capacity(eval->sequence, eval->count, c.tokens), NULL, false, err);
    if (status == OK && eval->count)
        needs->evaluation = forward.program->arena_bytes;
    needs->mapped = session->model->mapped_bytes;
    needs->converted = session->model->converted_bytes;
    needs->parameters = 4 * (size_t)parameters->count * sizeof(float);
    needs->sum =
        needs->program + needs->mapped + needs->converted + needs->parameters + (needs->training > needs->evaluation ? needs->training : needs->evaluation);
    arena_destroy(arena);
    return status;
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

static enum status refuse(const struct budget *budget, const struct session *session, const struct parameters *parameters, const struct dataset *train,
                          const struct dataset *eval, const struct training_settings *settings, struct error *err)
{
    const struct candidate smallest = { dataset_longest(train->sequence, train->count), true };
    struct needs least = { .program = budget->needs.program };
    char need[32], limit[32], then[32];
    text_bytes(need, budget->needs.sum);
    text_bytes(limit, budget->limit);
    TRY(count_needs(&least, session, parameters, train, eval, settings, smallest, err));
    text_bytes(then, least.sum);
    fail_with(err, DOES_NOT_FIT, "the run needs %s of memory, and %s %s%s", "", need, settings->memory_limit > 0 ? "training.memory_limit allows" : "there are",
              limit, settings->memory_limit > 0 ? "" : " free");
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
        TRY(count_needs(&budget->needs, session, parameters, train, eval, settings, candidate[i], err));
        if (budget->needs.sum <= budget->limit)
            return OK;
    }
    return refuse(budget, session, parameters, train, eval, settings, err);
}
