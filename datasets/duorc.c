/* duorc: questions on the plot of a film; rows as on Hugging Face, or plots with their questions nested in `qa`. The first answer is trained; a question that
 * has none, as no_answer says, trains nothing but the end, which is a finding (empty_response). */
#include "datasets/format.h"

#include <string.h>

/* Fields of a row, by their places in format_duorc. */
enum { PLOT, QUESTION, ANSWERS, TITLE };

static enum status take_text(struct record *record, int field, const json_t *object, const char *where, const char *key, struct error *err)
{
    return member_text(object, where, key, &record->value[field].bytes, &record->value[field].length, err);
}

static enum status read_question(struct reading *reading, struct record record, const json_t *object, const char *where, struct error *err)
{
    const json_t *answers = json_object_get(object, "answers"), *first = json_array_get(answers, 0);
    bool no_answer = false;
    TRY(take_text(&record, QUESTION, object, where, "question", err));
    TRY(json_get_bool(object, where, "no_answer", &no_answer, err));
    if (!json_is_array(answers))
        return fail_with(err, BAD_DATA, "%s: 'answers' is %s", "it must be a list of texts", where, answers ? json_kind(answers) : "missing");
    if (first && !json_is_string(first))
        return fail_with(err, BAD_DATA, "%s: 'answers[0]' is %s", "it must be a text in double quotes", where, json_kind(first));
    if (!first && !no_answer)
        return fail_with(err, BAD_DATA, "%s: 'answers' is empty, and 'no_answer' is not true", "give an answer, or say that there is none", where);
    record.value[ANSWERS].bytes = first ? json_string_value(first) : "";
    record.value[ANSWERS].length = strlen(record.value[ANSWERS].bytes);
    read_fields(reading, &record, where);
    return OK;
}

static enum status read(struct reading *reading, const json_t *object, const char *where, struct error *err)
{
    struct record record = { 0 };
    const json_t *nested = json_object_get(object, "qa");
    if (!json_object_get(object, "plot"))
        return record_lacks(reading->format, object, where, PLOT, err);
    TRY(take_text(&record, PLOT, object, where, "plot", err));
    TRY(take_text(&record, TITLE, object, where, "title", err));
    if (!nested)
        return read_question(reading, record, object, where, err);
    if (!json_is_array(nested))
        return fail_with(err, BAD_DATA, "%s: 'qa' is %s", "it must be a list of questions", where, json_kind(nested));
    for (size_t i = 0; i < json_array_size(nested); i++) {
        const json_t *question = json_array_get(nested, i);
        if (!json_is_object(question))
            return fail_with(err, BAD_DATA, "%s: 'qa[%zu]' is %s", "a question is {\"question\": .., \"answers\": [..]}", where, i, json_kind(question));
        TRY(read_question(reading, record, question, where, err));
    }
    return OK;
}

const struct dataset_format format_duorc = {
    .name = "duorc",
    .field = {
        [PLOT] = { "plot", "context", REQUIRED, NULL },
        [QUESTION] = { "question", "instruction", OPTIONAL, NULL },
        [ANSWERS] = { "answers", "response", OPTIONAL, NULL },
        [TITLE] = { "title", "title", OPTIONAL, NULL },
        { "qa", NULL, IGNORED, NULL },
        { "no_answer", NULL, IGNORED, NULL },
        { "plot_id", NULL, IGNORED, NULL },
        { "question_id", NULL, IGNORED, NULL },
        { "id", NULL, IGNORED, NULL },
    },
    .template_name = "question_answer",
    .wording = { "{context}\n\n{instruction}", "{instruction}", "{response}" },
    .read = read,
};
