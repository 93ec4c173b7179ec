/* The training loop and nothing but the loop: next step, log, evaluate, save. */
#include "trainer/train.h"
#include "common/files.h"
#include "trainer/course.h"
#include "trainer/metrics.h"
#include "trainer/progress.h"
#include "trainer/saves.h"
#include "trainer/schedule.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>

struct loop {
    struct run *run;
    bool quiet;
    struct train_outcome *outcome;
    struct arena *arena; /* of the steps' programs and buffers */
    struct stepper stepper;
    struct progress progress;
    struct saves saves;
    struct course course;
    int64_t since_best; /* evaluations without improvement */
    double log_began;
    int64_t log_tokens;
};

void train_block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static bool interrupted(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    const struct timespec now = { 0 };
    return sigtimedwait(&set, NULL, &now) > 0;
}

static enum status log_step(struct loop *loop, int64_t step, const struct step_result *result, double rate, struct error *err)
{
    double now = monotonic_seconds(), seconds = now - loop->log_began;
    bool logged = step % loop->run->config.training.logging_steps == 0 || step == loop->run->steps || step == 1;
    loop->log_tokens += result->tokens;
    double tokens_per_second = (double)loop->log_tokens / (seconds > 0 ? seconds : 1e-9);
    progress_step(&loop->progress, step, result, rate, tokens_per_second, logged);
    if (!logged)
        return OK;
    loop->log_began = now;
    loop->log_tokens = 0;
    return metrics_step(loop->run, step, result, rate, tokens_per_second, err);
}

/* Evaluates; keeps the best adapter; says through *stop whether patience has run out. */
static enum status evaluate(struct loop *loop, int64_t step, bool *stop, struct error *err)
{
    struct run *run = loop->run;
    const struct training_settings *settings = &run->config.training;
    struct loss_sum sum;
    double began = monotonic_seconds();
    TRY(loss_of_sequences(&run->session, run->eval.sequence, run->eval.count, loop->stepper.micro_batch_tokens, &sum, err));
    double loss = sum.loss / (double)sum.tokens;
    if (!isfinite(loss))
        return fail_with(err, UNHEALTHY, "step %lld: eval_loss is not finite", "lower training.learning_rate", (long long)step);
    TRY(metrics_eval(run, step, &sum, err));
    progress_say(&loop->progress, "step %lld: eval_loss %.4f, perplexity %.2f", (long long)step, loss, exp(loss));
    loop->outcome->eval_loss = loss;
    if (isnan(loop->outcome->best_eval_loss) || loss < loop->outcome->best_eval_loss - settings->early_stopping_threshold) {
        loop->outcome->best_eval_loss = loss;
        loop->outcome->best_step = step;
        loop->since_best = 0;
        TRY(saves_best(&loop->saves, err));
    } else {
        loop->since_best++;
    }
    *stop = settings->early_stopping_patience && loop->since_best >= settings->early_stopping_patience;
    loop->log_began += monotonic_seconds() - began; /* tokens per second are of training */
    return OK;
}

static enum status one_step(struct loop *loop, int64_t step, bool *stop, struct error *err)
{
    struct run *run = loop->run;
    const struct training_settings *settings = &run->config.training;
    struct step_result result;
    int64_t count = course_step(&loop->course, step);
    double rate = schedule_rate(settings, step, run->steps);
    TRY(stepper_run(&loop->stepper, loop->course.sequence, count, rate, step, &result, err));
    if (step == 1)
        loop->outcome->first_loss = result.loss;
    loop->outcome->last_loss = result.loss;
    loop->outcome->steps = step;
    TRY(log_step(loop, step, &result, rate, err));
    bool last = step == run->steps;
    if (run->eval.count && (last || (settings->eval_steps && step % settings->eval_steps == 0)))
        TRY(evaluate(loop, step, stop, err));
    dataset_forget(&run->train);
    dataset_forget(&run->eval);
    if (settings->save_steps && step % settings->save_steps == 0)
        TRY(saves_step(&loop->saves, step, err));
    return OK;
}

static enum status interrupted_early(struct error *err)
{
    return fail_with(err, INTERRUPTED, "by a signal before the first step; no adapter was saved", "");
}

static enum status walk(struct loop *loop, struct error *err)
{
    bool stop = false;
    for (int64_t step = 1; step <= loop->run->steps && !stop; step++) {
        if (interrupted())
            return step == 1 ? interrupted_early(err)
                             : fail_with(err, INTERRUPTED, "by a signal after step %lld of %lld; the adapter was saved in %s", "", (long long)step - 1,
                                         (long long)loop->run->steps, loop->run->config.training.output_dir);
        TRY(one_step(loop, step, &stop, err));
    }
    loop->outcome->stopped_early = stop;
    return OK;
}

/* What is kept: the final (or best) adapter when all is well or on a signal; the last good one aside when the run failed. The first failure is what is
 * reported. */
static enum status finish(struct loop *loop, enum status status, struct error *err)
{
    struct run *run = loop->run;
    struct error second = { 0 };
    const char *outcome = status == INTERRUPTED ? "interrupted" : loop->outcome->stopped_early ? "stopped early" : "finished";
    if (status == OK && !saves_changed(&loop->saves))
        status = fail_with(err, UNHEALTHY, "after %lld steps the adapter is still what it was at the start",
                           "check training.learning_rate, and 'graft data check' for what is trained", (long long)loop->outcome->steps);
    if (status == OK)
        status = saves_final(&loop->saves, run->config.training.load_best_model_at_end && loop->outcome->best_step != loop->outcome->steps, err);
    else if (status == INTERRUPTED && loop->outcome->steps > 0)
        status = saves_final(&loop->saves, false, &second) == OK ? INTERRUPTED : (*err = second, second.code);
    else if (status != INTERRUPTED && loop->outcome->steps > 0 && saves_step(&loop->saves, loop->outcome->steps, &second) != OK)
        progress_say(&loop->progress, "the last good adapter could not be kept: %s", second.what);
    if (status != OK && status != INTERRUPTED)
        outcome = arena_print(run->arena, "failed: %s", err->what);
    second = (struct error){ 0 };
    if (manifest_write(run, loop->outcome->steps, loop->outcome->seconds, outcome, &second) != OK && status == OK)
        *err = second, status = second.code;
    return status;
}

static enum status begin(struct loop *loop, struct error *err)
{
    struct run *run = loop->run;
    struct training_settings chosen = run->config.training;
    chosen.recompute = run->budget.recompute ? RECOMPUTE_ALWAYS : RECOMPUTE_NEVER;
    TRY(stepper_create(&loop->stepper, loop->arena, &run->session, run->adapter, run->budget.capacity, run->budget.micro_batch_tokens, &chosen, err));
    TRY(saves_begin(&loop->saves, run, loop->arena, err));
    loop->course = course_new(loop->arena, &run->train, &run->config.training);
    loop->progress = progress_begin(loop->quiet, run->steps);
    loop->log_began = monotonic_seconds();
    return OK;
}

enum status train(struct run *run, bool quiet, struct train_outcome *outcome, struct error *err)
{
    *outcome = (struct train_outcome){ .first_loss = NAN, .last_loss = NAN, .eval_loss = NAN, .best_eval_loss = NAN };
    struct loop loop = { .run = run, .quiet = quiet, .outcome = outcome, .arena = arena_create_like(run->arena) };
    double began = monotonic_seconds();
    enum status status = interrupted() ? interrupted_early(err) : begin(&loop, err);
    if (status == OK) {
        status = walk(&loop, err);
        progress_end(&loop.progress);
        outcome->seconds = monotonic_seconds() - began;
        status = finish(&loop, status, err);
    }
    stepper_destroy(&loop.stepper);
    arena_destroy(loop.arena);
    return status;
}
