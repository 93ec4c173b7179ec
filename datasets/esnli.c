/* esnli: premise, hypothesis, their relation and an explanation of it; as records, or as the parallel files that e-SNLI's authors publish: the path is that of
 * the premises (s1.dev), and beside it lie s2.dev, labels.dev and preproc1_expl_1.dev, a line each for the same pair. */
#include "datasets/format.h"

#include "common/files.h"

#include <inttypes.h>
#include <string.h>

enum { PREMISE, HYPOTHESIS, LABEL, EXPLANATION, PARTS };
static const char *const words[] = { "entailment", "neutral", "contradiction", NULL };

/* One of the parallel files: where the next line begins. */
struct lines {
    const char *path;
    struct map map;
    const char *at, *end;
};

static enum status next_line(struct lines *lines, int64_t line, const char **text, size_t *length, struct error *err)
{
    size_t bad;
    if (lines->at == lines->end)
        return fail_with(err, BAD_DATA, "%s:%" PRId64 ": the file ends here, and the files beside it go on",
                         "parallel files have a line each for the same pair", lines->path, line);
    const char *end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    end = end ? end : lines->end;
    *text = lines->at;
    *length = (size_t)(end - lines->at);
    lines->at = end < lines->end ? end + 1 : end;
    while (*length > 0 && strchr(" \r", (*text)[*length - 1]))
        --*length;
    if (memchr(*text, 0, *length))
        return fail_with(err, BAD_FILE, "%s:%" PRId64 ": a NUL byte", "the file must be text in UTF-8, not UTF-16 or binary", lines->path, line);
    if (!utf8_valid(*text, *length, &bad))
        return fail_with(err, BAD_FILE, "%s:%" PRId64 ":%zu: a byte that is no UTF-8", "save the file as UTF-8", lines->path, line, bad + 1);
    return OK;
}

static enum status read_pair(struct reading *reading, struct lines part[PARTS], int64_t line, struct error *err)
{
    const char *where = arena_print(reading->arena, "%s:%" PRId64, reading->source->path, line);
    struct record record = { 0 };
    for (int i = 0; i < PARTS; i++) {
        const char *text = "";
        TRY(next_line(&part[i], line, &text, &record.value[i].length, err));
        record.value[i].bytes = arena_text(reading->block, text, record.value[i].length);
    }
    bool known = false;
    for (int i = 0; words[i]; i++)
        known |= text_equal(record.value[LABEL].bytes, words[i]);
    if (!known)
        return fail_with(err, BAD_DATA, "%s:%" PRId64 ": '%.60s' is no relation", "lines are entailment, neutral or contradiction", part[LABEL].path, line,
                         record.value[LABEL].bytes);
    reading->counts->records++;
    read_fields(reading, &record, where);
    return reading_encode(reading, false, err);
}

static enum status read_parts(struct reading *reading, struct lines part[PARTS], struct error *err)
{
    int64_t line = 1;
    for (; part[PREMISE].at < part[PREMISE].end && (reading->source->limit == 0 || line <= reading->source->limit); line++)
        TRY(read_pair(reading, part, line, err));
    for (int i = 0; i < PARTS && part[PREMISE].at == part[PREMISE].end; i++)
        if (part[i].at != part[i].end)
            return fail_with(err, BAD_DATA, "%s:%" PRId64 ": the file goes on, and that of the premises ends",
                             "parallel files have a line each for the same pair", part[i].path, line);
    return OK;
}

static enum status read_file(struct reading *reading, struct error *err)
{
    static const char *const prefix[PARTS] = { "s1.", "s2.", "labels.", "preproc1_expl_1." };
    const char *path = reading->source->path, *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct lines part[PARTS] = { 0 };
    enum status status = OK;
    if (!text_starts(name, prefix[PREMISE]))
        return read_records(reading, err);
    for (int i = 0; i < PARTS && status == OK; i++) {
        part[i].path = arena_print(reading->arena, "%.*s%s%s", (int)(name - path), path, prefix[i], name + strlen(prefix[PREMISE]));
        status = map_open(&part[i].map, part[i].path, err);
        part[i].at = part[i].map.size ? (const char *)part[i].map.bytes : "";
        part[i].end = part[i].at + part[i].map.size;
    }
    if (status == OK)
        status = read_parts(reading, part, err);
    for (int i = 0; i < PARTS; i++)
        map_close(&part[i].map);
    return status;
}

const struct dataset_format format_esnli = {
    .name = "esnli",
    .field = {
        [PREMISE] = { "premise", "premise", REQUIRED, NULL },
        [HYPOTHESIS] = { "hypothesis", "hypothesis", REQUIRED, NULL },
        [LABEL] = { "label", "label", REQUIRED, words },
        [EXPLANATION] = { "explanation_1", "explanation", REQUIRED, NULL },
        { "explanation_2", "second_explanation", OPTIONAL, NULL },
        { "explanation_3", "third_explanation", OPTIONAL, NULL },
    },
    .template_name = "nli",
    .wording = { "Premise: {premise}\nHypothesis: {hypothesis}", NULL, "{label}\n{explanation}" },
    .read_file = read_file,
};
