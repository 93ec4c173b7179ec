/* A training run with everything it owns. */
#include "trainer/run.h"
#include "trainer/added_tokens.h"
#include "trainer/course.h"
#include "trainer/shared_weights.h"

static bool needs_tokenizer(const struct data_settings *data)
{
    for (int i = 0; i < data->trains; i++)
        if (!text_equal(data->train[i].format, "tokens"))
            return true;
    for (int i = 0; i < data->evals; i++)
        if (!text_equal(data->eval[i].format, "tokens"))
            return true;
    return false;
}

static enum status open_tokenizer(struct run *run, struct error *err)
{
    return run->config.data.addeds || needs_tokenizer(&run->config.data) ? added_tokens_open(run, err) : OK;
}

static int32_t end_of_sequence(const struct run *run)
{
    if (run->tokenizer && tokenizer_eos(run->tokenizer) >= 0)
        return tokenizer_eos(run->tokenizer);
    return run->model_config.eos_count ? run->model_config.eos[0] : -1;
}

enum status run_open_data(struct run *run, struct error *err)
{
    const struct data_settings *data = &run->config.data;
    TRY(open_tokenizer(run, err));
    int32_t eos = end_of_sequence(run);
    if (data->trains == 0)
        return fail_with(err, BAD_CONFIG, "%s: data.train names no source", "list at least one {path: .., format: ..}", run->config.path);
    TRY(dataset_read(&run->train, run->arena, data->train, data->trains, data, run->tokenizer, eos, run->model_config.vocab, err));
    TRY(dataset_read(&run->eval, run->arena, data->eval, data->evals, data, run->tokenizer, eos, run->model_config.vocab, err));
    if (data->eval_fraction > 0)
        TRY(dataset_split(&run->train, &run->eval, run->arena, data->eval_fraction, (uint64_t)run->config.training.seed, err));
    dataset_compare(&run->train, &run->eval, run->arena);
    return OK;
}

enum status run_gate(const struct run *run, struct error *err)
{
    TRY(dataset_gate(&run->train, &run->config.data, err));
    return run->eval.records ? dataset_gate(&run->eval, &run->config.data, err) : OK;
}

static void count_steps(struct run *run)
{
    const struct course course = course_new(run->arena, &run->train, &run->config.training);
    run->steps_per_epoch = course.steps_per_epoch;
    run->steps = course.steps;
}

/* Model and adapter without their data. */
static enum status locate(struct run *run, bool training, bool weights, struct error *err)
{
    enum dtype dtype;
    if (model_dtype(run->config.model.dtype, &run->model_config, run->device, &dtype, err) != OK)
        return place_failure(err, arena_print(run->arena, "%s: model.dtype", run->config.path));
    TRY((weights ? model_locate : model_foresee)(&run->model, run->arena, &run->model_config, dtype, err));
    const struct yaml *section;
    TRY(added_tokens_section(run, &section, err));
    TRY((training ? adapter_new : adapter_new_for_use)(&run->adapter, run->arena, section, run->config.folder, &run->model, err));
    TRY(added_tokens_attach(run, run->adapter, err));
    run->session = session_new(run->arena, run->device, &run->model, &run->adapter, 1);
    return OK;
}

/* From here on the sequences to be trained are those the walk sees. */
static void stand_behind_virtual_tokens(struct run *run)
{
    run->train.sequence = session_sequences(&run->session, run->arena, run->train.sequence, run->train.count);
    run->train.trained = 0;
    for (int64_t i = 0; i < run->train.count; i++)
        run->train.trained += run->train.sequence[i].trained;
}

/* What transformers would do in training and graft does not. */
static enum status check_model(const struct run *run, struct error *err)
{
    const struct model_config *c = &run->model_config;
    if (c->dropout)
        return fail_with(err, BAD_MODEL,
                         "%s/config.json: key '%s' is not 0: in training transformers would drop activations of the base model, and graft never does",
                         "set it to 0 in config.json: it plays no part in evaluation", c->folder, c->dropout);
    return OK;
}

/* A table of positions has an end. */
static enum status check_lengths(const struct run *run, const struct dataset *data, struct error *err)
{
    const struct model_config *c = &run->model_config;
    const int64_t positions = session_positions(&run->session, 0);
    for (int64_t i = 0; c->shape.positions == LEARNED && i < data->count; i++)
        if (data->sequence[i].count > positions)
            return fail_with(err, BAD_CONFIG, "%s: data.max_length: a sequence has %lld tokens, and the model has positions for %lld", "lower data.max_length",
                             run->config.path, (long long)data->sequence[i].count, (long long)positions);
    return OK;
}

/* Ranks of a host share what it has free, but a GPU is a rank's own; and sums that travel need some vectors more. */
static struct memory memory_here(const struct run *run)
{
    struct memory memory = memory_of(run->device);
    const int64_t batch = run->config.training.batch_size;
    const int more = gradient_sum_spare(batch, run->comm->ranks) - gradient_sum_spare(batch, 1);
    const size_t bytes = (size_t)more * (size_t)run->adapter->parameters->count * sizeof(float);
    if (run->device->row->host)
        memory.available = memory.available / (size_t)run->comm->here + shared_weights_bytes(run);
    memory.available -= bytes < memory.available ? bytes : memory.available;
    return memory;
}

enum status run_fit(struct run *run, const struct training_settings *settings, struct error *err)
{
    return budget_choose(&run->budget, &run->session, run->adapter->parameters, &run->train, &run->eval, settings, memory_here(run), err);
}

enum status run_load(struct run *run, struct error *err)
{
    TRY(shared_weights_fill(run, err));
    return adapter_start(run->adapter, run->arena, &run->model, run->device, true, (uint64_t)run->config.training.seed, err);
}

enum status run_open(struct run *run, struct arena *arena, struct device *device, const char *path, const char *const *overrides, int count, bool weights,
                     struct error *err)
{
    *run = (struct run){ .arena = arena, .device = device, .comm = run->comm ? run->comm : comm_alone(arena) };
    TRY(config_read(&run->config, arena, path, overrides, count, err));
    TRY(model_config_read(&run->model_config, arena, run->config.model.path, err));
    TRY(check_model(run, err));
    TRY(run_open_data(run, err));
    TRY(run_gate(run, err));
    count_steps(run);
    TRY(locate(run, true, weights, err));
    TRY(check_lengths(run, &run->train, err));
    TRY(check_lengths(run, &run->eval, err));
    stand_behind_virtual_tokens(run);
    TRY(budget_prepare(&run->session, &run->train, &run->eval, &run->config.training, err));
    TRY(run_fit(run, &run->config.training, err));
    return weights ? run_load(run, err) : OK;
}

enum status run_open_inference(struct run *run, struct arena *arena, struct device *device, const char *path, const char *const *overrides, int count,
                               bool records, struct error *err)
{
    *run = (struct run){ .arena = arena, .device = device };
    const struct data_settings *data = &run->config.data;
    TRY(config_read(&run->config, arena, path, overrides, count, err));
    TRY(model_config_read(&run->model_config, arena, run->config.model.path, err));
    if (records && data->evals == 0)
        return fail_with(err, BAD_CONFIG, "%s: data.eval names no source", "list the records to evaluate: {path: .., format: ..}", run->config.path);
    if (data->addeds || (tokenizer_exists(arena, run->config.model.path) && (!records || needs_tokenizer(data))))
        TRY(added_tokens_open(run, err));
    if (records)
        TRY(dataset_read(&run->eval, arena, data->eval, data->evals, data, run->tokenizer, end_of_sequence(run), run->model_config.vocab, err));
    return locate(run, false, false, err);
}

void run_close(struct run *run)
{
    if (run->session.device)
        session_release(&run->session);
    adapter_release(run->adapter);
    model_release(&run->model);
    dataset_close(&run->train);
    dataset_close(&run->eval);
    tokenizer_close(run->tokenizer);
}
