/* A run walked again. Numbers are compared as they are written, so equal means equal to nine digits, and hashes to the bit. */
#include "trainer/replay.h"
#include "common/files.h"
#include "trainer/course.h"
#include "trainer/metrics.h"
#include "trainer/schedule.h"

#include <string.h>

/* What is recorded of a run: lines of metrics.jsonl, one at a time, and its manifest. */
struct recorded {
    struct json_lines *lines;
    const char *lines_path, *manifest_path;
    json_t *manifest, *line; /* line: the next that is of a step; NULL: no more */
    int64_t step;            /* of that line */
};

/* Moves to the next line that has a gradient norm; evaluations have none. */
static enum status next_line(struct recorded *r, struct error *err)
{
    int64_t number;
    const int64_t before = r->step;
    do {
        json_decref(r->line);
        r->line = NULL;
        TRY(json_lines_next(r->lines, &r->line, &number, err));
    } while (r->line && !json_object_get(r->line, "grad_norm"));
    if (!r->line)
        return OK;
    r->step = 0;
    TRY(json_get_int(r->line, r->lines_path, "step", 1, INT32_MAX, &r->step, err));
    return r->step > before ? OK
                            : fail_with(err, BAD_FILE, "%s:%lld: step %lld stands behind step %lld", "is this the file that graft wrote?", r->lines_path,
                                        (long long)number, (long long)r->step, (long long)before);
}

enum status replay_open(struct replay *replay, struct arena *arena, const char *folder, struct error *err)
{
    struct recorded *r = NEW(arena, struct recorded);
    int64_t tokens = 0;
    *replay = (struct replay){ .folder = folder, .recorded = r };
    r->lines_path = path_join(arena, folder, "metrics.jsonl");
    r->manifest_path = path_join(arena, folder, "manifest.json");
    TRY(json_read(r->manifest_path, &r->manifest, err));
    TRY(json_get_int(r->manifest, r->manifest_path, "micro_batch_tokens", 1, 1 << 24, &tokens, err));
    if (tokens)
        replay->override = arena_print(arena, "training.micro_batch_tokens=%lld", (long long)tokens);
    TRY(json_lines_open(&r->lines, arena, r->lines_path, err));
    return next_line(r, err);
}

static enum status differs(struct error *err, const char *where, const char *what, const char *recorded, const char *now)
{
    return fail_with(err, UNHEALTHY, "%s: %s was %s and is %s", "the run was changed on its way, its inputs were, or this machine computes otherwise", where,
                     what, recorded, now);
}

static enum status compare_number(struct arena *arena, const struct recorded *r, const char *key, double now, struct error *err)
{
    struct text then = text_new(arena), text = text_new(arena);
    double recorded = 0;
    TRY(json_get_real(r->line, r->lines_path, key, &recorded, err));
    text_add_number(&then, recorded);
    text_add_number(&text, now);
    return text_equal(then.bytes, text.bytes) ? OK : differs(err, arena_print(arena, "step %lld", (long long)r->step), key, then.bytes, text.bytes);
}

/* The recorded hash, which may be shortened, against that of the parameters as they are. */
static enum status compare_hash(struct arena *arena, const struct run *run, const json_t *record, const char *path, const char *key, const char *where,
                                struct error *err)
{
    const char *recorded = NULL;
    char now[65];
    TRY(json_get_text(record, path, key, &recorded, err));
    if (!recorded)
        return OK;
    TRY(adapter_hash(run->adapter, now, err));
    const size_t length = strlen(recorded);
    if (length >= PARAMETER_HASH && strncmp(recorded, now, length) == 0)
        return OK;
    const char *shown = text_make_printable(arena_print(arena, "%.64s", recorded));
    now[length < 64 ? length : 64] = 0;
    return differs(err, where, key, shown, now);
}

static enum status compare_step(struct recorded *r, const struct run *run, const struct step_result *result, struct error *err)
{
    struct arena *arena = arena_create_like(run->arena);
    enum status status = compare_number(arena, r, "loss", result->loss, err);
    if (status == OK)
        status = compare_number(arena, r, "grad_norm", result->grad_norm, err);
    if (status == OK)
        status = compare_hash(arena, run, r->line, r->lines_path, "parameter_hash", arena_print(arena, "step %lld", (long long)r->step), err);
    arena_destroy(arena);
    return status == OK ? next_line(r, err) : status;
}

/* Whether the inputs are those that were recorded. */
static enum status compare_inputs(const struct recorded *r, const struct run *run, struct error *err)
{
    struct identity identity;
    TRY(identity_make(&identity, run, err));
    for (int i = 0; i < IDENTITY_PARTS; i++) {
        const char *recorded = NULL;
        TRY(json_get_text(r->manifest, r->manifest_path, identity_key[i], &recorded, err));
        if (recorded && !text_equal(recorded, identity.text[i]))
            return differs(err, r->manifest_path, identity_key[i], text_make_printable(arena_print(run->arena, "%.64s", recorded)), identity.text[i]);
    }
    return OK;
}

static enum status walk(struct recorded *r, struct run *run, struct stepper *stepper, struct arena *arena, int64_t steps, int64_t *taken, struct error *err)
{
    struct course course = course_new(arena, &run->train, &run->config.training);
    for (int64_t step = 1; step <= run->steps && r->line && (!steps || step <= steps); step++) {
        struct step_result result;
        const int64_t count = course_step(&course, step);
        TRY(stepper_run(stepper, course.sequence, count, schedule_rate(&run->config.training, step, run->steps), step, &result, err));
        dataset_forget(&run->train);
        *taken = step;
        if (r->step == step)
            TRY(compare_step(r, run, &result, err));
    }
    return OK;
}

/* The final parameters, where the adapter that was saved is theirs and not the best evaluation's. */
static enum status compare_end(const struct recorded *r, const struct run *run, int64_t taken, struct error *err)
{
    int64_t steps = 0;
    TRY(json_get_int(r->manifest, r->manifest_path, "steps", 0, INT32_MAX, &steps, err));
    if (run->config.training.load_best_model_at_end || steps != taken)
        return OK;
    return compare_hash(run->arena, run, r->manifest, r->manifest_path, "adapter_hash", r->manifest_path, err);
}

enum status replay_run(struct replay *replay, struct run *run, int64_t steps, int64_t *taken, struct error *err)
{
    struct recorded *r = replay->recorded;
    struct arena *arena = arena_create_like(run->arena);
    struct training_settings chosen = run->config.training;
    struct stepper stepper = { 0 };
    chosen.recompute = run->budget.recompute ? RECOMPUTE_ALWAYS : RECOMPUTE_NEVER;
    *taken = 0;
    enum status status = compare_inputs(r, run, err);
    if (status == OK)
        status = stepper_create(&stepper, arena, &run->session, run->adapter, run->comm, run->budget.capacity, run->budget.micro_batch_tokens, &chosen, err);
    if (status == OK)
        status = walk(r, run, &stepper, arena, steps, taken, err);
    if (status == OK && *taken == 0)
        status = fail_with(err, BAD_FILE, "%s: no step of this run", "is this the file that graft wrote?", r->lines_path);
    if (status == OK)
        status = compare_end(r, run, *taken, err);
    stepper_destroy(&stepper);
    arena_destroy(arena);
    return status;
}

void replay_close(struct replay *replay)
{
    struct recorded *r = replay->recorded;
    if (r) {
        json_decref(r->line);
        json_decref(r->manifest);
        json_lines_close(r->lines);
    }
    *replay = (struct replay){ 0 };
}
