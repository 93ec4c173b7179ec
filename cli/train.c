/* graft train: an adapter from a YAML file. */
#include "cli/commands.h"
#include "trainer/measure.h"
#include "trainer/profile.h"
#include "trainer/train.h"

#include <math.h>
#include <stdio.h>

struct train_command_options {
    struct common_options common;
    bool force, profile;
};

static const struct option train_rows[] = {
    { "force", OPTION_FLAG, offsetof(struct train_command_options, force), NULL, NULL, 0, 0, "replace an earlier run in training.output_dir" },
    { "profile", OPTION_FLAG, offsetof(struct train_command_options, profile), NULL, NULL, 0, 0, "print where the time goes, per kind of step" },
};

static void say_start(const struct run *run, bool quiet)
{
    if (quiet)
        return;
    fprintf(stderr, "graft: %s on %s, %d threads, %s\n", run->model_config.model_type, run->device->name, run->device->threads, dtype_name(run->model.dtype));
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
static enum status train_profiled(struct run *run, bool quiet, struct train_outcome *outcome, struct error *err)
{
    struct profile profile = { 0 };
    struct output out;
    double peak;
    TRY(measure_product(run->device, F32, &peak, err));
    run->session.watch = profile_step;
    run->session.watcher = &profile;
    TRY(train(run, quiet, outcome, err));
    TRY(output_open(&out, run->arena, NULL, true, err));
    profile_print(&profile, peak, &out);
    return output_commit(&out);
}

static enum status run_train(struct cli *cli, const void *options)
{
    const struct train_command_options *o = options;
    const struct list *arguments = &o->common.arguments;
    struct device device = { 0 };
    struct run run = { 0 };
    struct config config;
    train_block_signals();
    TRY(config_read(&config, cli->arena, arguments->item[0], arguments->item + 1, arguments->count - 1, cli->err));
    TRY(train_check_output(&config, cli->arena, o->force, cli->err));
    enum status status = device_open(&device, o->common.device, (int)o->common.threads, cli->err);
    if (status == OK)
        status = run_open(&run, cli->arena, &device, arguments->item[0], arguments->item + 1, arguments->count - 1, true, cli->err);
    if (status == OK) {
        struct train_outcome outcome;
        say_start(&run, o->common.quiet);
        status = (o->profile ? train_profiled : train)(&run, o->common.quiet, &outcome, cli->err);
        if (status == OK)
            status = say_end(&run, &outcome, cli->err);
    }
    run_close(&run);
    if (device.row)
        device_close(&device);
    return status;
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
    .more_help = config_help,
};
