/* Sources in turn become a dataset: what each needs is checked before its file is opened, and what all of them hold is summed up. */
#include "datasets/format.h"

#include "common/files.h"

#include <string.h>

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
    if (source->threads && !(*format)->has_threads)
        return fail_with(err, BAD_CONFIG, "%s: 'oasst' holds settings of format oasst, and the format is %s", "remove them, or set format: oasst",
                         source->where, source->format);
    if ((*format)->template_name) {
        *out = NEW(arena, struct parsed_template);
        return template_parse(*out, arena, *format, source, where_prompt, where_response, err);
    }
    if (source->template_name || source->prompt)
        return fail_with(err, BAD_CONFIG, "%s: format %s takes no template", "its records are ids already: remove the template", source->where, source->format);
    return OK;
}

static enum status read_file(struct reading *reading, struct error *err)
{
    reading->block = arena_create_like(reading->arena);
    enum status status = reading->format->read_file ? reading->format->read_file(reading, err) : read_records(reading, err);
    if (status == OK)
        status = reading_encode(reading, true, err);
    arena_destroy(reading->block);
    TRY(status);
    if (reading->counts->records == 0)
        return fail_with(err, BAD_DATA, "%s: no records", "the file is empty, or an empty array: check the path", reading->source->path);
    return OK;
}

static const char *spelling(const struct tokenizer *tokenizer, int32_t id)
{
    const char *text = tokenizer && id >= 0 ? tokenizer_token(tokenizer, id) : NULL;
    return text ? text : "";
}

static enum status read_source(struct reading *reading, struct error *err)
{
    const struct source *source = reading->source;
    struct parsed_template *parsed;
    TRY(source_check(reading->arena, source, source->where, source->where, &reading->format, &parsed, err));
    reading->parsed = parsed;
    if (parsed && !reading->tokenizer)
        return fail_with(err, BAD_DATA, "%s: format %s is text, and there is no tokenizer", "give a model folder with tokenizer.json, or data in format tokens",
                         source->path, source->format);
    if (parsed && reading->eos < 0)
        return fail_with(err, BAD_DATA, "%s: format %s needs to know which id ends a response (EOS)",
                         "set eos_token in tokenizer_config.json or eos_token_id in config.json, or give data in format tokens", source->path, source->format);
    reading->eos_text = spelling(reading->tokenizer, reading->eos);
    reading->bos_text = spelling(reading->tokenizer, reading->tokenizer ? tokenizer_bos(reading->tokenizer) : -1);
    if (parsed)
        check_markers(reading);
    if (parsed && !parsed->layout)
        TRY(chat_open(reading, err));
    return read_file(reading, err);
}

void dataset_sum_up(struct dataset *dataset, const struct arena *like)
{
    struct arena *scratch = arena_create_like(like);
    struct text hashes = text_new(scratch);
    int64_t i = 0;
    dataset->tokens = dataset->trained = dataset->records = dataset->conversations = 0;
    for (int s = 0; s < dataset->sources; s++) {
        struct source_counts *counts = &dataset->source[s];
        counts->first = i;
        counts->tokens = counts->trained = 0;
        for (; i < counts->first + counts->count; i++) {
            const struct sequence *sequence = &dataset->sequence[i];
            char hex[65];
            CHECK(sequence->labels == sequence->ids + sequence->count);
            /* Each sequence is hashed by itself, so borders count, and then the hashes in their order. */
            hash_bytes(sequence->ids, 2 * (size_t)sequence->count * sizeof *sequence->ids, hex);
            text_add(&hashes, hex, 64);
            counts->tokens += sequence->count;
            counts->trained += sequence->trained;
        }
        dataset->records += counts->records;
        dataset->conversations += counts->conversations;
        dataset->tokens += counts->tokens;
        dataset->trained += counts->trained;
    }
    CHECK(i == dataset->count);
    hash_bytes(hashes.bytes, hashes.length, dataset->hash);
    arena_destroy(scratch);
}

enum status dataset_read(struct dataset *dataset, struct arena *arena, const struct source *source, int sources, const struct data_settings *settings,
                         const struct tokenizer *tokenizer, int32_t eos, int64_t vocab, struct error *err)
{
    struct reading reading = { .dataset = dataset, .arena = arena, .settings = settings, .tokenizer = tokenizer, .eos = eos };
    *dataset = (struct dataset){ .source = NEW_ARRAY(arena, sources, struct source_counts), .sources = sources };
    reading.vocab = vocab < INT32_MAX ? vocab : INT32_MAX;
    for (int i = 0; i < sources; i++) {
        reading.source = &source[i];
        reading.counts = &dataset->source[i];
        reading.counts->source = &source[i];
        TRY(read_source(&reading, err));
    }
    dataset_find_duplicates(dataset, arena, settings->deduplicate);
    dataset_sum_up(dataset, arena);
    return OK;
}
