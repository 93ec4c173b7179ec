/* graft plan: what a run will need, from the configuration and the headers of its files, without loading weights. */
#include "cli/commands.h"
#include "common/files.h"
#include "trainer/run.h"

struct plan_command_options {
    struct common_options common;
    bool steps;
};

static const struct option plan_rows[] = {
    { "steps", OPTION_FLAG, offsetof(struct plan_command_options, steps), NULL, NULL, 0, 0, "also list every step of the program" },
};

static void line(struct output *out, const char *name, size_t bytes, const char *note)
{
    char text[32];
    output_print(out, "  %-22s %12s  %s\n", name, text_bytes(text, bytes), note);
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

static enum status report(struct run *run, const struct plan_command_options *o, struct output *out, struct error *err)
{
    const struct budget *budget = &run->budget;
    const struct needs *needs = &budget->needs;
    struct training_settings chosen = run->config.training;
    chosen.micro_batch_tokens = budget->micro_batch_tokens;
    struct capacity capacity = step_capacity(&run->train, &chosen);
    struct forward forward;
    TRY(forward_new(&forward, run->arena, &run->session, FOR_TRAINING, capacity, NULL, budget->recompute, err));
    const struct program *p = forward.program;
    struct shares shares = shares_at_peak(p);
    const struct step *peak = &p->step[p->peak_step];
    output_print(out, "%s, %s, %lld values, %lld trained; %lld rows at once, %lld steps of the optimizer\n", run->model_config.model_type,
                 dtype_name(run->model.dtype), (long long)model_config_size(&run->model_config), (long long)parameters_size(run->adapter->parameters),
                 (long long)capacity.rows, (long long)run->steps);
    line(out, "program and data", needs->program, "resident before weights are read");
    line(out, "weights, mapped", needs->mapped, "used in place; shared with other processes");
    line(out, "weights, converted", needs->converted, "copied into the dtype of computation");
    line(out, "parameters", needs->parameters / 4, "");
    line(out, "gradients", needs->parameters / 4, "");
    line(out, "moments", needs->parameters / 2, "");
    line(out, "activations (arena)", needs->training, budget->recompute ? "recomputed per block" : "nothing recomputed");
    line(out, "  inputs", shares.inputs, "at the fullest step");
    line(out, "  activations", shares.activations, "");
    line(out, "  gradients", shares.gradients, "");
    line(out, "  scratch", shares.scratch, "");
    if (run->eval.count)
        line(out, "evaluation (arena)", needs->evaluation, "in the same place: the larger counts");
    line(out, "peak", needs->sum, "");
    line(out, "limit", budget->limit, run->config.training.memory_limit > 0 ? "training.memory_limit" : "what is free, and what the program has");
    output_print(out, "  fullest at step %d of %d: %s of %s\n", p->peak_step, p->count, peak->what == BACKWARD ? "backward" : "forward", peak->node->op->name);
    if (o->steps)
        list_steps(p, out);
    return OK;
}

static enum status run_plan(struct cli *cli, const void *options)
{
    const struct plan_command_options *o = options;
    const struct list *arguments = &o->common.arguments;
    struct device device = { 0 };
    struct run run = { 0 };
    struct output out = { 0 };
    enum status status = device_open(&device, o->common.device, (int)o->common.threads, cli->err);
    if (status == OK)
        status = run_open(&run, cli->arena, &device, arguments->item[0], arguments->item + 1, arguments->count - 1, false, cli->err);
    if (status == OK)
        status = output_open(&out, cli->arena, NULL, true, cli->err);
    if (status == OK)
        status = report(&run, o, &out, cli->err);
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
};
