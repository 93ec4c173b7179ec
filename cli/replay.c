/* graft replay: the first steps of a run again, held against what it recorded. */
#include "cli/commands.h"
#include "common/files.h"
#include "trainer/replay.h"

struct replay_options {
    struct common_options common;
    int64_t steps;
};

static const struct option replay_rows[] = {
    { "steps", OPTION_INT, offsetof(struct replay_options, steps), "K", "0", 0, 1e9, "how many steps; 0: all that the run recorded" },
};

static enum status replay_on(struct cli *cli, const struct replay_options *o, struct device *device, struct run *run, struct replay *replay)
{
    struct output out;
    int64_t taken;
    const char *folder = o->common.arguments.item[0];
    TRY(replay_open(replay, cli->arena, folder, cli->err));
    TRY(run_open(run, cli->arena, device, path_join(cli->arena, folder, "config.yaml"), &replay->override, replay->override ? 1 : 0, true, cli->err));
    TRY(replay_run(replay, run, o->steps, &taken, cli->err));
    TRY(output_open(&out, cli->arena, NULL, true, cli->err));
    output_print(&out, "%lld steps, equal to what %s recorded\n", (long long)taken, folder);
    return output_commit(&out);
}

static enum status run_replay(struct cli *cli, const void *options)
{
    const struct replay_options *o = options;
    struct device device = { 0 };
    struct run run = { 0 };
    struct replay replay = { 0 };
    enum status status = device_open(&device, o->common.device, (int)o->common.threads, cli->err);
    if (status == OK)
        status = replay_on(cli, o, &device, &run, &replay);
    replay_close(&replay);
    run_close(&run);
    if (device.row)
        device_close(&device);
    return status;
}

const struct command command_replay = {
    .name = "replay",
    .arguments = "RUN",
    .summary = "take the steps of a run again and compare them with its records",
    .min_arguments = 1,
    .max_arguments = 1,
    .option = replay_rows,
    .options = COUNT(replay_rows),
    .bytes = sizeof(struct replay_options),
    .run = run_replay,
    .multiplies = true,
};
