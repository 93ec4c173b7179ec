/* A checkpoint, written and read.
 *
 * Arrays of the file: kind, what it is and the revision of this layout; numbers and reals, struct position; identity, its texts, NUL behind each; config;
 * names, NUL behind each, and shapes of the parameters; value, first, second, best, the flat vectors that parameters lie in.
 */
#include "trainer/checkpoint.h"

#include <math.h>
#include <string.h>

static const char kind[] = "graft checkpoint, revision 1";

enum number { STEP, BEST_STEP, SINCE_BEST, METRICS_BYTES, MICRO_BATCH_TOKENS, NUMBERS };
enum real { SECONDS, FIRST_LOSS, LAST_LOSS, EVAL_LOSS, BEST_EVAL_LOSS, REALS };

/* A file that is being written, and the first failure. */
struct writing {
    struct hdf5_file file;
    enum status status;
    struct error *err;
};

static void append(struct writing *writing, const char *name, enum hdf5_type type, const void *values, int64_t count)
{
    int64_t at;
    if (writing->status == OK)
        writing->status = hdf5_append(&writing->file, name, type, values, count, &at, writing->err);
}

static void append_position(struct writing *writing, const struct position *p)
{
    const int64_t number[NUMBERS] = { [STEP] = p->step,
                                      [BEST_STEP] = p->best_step,
                                      [SINCE_BEST] = p->since_best,
                                      [METRICS_BYTES] = p->metrics_bytes,
                                      [MICRO_BATCH_TOKENS] = p->micro_batch_tokens };
    const double real[REALS] = {
        [SECONDS] = p->seconds, [FIRST_LOSS] = p->first_loss, [LAST_LOSS] = p->last_loss, [EVAL_LOSS] = p->eval_loss, [BEST_EVAL_LOSS] = p->best_eval_loss
    };
    append(writing, "numbers", HDF5_INT64, number, NUMBERS);
    append(writing, "reals", HDF5_FLOAT64, real, REALS);
}

static void append_texts(struct writing *writing, struct arena *arena, const struct identity *identity, const struct text *config)
{
    struct text texts = text_new(arena);
    for (int i = 0; i < IDENTITY_PARTS; i++)
        text_add(&texts, identity->text[i], strlen(identity->text[i]) + 1);
    append(writing, "kind", HDF5_TEXT, kind, sizeof kind - 1);
    append(writing, "identity", HDF5_TEXT, texts.bytes, (int64_t)texts.length);
    append(writing, "config", HDF5_TEXT, config->bytes, (int64_t)config->length);
}

static void append_parameters(struct writing *writing, struct arena *arena, const struct parameters *p, const float *best)
{
    struct text names = text_new(arena);
    int64_t *shape = NEW_ARRAY(arena, 2 * p->tensors, int64_t);
    for (int i = 0; i < p->tensors; i++) {
        text_add(&names, p->tensor[i]->name, strlen(p->tensor[i]->name) + 1);
        shape[2 * i] = p->tensor[i]->rows;
        shape[2 * i + 1] = p->tensor[i]->cols;
    }
    append(writing, "names", HDF5_TEXT, names.bytes, (int64_t)names.length);
    append(writing, "shapes", HDF5_INT64, shape, 2 * p->tensors);
    append(writing, "value", HDF5_FLOAT32, tensor_values(p->device, arena, p->value), p->count);
    append(writing, "first", HDF5_FLOAT32, tensor_values(p->device, arena, p->first), p->count);
    append(writing, "second", HDF5_FLOAT32, tensor_values(p->device, arena, p->second), p->count);
    if (best)
        append(writing, "best", HDF5_FLOAT32, best, p->count);
}

enum status checkpoint_write(const char *path, struct arena *arena, const struct position *position, const struct identity *identity, const struct text *config,
                             const struct parameters *parameters, const float *best, struct error *err)
{
    struct arena *scratch = arena_create_like(arena);
    struct writing writing = { .err = err };
    struct output output;
    writing.status = output_open(&output, scratch, path, true, err);
    if (writing.status == OK && output.is_stream)
        writing.status = fail_with(err, DISK, "%s: is no regular file", "move away what is in the checkpoint's place", path);
    if (writing.status == OK)
        writing.status = hdf5_create(&writing.file, &output, err);
    append_position(&writing, position);
    append_texts(&writing, scratch, identity, config);
    append_parameters(&writing, scratch, parameters, best);
    if (writing.status == OK)
        writing.status = hdf5_seal(&writing.file, &output, err);
    hdf5_close(&writing.file);
    if (writing.status == OK)
        writing.status = output_commit(&output);
    else
        output_discard(&output);
    arena_destroy(scratch);
    return writing.status;
}

static enum status wrong(const struct checkpoint *checkpoint, const char *what, struct error *err)
{
    return fail_with(err, BAD_FILE, "%s: %s", "", checkpoint->path, what);
}

/* The text that begins at *at, as it may go to a terminal, in the arena; NULL if none ends before `end`. */
static const char *next_text(struct arena *arena, const char **at, const char *end)
{
    const char *text = *at, *nul = memchr(text, 0, (size_t)(end - text));
    if (!nul)
        return NULL;
    *at = nul + 1;
    return text_make_printable(arena_text(arena, text, (size_t)(nul - text)));
}

static enum status read_position(struct checkpoint *checkpoint, struct error *err)
{
    const void *numbers, *reals;
    int64_t number_count, real_count;
    TRY(hdf5_find(&checkpoint->file, "numbers", HDF5_INT64, &numbers, &number_count, err));
    TRY(hdf5_find(&checkpoint->file, "reals", HDF5_FLOAT64, &reals, &real_count, err));
    if (number_count != NUMBERS || real_count != REALS)
        return wrong(checkpoint, "arrays of another length", err);
    const int64_t *number = numbers;
    const double *real = reals;
    checkpoint->position = (struct position){ .step = number[STEP],
                                              .best_step = number[BEST_STEP],
                                              .since_best = number[SINCE_BEST],
                                              .metrics_bytes = number[METRICS_BYTES],
                                              .micro_batch_tokens = number[MICRO_BATCH_TOKENS],
                                              .seconds = real[SECONDS],
                                              .first_loss = real[FIRST_LOSS],
                                              .last_loss = real[LAST_LOSS],
                                              .eval_loss = real[EVAL_LOSS],
                                              .best_eval_loss = real[BEST_EVAL_LOSS] };
    const struct position *p = &checkpoint->position;
    const bool possible = p->step >= 1 && p->step <= INT32_MAX && p->best_step >= 0 && p->best_step <= p->step && p->since_best >= 0 &&
                          p->since_best <= p->step && p->metrics_bytes >= 0 && p->micro_batch_tokens >= 1 && p->micro_batch_tokens <= 1 << 24 &&
                          p->seconds >= 0 && isfinite(p->seconds) && isnan(p->best_eval_loss) == (p->best_step == 0);
    return possible ? OK : wrong(checkpoint, "numbers that cannot be", err);
}

static enum status read_texts(struct checkpoint *checkpoint, struct arena *arena, struct error *err)
{
    const void *texts, *config;
    int64_t size, config_size;
    TRY(hdf5_find(&checkpoint->file, "identity", HDF5_TEXT, &texts, &size, err));
    TRY(hdf5_find(&checkpoint->file, "config", HDF5_TEXT, &config, &config_size, err));
    const char *at = texts, *end = at + size;
    for (int i = 0; i < IDENTITY_PARTS; i++) {
        const char *text = next_text(arena, &at, end);
        if (!text || strlen(text) >= sizeof checkpoint->identity.text[i])
            return wrong(checkpoint, "hashes that cannot be", err);
        memcpy(checkpoint->identity.text[i], text, strlen(text) + 1);
    }
    if (at != end || config_size > 1 << 24)
        return wrong(checkpoint, "texts that cannot be", err);
    checkpoint->config = arena_text(arena, config, (size_t)config_size);
    return OK;
}

static enum status read_shapes(struct checkpoint *checkpoint, struct arena *arena, struct error *err)
{
    const void *names, *shapes;
    int64_t size, numbers;
    TRY(hdf5_find(&checkpoint->file, "names", HDF5_TEXT, &names, &size, err));
    TRY(hdf5_find(&checkpoint->file, "shapes", HDF5_INT64, &shapes, &numbers, err));
    const char *at = names, *end = at + size;
    checkpoint->tensors = numbers / 2;
    if (numbers % 2 != 0 || numbers == 0 || checkpoint->tensors > size)
        return wrong(checkpoint, "arrays of another length", err);
    checkpoint->shape = shapes;
    checkpoint->name = NEW_ARRAY(arena, checkpoint->tensors, const char *);
    for (int64_t i = 0; i < checkpoint->tensors; i++)
        if (!(checkpoint->name[i] = next_text(arena, &at, end)))
            return wrong(checkpoint, "names without an end", err);
    return at == end ? OK : wrong(checkpoint, "names of no tensor", err);
}

static enum status read_vector(struct checkpoint *checkpoint, const char *name, const float **vector, struct error *err)
{
    const void *values;
    int64_t count;
    bool finite = true;
    TRY(hdf5_find(&checkpoint->file, name, HDF5_FLOAT32, &values, &count, err));
    *vector = values;
    if (checkpoint->count == 0)
        checkpoint->count = count;
    if (count != checkpoint->count || count == 0)
        return wrong(checkpoint, "arrays of another length", err);
    for (int64_t i = 0; i < count; i++)
        finite &= isfinite((*vector)[i]) != 0;
    return finite ? OK : wrong(checkpoint, "values that are not finite", err);
}

static enum status read_all(struct checkpoint *checkpoint, struct arena *arena, struct error *err)
{
    const void *said;
    int64_t size;
    TRY(hdf5_open(&checkpoint->file, checkpoint->path, err));
    TRY(hdf5_find(&checkpoint->file, "kind", HDF5_TEXT, &said, &size, err));
    if (size != sizeof kind - 1 || memcmp(said, kind, sizeof kind - 1) != 0)
        return wrong(checkpoint, "of another revision than this graft writes", err);
    TRY(read_position(checkpoint, err));
    TRY(read_texts(checkpoint, arena, err));
    TRY(read_shapes(checkpoint, arena, err));
    TRY(read_vector(checkpoint, "value", &checkpoint->value, err));
    TRY(read_vector(checkpoint, "first", &checkpoint->first, err));
    TRY(read_vector(checkpoint, "second", &checkpoint->second, err));
    const bool has_best = hdf5_has(&checkpoint->file, "best");
    if (has_best != (checkpoint->position.best_step > 0))
        return wrong(checkpoint, "a best evaluation without its values, or the reverse", err);
    return has_best ? read_vector(checkpoint, "best", &checkpoint->best, err) : OK;
}

enum status checkpoint_open(struct checkpoint *checkpoint, struct arena *arena, const char *path, struct error *err)
{
    *checkpoint = (struct checkpoint){ .path = path };
    return read_all(checkpoint, arena, err) == OK ? OK : cure_with(err, "delete it: 'graft train' goes on from the one before it");
}

bool checkpoint_is(const char *path)
{
    struct hdf5_file file;
    struct error ignored = { 0 };
    const bool is = hdf5_open(&file, path, &ignored) == OK && hdf5_has(&file, "kind");
    hdf5_close(&file);
    return is;
}

enum status checkpoint_fits(const struct checkpoint *checkpoint, const struct parameters *p, struct error *err)
{
    if (checkpoint->tensors != p->tensors || checkpoint->count != p->count)
        return fail_with(err, BAD_FILE, "%s: %lld tensors of %lld values, and the adapter has %d of %lld",
                         "it is of another adapter or model: begin again with --force", checkpoint->path, (long long)checkpoint->tensors,
                         (long long)checkpoint->count, p->tensors, (long long)p->count);
    for (int i = 0; i < p->tensors; i++) {
        const struct tensor *t = p->tensor[i];
        const int64_t *shape = checkpoint->shape + 2 * i;
        if (!text_equal(checkpoint->name[i], t->name) || shape[0] != t->rows || shape[1] != t->cols)
            return fail_with(err, BAD_FILE, "%s: tensor '%.200s' [%lld, %lld] stands where the adapter has '%s' [%lld, %lld]",
                             "it is of another adapter or model: begin again with --force", checkpoint->path, checkpoint->name[i], (long long)shape[0],
                             (long long)shape[1], t->name, (long long)t->rows, (long long)t->cols);
    }
    return OK;
}

void checkpoint_restore(const struct checkpoint *checkpoint, const struct parameters *p)
{
    tensor_upload(p->device, p->value, checkpoint->value);
    tensor_upload(p->device, p->first, checkpoint->first);
    tensor_upload(p->device, p->second, checkpoint->second);
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    hdf5_close(&checkpoint->file);
    *checkpoint = (struct checkpoint){ 0 };
}
