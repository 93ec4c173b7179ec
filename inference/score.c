/* Log-probabilities: sequences laid end to end through a forward without gradients. */
#include "inference/score.h"

#include <string.h>

enum { BATCH_ROWS = 2048 };

/* visit is called for each sequence with the results of its n selected rows, on the host. */
struct walk {
    struct session *session;
    const struct sequence *sequence;
    int64_t count, micro_batch_tokens;
    void (*visit)(void *self, int64_t sequence, const float *row_loss, const int32_t *greedy, int64_t n);
    void *self;
    int worker, workers; /* 0, 0: all is done here */
    int64_t *begin;      /* [workers + 1]: whose sequences are whose */
};

static void visit_all(const struct walk *walk, const struct batch *batch, int64_t first, const float *row_loss, const int32_t *greedy)
{
    int64_t begin = 0;
    for (int64_t s = 0; s < batch->sequences; s++) {
        int64_t rows_end = batch->spans[4 * s] + batch->spans[4 * s + 1], end = begin;
        while (end < batch->selected && batch->select[end] < rows_end)
            end++;
        walk->visit(walk->self, first + s, row_loss + begin, greedy + begin, end - begin);
        begin = end;
    }
}

struct capacity loss_capacity(const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens)
{
    struct capacity most = { 1, 1, 1, 0 }, now = { 0 };
    for (int64_t i = 0; i < count; i++) { /* as micro_batches() cuts */
        if (sequence[i].count > micro_batch_tokens - now.rows)
            now = (struct capacity){ 0 };
        now.rows += sequence[i].count;
        now.selected += sequence[i].trained;
        now.sequences++;
        most.rows = now.rows > most.rows ? now.rows : most.rows;
        most.selected = now.selected > most.selected ? now.selected : most.selected;
        most.sequences = now.sequences > most.sequences ? now.sequences : most.sequences;
    }
    return most;
}

static enum status walk_batches(const struct walk *walk, struct error *err)
{
    if (walk->count == 0)
        return OK;
    struct arena *arena = arena_create_like(walk->session->arena);
    const struct sequence *sequence = session_sequences(walk->session, arena, walk->sequence, walk->count);
    const struct capacity capacity = loss_capacity(sequence, walk->count, walk->micro_batch_tokens);
    const struct sequence **pointer = NEW_ARRAY(arena, walk->count, const struct sequence *);
    for (int64_t i = 0; i < walk->count; i++)
        pointer[i] = &sequence[i];
    int64_t *first = NEW_ARRAY(arena, walk->count + 1, int64_t);
    int64_t batches = micro_batches(pointer, walk->count, walk->micro_batch_tokens, first);
    int64_t begin = 0, end = batches;
    if (walk->workers) {
        micro_batch_shares(pointer, first, batches, walk->workers, walk->begin);
        begin = walk->begin[walk->worker];
        end = walk->begin[walk->worker + 1];
        for (int worker = 0; worker <= walk->workers; worker++)
            walk->begin[worker] = first[walk->begin[worker]];
    }
    struct batch *batch = batch_new(arena, capacity.rows, capacity.sequences);
    float *row_loss = NEW_ARRAY(arena, capacity.selected, float);
    int32_t *greedy = NEW_ARRAY(arena, capacity.selected, int32_t);
    struct forward forward;
    enum status status = forward_new(&forward, arena, walk->session, FOR_LOSS, capacity, NULL, false, err);
    for (int64_t b = begin; status == OK && b < end; b++) {
        batch_fill(batch, pointer + first[b], first[b + 1] - first[b], NULL);
        if (batch->selected == 0)
            continue;
        status = forward_run(walk->session, &forward, &(struct feed){ .batch = batch, .weight = 1 }, err);
        if (status != OK)
            break;
        tensor_download(walk->session->device, forward.loss.row_loss, row_loss);
        tensor_download(walk->session->device, forward.loss.greedy, greedy);
        visit_all(walk, batch, first[b], row_loss, greedy);
    }
    arena_destroy(arena);
    return status;
}

static void take_scores(void *self, int64_t s, const float *row_loss, const int32_t *greedy, int64_t n)
{
    struct score *score = (struct score *)self + s;
    for (int64_t t = 0; t < n; t++) {
        score->logprob[t] = -row_loss[t];
        score->greedy[t] = greedy[t];
    }
}

enum status score_sequences(struct session *session, struct arena *arena, const struct sequence *sequence, int64_t count, struct score *score,
                            struct error *err)
{
    struct sequence *all_trained = NEW_ARRAY(arena, count, struct sequence);
    for (int64_t i = 0; i < count; i++) {
        all_trained[i] = sequence[i];
        all_trained[i].labels = NEW_ARRAY(arena, sequence[i].count, int32_t);
        memcpy(all_trained[i].labels, sequence[i].ids, (size_t)sequence[i].count * sizeof(int32_t));
        if (sequence[i].count) /* not scored, whether virtual tokens predict it or nothing does */
            all_trained[i].labels[0] = NOT_TRAINED;
        all_trained[i].trained = sequence[i].count - 1;
        score[i].logprob = NEW_ARRAY(arena, sequence[i].count, float);
        score[i].greedy = NEW_ARRAY(arena, sequence[i].count, int32_t);
    }
    const struct walk walk = { session, all_trained, count, BATCH_ROWS, take_scores, score, 0, 0, NULL };
    return walk_batches(&walk, err);
}

enum status score_logits(struct session *session, struct arena *arena, const struct sequence *sequence, float **logits, struct error *err)
{
    struct arena *own = arena_create_like(arena);
    const int64_t rows = sequence->count, in_front = session_in_front(session, sequence->choice).tokens, all_rows = rows + in_front;
    struct forward forward;
    enum status status = forward_new(&forward, own, session, FOR_LOGITS, (struct capacity){ all_rows, rows, 1, 0 }, NULL, false, err);
    if (status == OK) {
        struct batch *batch = batch_new(own, all_rows, 1);
        const struct sequence whole = { .ids = sequence->ids, .labels = sequence->ids, .count = rows, .choice = sequence->choice },
                              *pointer = session_sequences(session, own, &whole, 1);
        batch_fill(batch, &pointer, 1, NULL);
        batch->selected = rows;
        for (int64_t r = 0; r < rows; r++)
            batch->select[r] = (int32_t)(in_front + r);
        status = forward_run(session, &forward, &(struct feed){ .batch = batch }, err);
    }
    if (status == OK) {
        *logits = NEW_ARRAY(arena, rows * forward.logits->cols, float);
        tensor_download(session->device, forward.logits, *logits);
    }
    arena_destroy(own);
    return status;
}

static void take_loss(void *self, int64_t s, const float *row_loss, const int32_t *greedy, int64_t n)
{
    (void)greedy;
    struct loss_sum *sum = (struct loss_sum *)self + s;
    for (int64_t t = 0; t < n; t++) {
        sum->loss += (double)row_loss[t];
        sum->squares += (double)row_loss[t] * (double)row_loss[t];
    }
    sum->tokens += n;
}

enum status losses_of_sequences(struct session *session, const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens, int worker, int workers,
                                struct loss_sum *each, int64_t *begin, struct error *err)
{
    const struct walk walk = { session, sequence, count, micro_batch_tokens, take_loss, each, worker, workers, begin };
    memset(each, 0, (size_t)count * sizeof *each);
    memset(begin, 0, (size_t)(workers + 1) * sizeof *begin);
    return walk_batches(&walk, err);
}

struct loss_sum loss_total(const struct loss_sum *each, int64_t count)
{
    struct loss_sum sum = { 0 };
    for (int64_t i = 0; i < count; i++)
        sum = (struct loss_sum){ sum.loss + each[i].loss, sum.squares + each[i].squares, sum.tokens + each[i].tokens };
    return sum;
}

enum status loss_of_sequences(struct session *session, const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens, struct loss_sum *sum,
                              struct error *err)
{
    int64_t begin[2];
    struct arena *arena = arena_create_like(session->arena);
    struct loss_sum *each = NEW_ARRAY(arena, count, struct loss_sum);
    enum status status = losses_of_sequences(session, sequence, count, micro_batch_tokens, 0, 1, each, begin, err);
    *sum = loss_total(each, count);
    arena_destroy(arena);
    return status;
}

enum status loss_needs(struct inference_needs *needs, const struct session *session, const struct sequence *sequence, int64_t count, int64_t micro_batch_tokens,
                       const bool *used, struct error *err)
{
    struct arena *arena = arena_create_like(session->arena);
    struct forward forward;
    *needs = (struct inference_needs){ 0 };
    const struct sequence *seen = session_sequences(session, arena, sequence, count);
    enum status status = forward_new(&forward, arena, session, FOR_LOSS, loss_capacity(seen, count, micro_batch_tokens), NULL, false, err);
    if (status == OK)
        status = forward_prepare(&forward, session, err);
    if (status == OK)
        *needs = (struct inference_needs){ .activations = forward.program->arena_bytes,
                                           .host = arena_used(arena),
                                           .touched = model_touched_bytes(session->model, forward.program, used) };
    arena_destroy(arena);
    return status;
}
