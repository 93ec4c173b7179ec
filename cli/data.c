/* graft data show|check: what records become, and what would go wrong with them, before any training. */
#include "cli/commands.h"
#include "common/files.h"
#include "trainer/run.h"

#include <stdlib.h>
#include <unistd.h>

struct data_options {
    struct common_options common;
    int64_t limit;
    bool eval;
};

static const struct option data_rows[] = {
    { "limit", OPTION_INT, offsetof(struct data_options, limit), "N", "5", 1, 1e12, "show: how many records" },
    { "eval", OPTION_FLAG, offsetof(struct data_options, eval), NULL, NULL, 0, 0, "show: evaluation records instead of training records" },
};

static enum status show(const struct dataset *dataset, const struct tokenizer *tokenizer, int64_t limit, struct output *out, struct arena *arena,
                        struct error *err)
{
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    for (int64_t i = 0; i < dataset->count && i < limit; i++) {
        struct text text = text_new(arena);
        const struct sequence *s = &dataset->sequence[i];
        TRY(sequence_show(s, tokenizer, colour, &text, err));
        output_print(out, "--- %s: %lld tokens, %lld trained\n", s->where, (long long)s->count, (long long)s->trained);
        output_write(out, text.bytes, text.length);
        output_string(out, "\n");
    }
    return OK;
}

static void report(const char *name, const struct dataset *dataset, struct output *out)
{
    if (dataset->records == 0)
        return;
    output_print(out, "%s: %lld records, %lld kept; %lld tokens, %lld trained (%.1f %%)\n", name, (long long)dataset->records, (long long)dataset->count,
                 (long long)dataset->tokens, (long long)dataset->trained, dataset->tokens ? 100.0 * (double)dataset->trained / (double)dataset->tokens : 0.0);
    for (int f = 0; f < FINDINGS; f++) {
        output_print(out, "  %-16s %lld\n", finding_name[f], (long long)dataset->finding[f].count);
        for (size_t i = 0; i < COUNT(dataset->finding[f].first) && dataset->finding[f].first[i]; i++)
            output_print(out, "    %s\n", dataset->finding[f].first[i]);
    }
}

static enum status check(struct run *run, struct output *out, struct error *err)
{
    report("train", &run->train, out);
    report("eval", &run->eval, out);
    TRY(output_flush(out)); /* the report comes before what it leads to */
    return run_gate(run, err);
}

static enum status run_data(struct cli *cli, const void *options)
{
    const struct data_options *o = options;
    const struct list *arguments = &o->common.arguments;
    bool shows = text_equal(arguments->item[0], "show");
    if (!shows && !text_equal(arguments->item[0], "check"))
        return fail_with(cli->err, BAD_OPTION, "graft data %s: unknown", "graft data show CONFIG.yaml, or graft data check CONFIG.yaml", arguments->item[0]);
    struct run run = { .arena = cli->arena };
    struct output out = { 0 };
    TRY(config_read(&run.config, cli->arena, arguments->item[1], arguments->item + 2, arguments->count - 2, cli->err));
    TRY(model_config_read(&run.model_config, cli->arena, run.config.model.path, cli->err));
    enum status status = run_open_data(&run, cli->err);
    if (status == OK)
        status = output_open(&out, cli->arena, NULL, true, cli->err);
    if (status == OK)
        status = shows ? show(o->eval ? &run.eval : &run.train, run.tokenizer, o->limit, &out, cli->arena, cli->err) : check(&run, &out, cli->err);
    if (status == OK)
        status = output_commit(&out);
    else
        output_discard(&out);
    run_close(&run);
    return status;
}

const struct command command_data = {
    .name = "data",
    .arguments = "show|check CONFIG.yaml [key=value ...]",
    .summary = "render records with the trained tokens marked; report what would be cut, dropped or train on nothing",
    .min_arguments = 2,
    .max_arguments = -1,
    .option = data_rows,
    .options = COUNT(data_rows),
    .bytes = sizeof(struct data_options),
    .run = run_data,
};
