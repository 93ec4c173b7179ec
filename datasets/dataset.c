/* Files become a dataset: sources in turn, records in file order, each finding counted where it arises. Then what is done with a whole dataset: the gate
 * before training and the split.
 */
#include "datasets/format.h"

#include "common/files.h"
#include "common/random.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SCRATCH_BYTES = 8 << 20 };

const char *const finding_name[FINDINGS] = {
    [OVER_LENGTH] = "over_length",
    [EMPTY_RESPONSE] = "empty_response",
    [NOTHING_TRAINED] = "nothing_trained",
    [UNKNOWN_FIELD] = "unknown_field",
};

void finding_add(struct reading *reading, enum finding_kind kind, const char *where, const char *detail, ...)
{
    struct finding *finding = &reading->dataset->finding[kind];
    if (finding->count < (int64_t)COUNT(finding->first)) {
        char text[200];
        va_list arguments;
        va_start(arguments, detail);
        vsnprintf(text, sizeof text, detail, arguments);
        va_end(arguments);
        finding->first[finding->count] = text_make_printable(arena_print(reading->arena, "%s: %s", where, text));
    }
    finding->count++;
}

enum status source_check(struct arena *arena, const struct source *source, const char *where_prompt, const char *where_response,
                         const struct dataset_format **format, struct parsed_template **out, struct error *err)
{
    *out = NULL;
    *format = format_find(source->format);
    if (!*format) {
        size_t count = 0;
        while (format_names()[count])
            count++;
        fail_with(err, BAD_CONFIG, "%s: there is no format '%.100s'", "", source->where, source->format);
        return cure_with_names(err, source->format, format_names(), count, "formats");
    }
    if ((*format)->template_name) {
        *out = NEW(arena, struct parsed_template);
        return template_parse(*out, arena, *format, source, where_prompt, where_response, err);
    }
    if (source->template_name || source->prompt)
        return fail_with(err, BAD_CONFIG, "%s: format %s takes no template", "its records are ids already: remove the template", source->where, source->format);
    return OK;
}

static void keep(struct reading *reading, const struct sequence *sequence, int64_t *room)
{
    struct dataset *dataset = reading->dataset;
    if (dataset->count == *room) {
        *room = *room ? 2 * *room : 256;
        dataset->sequence = arena_grow(reading->arena, dataset->sequence, (size_t)dataset->count, (size_t)*room, sizeof *dataset->sequence);
    }
    dataset->sequence[dataset->count++] = *sequence;
}

static enum status read_records(struct reading *reading, struct json_lines *lines, int64_t *room, struct error *err)
{
    const struct source *source = reading->source;
    json_t *value;
    int64_t line, records = 0;
    while (source->limit == 0 || records < source->limit) {
        struct sequence sequence;
        bool kept;
        TRY(json_lines_next(lines, &value, &line, err));
        if (!value)
            break;
        records++;
        if (arena_used(reading->scratch) > SCRATCH_BYTES) {
            arena_destroy(reading->scratch);
            reading->scratch = arena_create_like(reading->arena);
        }
        const char *where = arena_print(reading->arena, "%s:%" PRId64, source->path, line);
        enum status status = record_check(reading, value, where, err);
        if (status == OK)
            status = encode_record(reading, value, where, &sequence, &kept, err);
        json_decref(value);
        TRY(status);
        if (kept)
            keep(reading, &sequence, room);
    }
    reading->dataset->records += records;
    if (records == 0)
        return fail_with(err, BAD_DATA, "%s: no records", "the file is empty, or an empty array: check the path", source->path);
    return OK;
}

static enum status read_source(struct reading *reading, int64_t *room, struct error *err)
{
    const struct source *source = reading->source;
    struct parsed_template *parsed;
    struct json_lines *lines = NULL;
    TRY(source_check(reading->arena, source, source->where, source->where, &reading->format, &parsed, err));
    reading->parsed = parsed;
    if (parsed && !reading->tokenizer)
        return fail_with(err, BAD_DATA, "%s: format %s is text, and there is no tokenizer", "give a model folder with tokenizer.json, or data in format tokens",
                         source->path, source->format);
    if (parsed && reading->eos < 0)
        return fail_with(err, BAD_DATA, "%s: format %s needs to know which id ends a response (EOS)",
                         "set eos_token in tokenizer_config.json or eos_token_id in config.json, or give data in format tokens", source->path, source->format);
    TRY(json_lines_open(&lines, reading->arena, source->path, err));
    enum status status = read_records(reading, lines, room, err);
    json_lines_close(lines);
    return status;
}

/* Totals and the hash, over what a dataset holds: each sequence is hashed by itself, so borders count, and then the hashes in their order. */
static void sum_up(struct dataset *dataset, const struct arena *like)
{
    struct arena *scratch = arena_create_like(like);
    struct text hashes = text_new(scratch);
    dataset->tokens = dataset->trained = 0;
    for (int64_t i = 0; i < dataset->count; i++) {
        const struct sequence *sequence = &dataset->sequence[i];
        char hex[65];
        CHECK(sequence->labels == sequence->ids + sequence->count);
        hash_bytes(sequence->ids, 2 * (size_t)sequence->count * sizeof *sequence->ids, hex);
        text_add(&hashes, hex, 64);
        dataset->tokens += sequence->count;
        dataset->trained += sequence->trained;
    }
    hash_bytes(hashes.bytes, hashes.length, dataset->hash);
    arena_destroy(scratch);
}

enum status dataset_read(struct dataset *dataset, struct arena *arena, const struct source *source, int sources, const struct data_settings *settings,
                         const struct tokenizer *tokenizer, int32_t eos, int64_t vocab, struct error *err)
{
    struct reading reading = { .dataset = dataset, .arena = arena, .settings = settings, .tokenizer = tokenizer, .eos = eos, .rendered = text_new(arena) };
    enum status status = OK;
    int64_t room = 0;
    *dataset = (struct dataset){ 0 };
    reading.vocab = vocab < INT32_MAX ? vocab : INT32_MAX;
    reading.scratch = arena_create_like(arena);
    for (int i = 0; i < sources && status == OK; i++) {
        reading.source = &source[i];
        status = read_source(&reading, &room, err);
    }
    arena_destroy(reading.scratch);
    TRY(status);
    sum_up(dataset, arena);
    return OK;
}

enum status dataset_split(struct dataset *train, struct dataset *eval, struct arena *arena, double fraction, uint64_t seed, struct error *err)
{
    int64_t count = train->count, held = llround(fraction * (double)count);
    if (count < 2)
        return fail_with(err, BAD_DATA, "data.eval_fraction: %" PRId64 " sequences cannot be split for evaluation",
                         "give data.eval its own file, or leave eval_fraction out", count);
    held = held < 1 ? 1 : held > count - 1 ? count - 1 : held;
    int64_t *order = NEW_ARRAY(arena, count, int64_t);
    bool *is_held = NEW_ARRAY(arena, count, bool);
    random_permutation(seed, random_stream("eval_fraction"), order, count);
    for (int64_t i = 0; i < held; i++)
        is_held[order[i]] = true;
    const struct sequence *all = train->sequence;
    *eval = (struct dataset){ .sequence = NEW_ARRAY(arena, held, struct sequence), .records = held };
    train->sequence = NEW_ARRAY(arena, count - held, struct sequence);
    train->count = 0;
    for (int64_t i = 0; i < count; i++) {
        struct dataset *side = is_held[i] ? eval : train;
        side->sequence[side->count++] = all[i];
    }
    train->records -= held;
    sum_up(train, arena);
    sum_up(eval, arena);
    return OK;
}

static bool is_accepted(const struct data_settings *settings, enum finding_kind kind)
{
    if (kind == OVER_LENGTH)
        return true; /* over_length: error stopped at the first; the other choices accept by choosing */
    for (int i = 0; i < settings->accepts; i++)
        if (strcmp(settings->accept[i], finding_name[kind]) == 0)
            return true;
    return false;
}

enum status dataset_gate(const struct dataset *dataset, const struct data_settings *settings, struct error *err)
{
    char what[900] = "", names[120] = "";
    size_t used = 0, named = 0;
    for (int kind = 0; kind < FINDINGS; kind++) {
        const struct finding *finding = &dataset->finding[kind];
        if (finding->count == 0 || is_accepted(settings, (enum finding_kind)kind))
            continue;
        named += (size_t)snprintf(names + named, sizeof names - named, "%s%s", named ? ", " : "", finding_name[kind]);
        for (int i = 0; i < (int)COUNT(finding->first) && finding->first[i] && used < sizeof what; i++)
            used += i == 0 ? (size_t)snprintf(what + used, sizeof what - used, "%s%" PRId64 " %s (%s", used ? "); " : "", finding->count, finding_name[kind],
                                              finding->first[i])
                           : (size_t)snprintf(what + used, sizeof what - used, "; %s", finding->first[i]);
    }
    if (named > 0) {
        fail_with(err, BAD_DATA, "findings in the data: %s)", "", what);
        return cure_with(err, "repair the records, or accept what was found with data.accept: [%s]; graft data check lists all counts", names);
    }
    if (dataset->count == 0)
        return fail_with(err, BAD_DATA, "none of %" PRId64 " records can be trained on", "see graft data check for what became of them", dataset->records);
    return OK;
}
