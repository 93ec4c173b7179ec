/* The training loop and nothing but the loop: next step, log, evaluate, save. */
#include "trainer/train.h"
#include "common/files.h"
#include "trainer/agreement.h"
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
    bool quiet, leads; /* rank 0 alone writes and says something */
    struct train_outcome *outcome;
    struct arena *arena; /* of the steps' programs and buffers */
    struct stepper stepper;
    struct progress progress;
    const struct identity *identity;
    struct saves saves;
    struct course course;
    struct loss_sum *each; /* eval.count */
    int64_t since_best;    /* evaluations without improvement */
    double began;          /* so that now - began are the seconds trained, those of earlier sittings included */
    double log_began;
    int64_t log_tokens;
};

/* SIGUSR1 is how Slurm and mpirun hand on that time is up. */
static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    return set;
}

void train_block_signals(void)
{
    const sigset_t set = ending_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static bool interrupted(void)
{
    const sigset_t set = ending_signals();
    const struct timespec now = { 0 };
    return sigtimedwait(&set, NULL, &now) > 0;
}

static bool is_saved(const struct loop *loop, int64_t step)
{
    const int64_t every = loop->run->config.training.save_steps;
    return every && step % every == 0;
}

static enum status log_step(struct loop *loop, int64_t step, const struct step_result *result, double rate, struct error *err)
{
    double now = monotonic_seconds(), seconds = now - loop->log_began;
    bool logged = step % loop->run->config.training.logging_steps == 0 || step == loop->run->steps || step == 1 || is_saved(loop, step);
    loop->log_tokens += result->tokens;
    double tokens_per_second = (double)loop->log_tokens / (seconds > 0 ? seconds : 1e-9);
    progress_step(&loop->progress, step, result, rate, tokens_per_second, logged);
    if (!logged || !loop->leads)
        return OK;
    loop->log_began = now;
    loop->log_tokens = 0;
    return metrics_step(loop->run, step, result, rate, tokens_per_second, is_saved(loop, step), err);
}

static bool patience_is_over(const struct loop *loop)
{
    const int64_t patience = loop->run->config.training.early_stopping_patience;
    return patience && loop->since_best >= patience;
}

/* Ranks share the sequences out; the sum is in their order. */
static enum status eval_loss(struct loop *loop, int64_t step, struct loss_sum *sum, struct error *err)
{
    struct run *run = loop->run;
    struct comm *comm = run->comm;
    struct arena *arena = arena_create_like(run->arena);
    int64_t *begin = NEW_ARRAY(arena, comm->ranks + 1, int64_t);
    comm_phase(comm, step, "evaluation");
    enum status status = losses_of_sequences(&run->session, run->eval.sequence, run->eval.count, loop->stepper.micro_batch_tokens, comm->rank, comm->ranks,
                                             loop->each, begin, err);
    status = comm_meet(comm, status, err);
    if (status == OK)
        status = comm_gather(comm, loop->each, begin, sizeof *loop->each, err);
    *sum = loss_total(loop->each, run->eval.count);
    arena_destroy(arena);
    return status;
}

/* Evaluates, and keeps the best adapter. */
static enum status evaluate(struct loop *loop, int64_t step, struct error *err)
{
    struct run *run = loop->run;
    const struct training_settings *settings = &run->config.training;
    struct loss_sum sum;
    double began = monotonic_seconds();
    TRY(eval_loss(loop, step, &sum, err));
    double loss = sum.loss / (double)sum.tokens;
    if (!isfinite(loss))
        return fail_with(err, UNHEALTHY, "step %lld: eval_loss is not finite", "lower training.learning_rate", (long long)step);
    if (loop->leads)
        TRY(metrics_eval(run, step, &sum, err));
    progress_say(&loop->progress, "step %lld: eval_loss %.4f, perplexity %.2f", (long long)step, loss, exp(loss));
    loop->outcome->eval_loss = loss;
    if (isnan(loop->outcome->best_eval_loss) || loss < loop->outcome->best_eval_loss - settings->early_stopping_threshold) {
        loop->outcome->best_eval_loss = loss;
        loop->outcome->best_step = step;
        loop->since_best = 0;
        if (loop->leads)
            TRY(saves_best(&loop->saves, err));
    } else {
        loop->since_best++;
    }
    loop->log_began += monotonic_seconds() - began; /* tokens per second are of training */
    return OK;
}

static enum status save_checkpoint(struct loop *loop, struct error *err)
{
    const struct train_outcome *o = loop->outcome;
    const struct position position = { .step = o->steps,
                                       .best_step = o->best_step,
                                       .since_best = loop->since_best,
                                       .micro_batch_tokens = loop->run->budget.micro_batch_tokens,
                                       .seconds = monotonic_seconds() - loop->began,
                                       .first_loss = o->first_loss,
                                       .last_loss = o->last_loss,
                                       .eval_loss = o->eval_loss,
                                       .best_eval_loss = o->best_eval_loss };
    return saves_checkpoint(&loop->saves, position, err);
}

static enum status one_step(struct loop *loop, int64_t step, struct error *err)
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
        TRY(evaluate(loop, step, err));
    dataset_forget(&run->train);
    dataset_forget(&run->eval);
    if (settings->check_ranks_steps && step % settings->check_ranks_steps == 0)
        TRY(agreement_of_parameters(run, step, err));
    if (!loop->leads || !is_saved(loop, step))
        return OK;
    TRY(device_synchronize(loop->run->device, err)); /* nothing is saved of an update that failed */
    TRY(saves_step(&loop->saves, step, err));
    return save_checkpoint(loop, err);
}

static enum status interrupted_early(struct error *err)
{
    return fail_with(err, INTERRUPTED, "by a signal before the first step; no adapter was saved", "");
}

static enum status walk(struct loop *loop, struct error *err)
{
    bool stop = patience_is_over(loop);
    for (int64_t step = loop->outcome->steps + 1; step <= loop->run->steps && !stop; step++) {
        if (interrupted())
            return step == 1
                       ? interrupted_early(err)
                       : fail_with(err, INTERRUPTED, "by a signal after step %lld of %lld; the adapter was saved in %s", "the same command goes on from there",
                                   (long long)step - 1, (long long)loop->run->steps, loop->run->config.training.output_dir);
        TRY(one_step(loop, step, err));
        stop = patience_is_over(loop);
    }
    loop->outcome->stopped_early = stop;
    return OK;
}

/* What is kept: the final (or best) adapter when all is well or on a signal; the last good one aside when the run failed. The first failure is what is
 * reported. */
static enum status finish(struct loop *loop, enum status status, struct error *err)
{
    struct run *run = loop->run;
    if (!loop->leads)
        return status;
    struct error second = { 0 };
    if (device_synchronize(run->device, &second) != OK && (status == OK || status == INTERRUPTED))
        *err = second, status = second.code;
    const char *outcome = status == INTERRUPTED ? "interrupted" : loop->outcome->stopped_early ? "stopped early" : "finished";
    if (status == OK && !saves_changed(&loop->saves))
        status = fail_with(err, UNHEALTHY, "after %lld steps the adapter is still what it was at the start",
                           "check training.learning_rate, and 'graft data check' for what is trained", (long long)loop->outcome->steps);
    if (status == OK)
        status = saves_final(&loop->saves, run->config.training.load_best_model_at_end && loop->outcome->best_step != loop->outcome->steps, err);
    else if (status == INTERRUPTED && loop->outcome->steps > 0)
        status = saves_final(&loop->saves, false, &second) == OK && save_checkpoint(loop, &second) == OK ? INTERRUPTED : (*err = second, second.code);
    else if (status != INTERRUPTED && loop->outcome->steps > 0 && saves_aside(&loop->saves, loop->outcome->steps, &second) != OK)
        progress_say(&loop->progress, "the last good adapter could not be kept: %s", second.what);
    if (status != OK && status != INTERRUPTED)
        outcome = arena_print(run->arena, "failed: %s", err->what);
    second = (struct error){ 0 };
    if (manifest_write(run, loop->identity, loop->outcome->steps, loop->outcome->seconds, outcome, &second) != OK && status == OK)
        *err = second, status = second.code;
    return status;
}

/* Where the run is, as the checkpoint says it. */
static void go_on(struct loop *loop, const struct checkpoint *from)
{
    const struct position *p = &from->position;
    checkpoint_restore(from, loop->run->adapter->parameters);
    *loop->outcome = (struct train_outcome){ .steps = p->step,
                                             .first_loss = p->first_loss,
                                             .last_loss = p->last_loss,
                                             .eval_loss = p->eval_loss,
                                             .best_eval_loss = p->best_eval_loss,
                                             .best_step = p->best_step };
    loop->since_best = p->since_best;
    loop->began -= p->seconds;
}

static enum status begin(struct loop *loop, const struct checkpoint *from, struct error *err)
{
    struct run *run = loop->run;
    struct training_settings chosen = run->config.training;
    chosen.recompute = run->budget.recompute ? RECOMPUTE_ALWAYS : RECOMPUTE_NEVER;
    TRY(stepper_create(&loop->stepper, loop->arena, &run->session, run->adapter, run->comm, run->budget.capacity, run->budget.micro_batch_tokens, &chosen,
                       err));
    if (loop->leads)
        TRY(from ? saves_go_on(&loop->saves, run, loop->identity, from, loop->arena, err) : saves_begin(&loop->saves, run, loop->identity, loop->arena, err));
    if (from)
        go_on(loop, from);
    loop->course = course_new(loop->arena, &run->train, &run->config.training);
    loop->each = NEW_ARRAY(loop->arena, run->eval.count, struct loss_sum);
    loop->progress = progress_begin(loop->quiet, loop->outcome->steps, run->steps);
    loop->log_began = monotonic_seconds();
    return OK;
}

enum status train(struct run *run, const struct identity *identity, const struct checkpoint *from, bool quiet, struct train_outcome *outcome, struct error *err)
{
    *outcome = (struct train_outcome){ .first_loss = NAN, .last_loss = NAN, .eval_loss = NAN, .best_eval_loss = NAN };
    struct loop loop = { .run = run,
                         .quiet = quiet,
                         .outcome = outcome,
                         .identity = identity,
                         .leads = run->comm->rank == 0,
                         .arena = arena_create_like(run->arena),
                         .began = monotonic_seconds() };
    enum status status = interrupted() ? interrupted_early(err) : begin(&loop, from, err);
    status = comm_meet(run->comm, status, err);
    if (status == OK)
        status = comm_meet(run->comm, gradient_sum_connect(&loop.stepper.sum, err), err);
    if (status == OK) {
        if (loop.leads && *loop.stepper.sum.wire.how)
            progress_say(&loop.progress, "gradients travel %s", loop.stepper.sum.wire.how);
        status = comm_meet(run->comm, walk(&loop, err), err);
        progress_end(&loop.progress);
        outcome->seconds = monotonic_seconds() - loop.began;
        comm_phase(run->comm, outcome->steps, "saving");
        status = comm_meet(run->comm, finish(&loop, status, err), err);
    }
    saves_end(&loop.saves);
    stepper_destroy(&loop.stepper);
    arena_destroy(loop.arena);
    return status;
}
