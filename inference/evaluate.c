/* How good a model is on records. */
#include "inference/evaluate.h"
#include "inference/score.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { MICRO_BATCH_TOKENS = 2048, LANES = 32, BEYOND_REFERENCE = 8 };

static const char *stripped(struct arena *arena, const char *text)
{
    size_t length = strlen(text);
    while (length && isspace((unsigned char)*text))
        text++, length--;
    while (length && isspace((unsigned char)text[length - 1]))
        length--;
    return arena_text(arena, text, length);
}

static const char *ids_as_text(struct arena *arena, const int32_t *ids, int64_t count)
{
    struct text out = text_new(arena);
    for (int64_t i = 0; i < count; i++)
        text_print(&out, "%s%d", i ? " " : "", ids[i]);
    return out.length ? out.bytes : "";
}

static bool is_eos(const int32_t *eos, int count, int32_t id)
{
    for (int i = 0; i < count; i++)
        if (eos[i] == id)
            return true;
    return false;
}

static enum status answer_text(struct arena *arena, const struct tokenizer *tokenizer, const int32_t *ids, int64_t count, const char **text, struct error *err)
{
    struct text out = text_new(arena);
    if (!tokenizer) {
        *text = ids_as_text(arena, ids, count);
        return OK;
    }
    TRY(tokenizer_decode(tokenizer, ids, count, true, &out, err));
    *text = stripped(arena, out.length ? out.bytes : "");
    return OK;
}

/* The reference: its text where records have one, else its trained ids without the end of sequence. */
static const char *reference(struct arena *arena, const struct sequence *sequence, const int32_t *eos, int eos_count)
{
    if (sequence->response)
        return stripped(arena, sequence->response);
    int64_t count = sequence->count - sequence->prompt_count;
    const int32_t *ids = sequence->ids + sequence->prompt_count;
    if (count && is_eos(eos, eos_count, ids[count - 1]))
        count--;
    return ids_as_text(arena, ids, count);
}

static struct figure mean_of(double sum, double squares, int64_t count)
{
    struct figure figure = { .count = count };
    if (count) {
        double n = (double)count;
        figure.mean = sum / n;
        double variance = fmax(0, squares / n - figure.mean * figure.mean);
        figure.error = count > 1 ? sqrt(variance / (n - 1)) : 0;
    }
    return figure;
}

/* of[i]: the sequence that prompt i comes from. Returns how many there are. */
static int64_t prompts_of(const struct dataset *dataset, struct prompt *prompt, int64_t *of)
{
    int64_t count = 0;
    for (int64_t i = 0; i < dataset->count; i++) {
        const struct sequence *s = &dataset->sequence[i];
        if (s->prompt_count == 0)
            continue;
        of[count] = i;
        prompt[count++] = (struct prompt){ .ids = s->ids, .count = s->prompt_count, .max_new = s->count - s->prompt_count + BEYOND_REFERENCE };
    }
    return count;
}

static enum status exact_match(struct session *session, struct arena *arena, const struct dataset *dataset, const struct tokenizer *tokenizer,
                               const int32_t *eos, int eos_count, struct evaluation *evaluation, struct error *err)
{
    struct prompt *prompt = NEW_ARRAY(arena, dataset->count, struct prompt);
    int64_t *of = NEW_ARRAY(arena, dataset->count, int64_t), count = prompts_of(dataset, prompt, of);
    struct answer *answer = NEW_ARRAY(arena, count, struct answer);
    const struct generation generation = { .sampling = { .top_p = 1, .repetition_penalty = 1 }, .eos = eos, .eos_count = eos_count, .lanes = LANES };
    TRY(generate(session, arena, &generation, prompt, count, answer, err));
    double correct = 0;
    for (int64_t i = 0; i < count; i++) {
        const char *text, *expected = reference(arena, &dataset->sequence[of[i]], eos, eos_count);
        int64_t ids = answer[i].count;
        if (ids && is_eos(eos, eos_count, answer[i].ids[ids - 1]))
            ids--;
        TRY(answer_text(arena, dataset->sequence[of[i]].response ? tokenizer : NULL, answer[i].ids, ids, &text, err));
        evaluation->answer[of[i]] = arena_text(arena, text, strlen(text));
        evaluation->correct[of[i]] = strcmp(text, expected) == 0;
        correct += evaluation->correct[of[i]];
    }
    evaluation->exact_match = mean_of(correct, correct, count);
    return OK;
}

enum status evaluate(struct session *session, struct arena *arena, const struct dataset *dataset, const struct tokenizer *tokenizer, const int32_t *eos,
                     int eos_count, struct evaluation *evaluation, struct error *err)
{
    *evaluation = (struct evaluation){ .answer = NEW_ARRAY(arena, dataset->count, char *), .correct = NEW_ARRAY(arena, dataset->count, bool) };
    struct loss_sum sum;
    TRY(loss_of_sequences(session, dataset->sequence, dataset->count, MICRO_BATCH_TOKENS, &sum, err));
    if (!isfinite(sum.loss))
        return fail_with(err, BAD_MODEL, "the loss of the records is not finite", NOT_FINITE);
    evaluation->loss = mean_of(sum.loss, sum.squares, sum.tokens);
    return exact_match(session, arena, dataset, tokenizer, eos, eos_count, evaluation, err);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The loss comes first, then the answers: one arena serves both. */
enum status evaluate_needs(struct inference_needs *needs, const struct session *session, const struct dataset *dataset, struct error *err)
{
    struct inference_needs loss, answers;
    struct arena *arena = arena_create_like(session->arena);
    struct prompt *prompt = NEW_ARRAY(arena, dataset->count, struct prompt);
    const int64_t count = prompts_of(dataset, prompt, NEW_ARRAY(arena, dataset->count, int64_t));
    bool *used = NEW_ARRAY(arena, session->model->config.vocab, bool); /* answers are ids of this kind too, as far as anybody knows */
    for (int64_t s = 0; s < dataset->count; s++)
        for (int64_t t = 0; t < dataset->sequence[s].count; t++)
            used[dataset->sequence[s].ids[t]] = true;
    enum status status = loss_needs(&loss, session, dataset->sequence, dataset->count, MICRO_BATCH_TOKENS, used, err);
    if (status == OK)
        status = generate_needs(&answers, session, LANES, prompt, count, used, err);
    if (status == OK)
        *needs = (struct inference_needs){ .activations = larger(loss.activations, answers.activations),
                                           .cache = answers.cache,
                                           .host = larger(loss.host, answers.host),
                                           .touched = larger(loss.touched, answers.touched) };
    arena_destroy(arena);
    return status;
}
