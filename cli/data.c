/* graft data show|check: what records become, and what would go wrong with them, before any training. */
#include "cli/commands.h"
#include "cli/opened.h"
#include "common/files.h"
#include "common/html.h"
#include "common/random.h"
#include "trainer/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct data_options {
    struct common_options common;
    int64_t limit, index, random;
    const char *html;
    bool eval, force;
};

#define AT(member) offsetof(struct data_options, member)
static const struct option data_rows[] = {
    { "limit", OPTION_INT, AT(limit), "N", "5", 1, 1e12, "show: how many records" },
    { "index", OPTION_INT, AT(index), "N", "0", 0, 1e12, "show: only the N-th that was kept, from 1" },
    { "random", OPTION_INT, AT(random), "K", "0", 0, 1e6, "show: K drawn by training.seed" },
    { "html", OPTION_TEXT, AT(html), "PAGE.html", NULL, 0, 0, "show: as one page of HTML, with the report of check above" },
    { "eval", OPTION_FLAG, AT(eval), NULL, NULL, 0, 0, "show: evaluation records instead of training records" },
    { "force", OPTION_FLAG, AT(force), NULL, NULL, 0, 0, "overwrite an existing page" },
};
#undef AT

static enum status check_options(const struct data_options *o, bool shows, struct arena *arena, struct error *err)
{
    const char *verb = o->common.arguments.item[0];
    if (!shows && !text_equal(verb, "check"))
        return fail_with(err, BAD_OPTION, "graft data %s: unknown", "graft data show CONFIG.yaml, or graft data check CONFIG.yaml", verb);
    if (!shows && (o->index || o->random || o->html))
        return fail_with(err, BAD_OPTION, "graft data check takes no --%s", "it is an option of graft data show",
                         o->index    ? "index"
                         : o->random ? "random"
                                     : "html");
    if (o->index && o->random)
        return fail_with(err, BAD_OPTION, "--index and --random are both given", "keep one of them");
    return o->html ? outputs_check(arena, o->html, NULL, o->force, err) : OK;
}

/* Which sequences are shown: their positions, in the order of the file. */
static enum status choose(const struct data_options *o, const struct dataset *dataset, uint64_t seed, struct arena *arena, int64_t **chosen, int64_t *count,
                          struct error *err)
{
    const int64_t wanted = o->index ? 1 : o->random ? o->random : o->limit;
    if (o->index > dataset->count)
        return fail_with(err, BAD_OPTION, "--index %" PRId64 ": there are %" PRId64 " sequences", "graft data check says how many records were kept", o->index,
                         dataset->count);
    *count = wanted < dataset->count ? wanted : dataset->count;
    *chosen = NEW_ARRAY(arena, *count, int64_t);
    bool *taken = NEW_ARRAY(arena, dataset->count, bool);
    int64_t *order = NEW_ARRAY(arena, dataset->count, int64_t), at = 0;
    if (o->random)
        random_permutation(seed, random_stream("data.show"), order, dataset->count);
    for (int64_t i = 0; i < *count; i++)
        taken[o->random ? order[i] : o->index ? o->index - 1 : i] = true;
    for (int64_t i = 0; i < dataset->count; i++)
        if (taken[i])
            (*chosen)[at++] = i;
    return OK;
}

static const char style[] =
    "body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:1em;"
    "border-radius:4px}mark{background:#ffd966}h2{font-size:1em}";

/* A page as far as the first record: the report of check. */
static void begin_page(const struct dataset *dataset, const char *name, struct arena *arena, struct output *out)
{
    struct text page = text_new(arena), report = text_new(arena);
    dataset_report(dataset, name, &report);
    html_begin(&page, "graft data show", style, NULL);
    text_add_string(&page, "<h1>What the model sees</h1><p>Trained tokens are <mark>marked</mark>.</p>\n<pre>");
    text_add_html(&page, report.bytes, report.length);
    text_add_string(&page, "</pre>\n");
    output_write(out, page.bytes, page.length);
}

/* And its end. */
static void end_page(struct arena *arena, struct output *out)
{
    struct text page = text_new(arena);
    html_end(&page, NULL);
    output_write(out, page.bytes, page.length);
}

static enum status show_one(const struct sequence *s, const struct tokenizer *tokenizer, bool html, struct output *out, struct arena *arena, struct error *err)
{
    struct text text = text_new(arena), where = text_new(arena);
    const bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    TRY(sequence_show(s, tokenizer, html ? SHOW_HTML : colour ? SHOW_COLOUR : SHOW_PLAIN, &text, err));
    text_add_html(&where, s->where, strlen(s->where));
    output_print(out, html ? "<h2>%s: %lld tokens, %lld trained</h2>\n<pre>" : "--- %s: %lld tokens, %lld trained\n", html ? where.bytes : s->where,
                 (long long)s->count, (long long)s->trained);
    output_write(out, text.bytes, text.length);
    output_string(out, html ? "</pre>\n" : "\n");
    return OK;
}

static enum status show(const struct data_options *o, const struct run *run, struct output *out, struct error *err)
{
    const struct dataset *dataset = o->eval ? &run->eval : &run->train;
    int64_t *chosen = NULL, count = 0;
    TRY(choose(o, dataset, (uint64_t)run->config.training.seed, run->arena, &chosen, &count, err));
    if (o->html)
        begin_page(dataset, o->eval ? "eval" : "train", run->arena, out);
    for (int64_t i = 0; i < count; i++)
        TRY(show_one(&dataset->sequence[chosen[i]], run->tokenizer, o->html, out, run->arena, err));
    if (o->html)
        end_page(run->arena, out);
    return OK;
}

static enum status check(const struct run *run, struct output *out, struct error *err)
{
    struct text report = text_new(run->arena);
    dataset_report(&run->train, "train", &report);
    dataset_report(&run->eval, "eval", &report);
    output_write(out, report.bytes, report.length);
    TRY(output_flush(out)); /* the report comes before what it leads to */
    return run_gate(run, err);
}

static enum status run_data(struct cli *cli, const void *options)
{
    const struct data_options *o = options;
    const struct list *arguments = &o->common.arguments;
    const bool shows = text_equal(arguments->item[0], "show");
    struct run run = { .arena = cli->arena };
    struct output out = { 0 };
    TRY(check_options(o, shows, cli->arena, cli->err));
    TRY(config_read(&run.config, cli->arena, arguments->item[1], arguments->item + 2, arguments->count - 2, cli->err));
    TRY(model_config_read(&run.model_config, cli->arena, run.config.model.path, cli->err));
    struct device device; /* for its threads */
    TRY(device_open(&device, o->common.device, (int)o->common.threads, cli->err));
    enum status status = run_open_data(&run, cli->err);
    if (status == OK)
        status = output_open(&out, cli->arena, o->html, o->force || !o->html, cli->err);
    if (status == OK)
        status = shows ? show(o, &run, &out, cli->err) : check(&run, &out, cli->err);
    if (status == OK)
        status = output_commit(&out);
    else
        output_discard(&out);
    run_close(&run);
    device_close(&device);
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
