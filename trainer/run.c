/* A training run with everything it owns. */
#include "trainer/run.h"
#include "common/files.h"

#include <math.h>

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

enum status run_open_data(struct run *run, struct error *err)
{
    const struct data_settings *data = &run->config.data;
    int32_t eos = run->model_config.eos_count ? run->model_config.eos[0] : -1;
    if (needs_tokenizer(data)) {
        TRY(tokenizer_open(&run->tokenizer, run->arena, run->config.model.path, err));
        if (tokenizer_eos(run->tokenizer) >= 0)
            eos = tokenizer_eos(run->tokenizer);
    }
    if (data->trains == 0)
        return fail_with(err, BAD_CONFIG, "%s: data.train names no source", "list at least one {path: .., format: ..}", run->config.path);
    TRY(dataset_read(&run->train, run->arena, data->train, data->trains, data, run->tokenizer, eos, run->model_config.vocab, err));
    TRY(dataset_read(&run->eval, run->arena, data->eval, data->evals, data, run->tokenizer, eos, run->model_config.vocab, err));
    if (data->eval_fraction > 0)
        TRY(dataset_split(&run->train, &run->eval, run->arena, data->eval_fraction, (uint64_t)run->config.training.seed, err));
    return OK;
}

enum status run_gate(const struct run *run, struct error *err)
{
    TRY(dataset_gate(&run->train, &run->config.data, err));
    return run->eval.records ? dataset_gate(&run->eval, &run->config.data, err) : OK;
}

static void count_steps(struct run *run)
{
    const struct training_settings *t = &run->config.training;
    run->steps_per_epoch = (run->train.count + t->batch_size - 1) / t->batch_size;
    run->steps = t->max_steps > 0 ? t->max_steps : (int64_t)ceil(t->num_train_epochs * (double)run->steps_per_epoch);
}

enum status run_open(struct run *run, struct arena *arena, struct device *device, const char *path, const char *const *overrides, int count, bool weights,
                     struct error *err)
{
    *run = (struct run){ .arena = arena, .device = device };
    enum dtype dtype;
    TRY(config_read(&run->config, arena, path, overrides, count, err));
    TRY(model_config_read(&run->model_config, arena, run->config.model.path, err));
    if (model_dtype(run->config.model.dtype, &run->model_config, device, &dtype, err) != OK)
        return place_failure(err, arena_print(arena, "%s: model.dtype", path));
    TRY(run_open_data(run, err));
    TRY(run_gate(run, err));
    count_steps(run);
    TRY(model_locate(&run->model, arena, &run->model_config, dtype, err));
    TRY(adapter_new(&run->adapter, arena, run->config.adapter, run->config.folder, &run->model, err));
    run->session = session_new(arena, device, &run->model, &run->adapter, 1);
    TRY(budget_choose(&run->budget, &run->session, run->adapter->parameters, &run->train, &run->eval, &run->config.training, memory_now(), err));
    if (!weights)
        return OK;
    TRY(model_fill(&run->model, arena, device, err));
    return adapter_start(run->adapter, arena, &run->model, device, true, (uint64_t)run->config.training.seed, err);
}

void run_close(struct run *run)
{
    if (run->session.device)
        session_release(&run->session);
    adapter_release(run->adapter);
    model_release(&run->model);
    tokenizer_close(run->tokenizer);
}
