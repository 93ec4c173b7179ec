/* graft train: an adapter from a YAML file. */
#include "cli/commands.h"
#include "trainer/agreement.h"
#include "trainer/measure.h"
#include "trainer/profile.h"
#include "trainer/resume.h"
#include "trainer/train.h"

#include <math.h>
#include <stdio.h>

struct train_command_options {
    struct common_options common;
    bool force, profile;
    const char *resume;
    struct list allow_change;
};

/* What a run needs beside itself. */
struct sitting {
    struct resume resume;
    struct identity identity;
    struct train_outcome outcome;
};

static const struct option train_rows[] = {
    { "force", OPTION_FLAG, offsetof(struct train_command_options, force), NULL, NULL, 0, 0, "replace an earlier run in training.output_dir" },
    { "resume", OPTION_TEXT, offsetof(struct train_command_options, resume), "auto|never|FILE", NULL, 0, 0,
      "whether to go on with a run that did not reach its end: auto, unless given, from its newest good checkpoint; or from the one named" },
    { "allow-change", OPTION_LIST, offsetof(struct train_command_options, allow_change), "KEY", NULL, 0, 0,
      "go on although this setting, or what the run is made of, is another" },
    { "profile", OPTION_FLAG, offsetof(struct train_command_options, profile), NULL, NULL, 0, 0, "print where the time goes, per kind of step" },
};

static void say_start(const struct run *run, bool quiet)
{
    if (quiet)
        return;
    fprintf(stderr, "graft: %s on %s%s, %d threads, %s\n", run->model_config.model_type, run->device->name, run->device->aside, run->device->threads,
            dtype_name(run->model.dtype));
    if (run->comm->ranks > 1)
        fprintf(stderr, "graft: %d ranks through %s, %d of them on this host\n", run->comm->ranks, run->comm->kind->name, run->comm->here);
    fprintf(stderr, "graft: %s, %lld trained values; %lld sequences, %lld tokens, %lld of them trained; %lld steps\n", run->adapter->kind->peft_type,
            (long long)parameters_size(run->adapter->parameters), (long long)run->train.count, (long long)run->train.tokens, (long long)run->train.trained,
            (long long)run->steps);
    struct text report = text_new(run->arena);
    dataset_report(&run->train, "train", &report);
    dataset_report(&run->eval, "eval", &report);
    fputs(report.bytes, stderr);
}

static enum status say_end(const struct run *run, const struct train_outcome *outcome, struct error *err)
{
    struct output out;
    TRY(output_open(&out, run->arena, NULL, true, err));
    output_print(&out, "%lld steps in %.1f s%s; loss %.4f -> %.4f", (long long)outcome->steps, outcome->seconds,
                 outcome->stopped_early ? " (stopped early)" : "", outcome->first_loss, outcome->last_loss);
    if (!isnan(outcome->eval_loss))
        output_print(&out, "; eval_loss %.4f, best %.4f at step %lld", outcome->eval_loss, outcome->best_eval_loss, (long long)outcome->best_step);
    output_print(&out, "\nadapter in %s\n", run->config.training.output_dir);
    return output_commit(&out);
}

/* Trains under the profiler and prints its table. */
static enum status train_profiled(struct run *run, const struct identity *identity, const struct checkpoint *from, bool quiet, struct train_outcome *outcome,
                                  struct error *err)
{
    struct profile profile = { 0 };
    struct output out;
    double peak;
    TRY(measure_product(run->device, run->arena, F32, &peak, err));
    run->session.watch = profile_step;
    run->session.watcher = &profile;
    TRY(train(run, identity, from, quiet, outcome, err));
    TRY(output_open(&out, run->arena, NULL, true, err));
    profile_print(&profile, peak, &out);
    return output_commit(&out);
}

static void say_resumed(const struct resume *resume, const struct run *run, bool quiet)
{
    if (!quiet && resume->checkpoint.path)
        fprintf(stderr, "graft: goes on from %s, step %lld of %lld\n", resume->where, (long long)resume->checkpoint.position.step, (long long)run->steps);
    else if (!quiet && resume->where)
        fprintf(stderr, "graft: the run in %s ended before its first checkpoint, and begins again\n", run->config.training.output_dir);
}

/* What the run says of itself; rank 0 alone looks for a run before it, for it alone writes. */
static enum status find_run(struct sitting *sitting, struct comm *comm, struct cli *cli, const struct train_command_options *o)
{
    const struct list *arguments = &o->common.arguments;
    struct config config;
    TRY(config_read(&config, cli->arena, arguments->item[0], arguments->item + 1, arguments->count - 1, cli->err));
    comm->timeout = config.training.rank_timeout;
    return comm->rank == 0 ? resume_find(&sitting->resume, cli->arena, &config, o->resume, o->force, cli->err) : OK;
}

/* All that can fail on one rank alone before the ranks compare what they have. */
static enum status open_all(struct run *run, struct sitting *sitting, struct device *device, struct cli *cli, const struct train_command_options *o)
{
    const struct list *arguments = &o->common.arguments;
    const int threads = o->common.threads || run->comm->ranks == 1 ? (int)o->common.threads : comm_threads(run->comm);
    TRY(resume_share(&sitting->resume, cli->arena, run->comm, cli->err));
    TRY(device_open_nth(device, o->common.device, comm_local_rank(run->comm), threads, cli->err));
    if (o->profile && device->kind != CPU)
        return fail_with(cli->err, BAD_OPTION, "--profile: steps are timed on CPUs only", "use --device cpu, or leave --profile out");
    TRY(run_open(run, cli->arena, device, arguments->item[0], arguments->item + 1, arguments->count - 1, false, cli->err));
    TRY(resume_prepare(&sitting->resume, run, cli->err));
    TRY(run_load(run, cli->err));
    return identity_make(&sitting->identity, run, cli->err);
}

static enum status train_together(struct run *run, struct sitting *sitting, struct cli *cli, const struct train_command_options *o)
{
    const struct resume *resume = &sitting->resume;
    const struct checkpoint *from = resume->checkpoint.path ? &resume->checkpoint : NULL;
    const struct allowed allowed = { o->allow_change.item, o->allow_change.count };
    const bool leads = run->comm->rank == 0, quiet = o->common.quiet || !leads;
    TRY(agreement_at_start(run, &sitting->identity, from, cli->err));
    if (leads) /* for all: they have the same */
        TRY(resume_check(resume, run, &sitting->identity, &allowed, cli->err));
    say_start(run, quiet);
    say_resumed(resume, run, quiet);
    TRY((o->profile && leads ? train_profiled : train)(run, &sitting->identity, from, quiet, &sitting->outcome, cli->err));
    return leads ? say_end(run, &sitting->outcome, cli->err) : OK;
}

static void leave_ranks(void *comm)
{
    comm_leave(comm);
}

static enum status run_train(struct cli *cli, const void *options)
{
    const struct train_command_options *o = options;
    struct device device = { 0 };
    struct run run = { 0 };
    struct sitting *sitting = NEW(cli->arena, struct sitting);
    train_block_signals();
    enum status status = comm_join(&run.comm, cli->arena, cli->err);
    struct comm *comm = run.comm;
    comm_phase(comm, 0, "opening model and data");
    if (status == OK)
        status = comm_meet(comm, find_run(sitting, comm, cli, o), cli->err);
    if (status == OK)
        status = comm_meet(comm, open_all(&run, sitting, &device, cli, o), cli->err);
    if (status == OK)
        status = comm_meet(comm, train_together(&run, sitting, cli, o), cli->err);
    resume_close(&sitting->resume);
    run_close(&run);
    if (device.row)
        device_close(&device);
    cli->told = comm->told;
    cli->leave = leave_ranks;
    cli->self = comm;
    return status;
}

static void train_help(struct text *out)
{
    config_help(out);
    changes_help(out);
}

const struct command command_train = {
    .name = "train",
    .arguments = "CONFIG.yaml [key=value ...]",
    .summary = "train an adapter as a YAML file says; key=value overrides a setting",
    .min_arguments = 1,
    .max_arguments = -1,
    .option = train_rows,
    .options = COUNT(train_rows),
    .bytes = sizeof(struct train_command_options),
    .run = run_train,
    .multiplies = true,
    .more_help = train_help,
};
