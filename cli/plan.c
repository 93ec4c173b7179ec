/* graft plan: what a run will need, from the configuration and the headers of its files, without loading weights. */
#include "cli/commands.h"
#include "common/files.h"
#include "inference/evaluate.h"
#include "trainer/run.h"

#include <stdio.h>

struct plan_command_options {
    struct common_options common;
    const char *purpose;
    int64_t prompts, prompt_tokens, max_new_tokens;
    bool steps;
};

#define AT(field) offsetof(struct plan_command_options, field)
static const struct option plan_rows[] = {
    { "for", OPTION_TEXT, AT(purpose), "train|evaluate|generate", "train", 0, 0,
      "training; or evaluating data.eval, or generating, with the model and its adapter" },
    { "prompts", OPTION_INT, AT(prompts), "N", "1", 1, 1 << 24, "with --for generate: how many" },
    { "prompt-tokens", OPTION_INT, AT(prompt_tokens), "N", "128", 1, 1 << 24, "with --for generate: the longest one's" },
    { "max-new-tokens", OPTION_INT, AT(max_new_tokens), "N", "128", 0, 1 << 20, "with --for generate: longest answer" },
    { "steps", OPTION_FLAG, AT(steps), NULL, NULL, 0, 0, "also list every step of the program of training" },
};
#undef AT

static void line(struct output *out, const char *name, size_t bytes, const char *note)
{
    char text[32];
    output_print(out, "  %-22s %12s  %s\n", name, text_bytes(text, bytes), note);
}

static void peak_line(struct output *out, const struct needs *needs)
{
    char exact[40];
    snprintf(exact, sizeof exact, "%zu bytes", needs->sum);
    line(out, "peak", needs->sum, exact);
}

static void weight_lines(struct output *out, const struct run *run, const struct needs *needs)
{
    if (run->model.foreseen)
        output_print(out, "  no weights in the folder: counted as files in %s would be\n", run->model_config.dtype);
    line(out, "program and data", needs->program, "resident before weights are read, with prepared products");
    line(out, "weights, mapped", needs->mapped, "used in place, what is read of them; shared with other processes");
    line(out, "weights, converted", needs->converted, "copied into the dtype of computation");
}

/* Bytes in use at the program's fullest step, by what they are. */
struct shares {
    size_t inputs, activations, gradients, scratch;
};

static struct shares shares_at_peak(const struct program *p)
{
    struct shares shares = { 0 };
    for (int i = 0; i < p->placements; i++) {
        const struct placement *place = &p->placement[i];
        bool first = true; /* tensors that share storage count once */
        for (int j = 0; j < i && first; j++)
            first = !(p->placement[j].tensor && place->tensor && p->placement[j].offset == place->offset && p->placement[j].first == place->first &&
                      p->placement[j].last == place->last);
        if (!first || p->peak_step < place->first || p->peak_step > place->last)
            continue;
        bool gradient = false;
        for (int t = 0; t < p->graph->tensors && !gradient; t++)
            gradient = place->tensor && p->graph->tensor[t]->grad == place->tensor;
        *(!place->tensor                 ? &shares.scratch
          : place->tensor->role == INPUT ? &shares.inputs
          : gradient                     ? &shares.gradients
                                         : &shares.activations) += place->bytes;
    }
    return shares;
}

static void list_steps(const struct program *p, struct output *out)
{
    for (int i = 0; i < p->count; i++) {
        const struct node *n = p->step[i].node;
        const struct tensor *y = n->out[0] ? n->out[0] : n->in[0];
        output_print(out, "%5d %-9s %-12s [%lld, %lld] %s\n", i,
                     p->step[i].what == BACKWARD ? "backward"
                     : p->step[i].recomputed     ? "again"
                                                 : "forward",
                     n->op->name, (long long)y->capacity, (long long)y->cols, dtype_name(y->dtype));
    }
}

static enum status report_training(struct run *run, const struct plan_command_options *o, struct output *out, struct error *err)
{
    const struct budget *budget = &run->budget;
    const struct needs *needs = &budget->needs;
    struct forward forward;
    TRY(forward_new(&forward, run->arena, &run->session, FOR_TRAINING, budget->capacity, NULL, budget->recompute, err));
    const struct program *p = forward.program;
    struct shares shares = shares_at_peak(p);
    const struct step *peak = &p->step[p->peak_step];
    output_print(out, "%s, %s, %lld values, %lld trained; %lld rows at once, %lld steps of the optimizer\n", run->model_config.model_type,
                 dtype_name(run->model.dtype), (long long)model_config_size(&run->model_config), (long long)parameters_size(run->adapter->parameters),
                 (long long)budget->capacity.rows, (long long)run->steps);
    weight_lines(out, run, needs);
    line(out, "parameters", needs->parameters / 4, "");
    line(out, "gradients", needs->parameters / 4, "");
    line(out, "moments", needs->parameters / 2, "");
    if (needs->sums)
        line(out, "sums of gradients", needs->sums, "of the micro-batches so far");
    if (needs->frozen)
        line(out, "start", needs->frozen, "of the adapter, which training takes away again");
    if (run->eval.count)
        line(out, "best parameters", needs->best, "of the evaluations so far");
    line(out, "plans", needs->host, "");
    line(out, "activations (arena)", needs->training, budget->recompute ? "recomputed per block" : "only cheap ops recomputed");
    line(out, "  inputs", shares.inputs, "at the fullest step");
    line(out, "  activations", shares.activations, "");
    line(out, "  gradients", shares.gradients, "");
    line(out, "  scratch", shares.scratch, "");
    if (run->eval.count)
        line(out, "evaluation (arena)", needs->evaluation, "in the same place: the larger counts");
    peak_line(out, needs);
    line(out, "limit", budget->limit,
         run->config.training.memory_limit > 0 ? "training.memory_limit"
         : run->device->row->host              ? "what is free, and what the program has"
                                               : "what the GPU has free");
    output_print(out, "  fullest at step %d of %d: %s of %s\n", p->peak_step, p->count, peak->what == BACKWARD ? "backward" : "forward", peak->node->op->name);
    if (o->steps)
        list_steps(p, out);
    return OK;
}

static enum status report_inference(struct run *run, const struct plan_command_options *o, struct output *out, struct error *err)
{
    const bool evaluates = text_equal(o->purpose, "evaluate");
    struct inference_needs inference;
    struct prompt *prompt = NEW_ARRAY(run->arena, o->prompts, struct prompt);
    for (int64_t i = 0; i < o->prompts; i++)
        prompt[i] = (struct prompt){ .count = o->prompt_tokens, .max_new = o->max_new_tokens };
    if (evaluates)
        TRY(evaluate_needs(&inference, &run->session, &run->eval, err));
    else
        TRY(generate_needs(&inference, &run->session, GENERATE_LANES, prompt, o->prompts, NULL, err));
    const struct memory memory = memory_of(run->device);
    const struct needs needs = needs_of_inference(&run->session, run->adapter->parameters, &inference, memory);
    output_print(out, "%s, %s, %lld values and %lld of the adapter; ", run->model_config.model_type, dtype_name(run->model.dtype),
                 (long long)model_config_size(&run->model_config), (long long)parameters_size(run->adapter->parameters));
    if (evaluates)
        output_print(out, "%lld sequences\n", (long long)run->eval.count);
    else
        output_print(out, "%lld prompts of %lld tokens, %lld new ones each\n", (long long)o->prompts, (long long)o->prompt_tokens,
                     (long long)o->max_new_tokens);
    weight_lines(out, run, &needs);
    line(out, "parameters", needs.parameters, "");
    line(out, "plans and results", needs.host, "");
    line(out, "keys and values", needs.cache, "of the past");
    line(out, "activations (arena)", needs.evaluation, "");
    peak_line(out, &needs);
    line(out, "free", memory.available, "");
    return OK;
}

static enum status open_and_report(struct run *run, struct cli *cli, struct device *device, const struct plan_command_options *o, struct output *out)
{
    const struct list *arguments = &o->common.arguments;
    const char *path = arguments->item[0], *const *overrides = arguments->item + 1;
    const int count = arguments->count - 1;
    const bool trains = text_equal(o->purpose, "train");
    if (trains)
        TRY(run_open(run, cli->arena, device, path, overrides, count, false, cli->err));
    else
        TRY(run_open_inference(run, cli->arena, device, path, overrides, count, text_equal(o->purpose, "evaluate"), cli->err));
    TRY(output_open(out, cli->arena, NULL, true, cli->err));
    return (trains ? report_training : report_inference)(run, o, out, cli->err);
}

static enum status run_plan(struct cli *cli, const void *options)
{
    const struct plan_command_options *o = options;
    struct device device = { 0 };
    struct run run = { 0 };
    struct output out = { 0 };
    if (!text_equal(o->purpose, "train") && !text_equal(o->purpose, "evaluate") && !text_equal(o->purpose, "generate"))
        return fail_with(cli->err, BAD_OPTION, "--for %s: nothing that graft plans", "use train, evaluate or generate", o->purpose);
    enum status status = device_open(&device, o->common.device, (int)o->common.threads, cli->err);
    if (status == OK)
        status = open_and_report(&run, cli, &device, o, &out);
    if (status == OK)
        status = output_commit(&out);
    else
        output_discard(&out);
    run_close(&run);
    if (device.row)
        device_close(&device);
    return status;
}

const struct command command_plan = {
    .name = "plan",
    .arguments = "CONFIG.yaml [key=value ...]",
    .summary = "what a run will need: parameters and bytes, without loading weights",
    .min_arguments = 1,
    .max_arguments = -1,
    .option = plan_rows,
    .options = COUNT(plan_rows),
    .bytes = sizeof(struct plan_command_options),
    .run = run_plan,
    .multiplies = true,
};
