/* tokens: ids as they are, with labels of the same length (-100: not trained) or, without labels, all trained. Needs no tokenizer; nothing is appended. */
#include "datasets/format.h"

#include <inttypes.h>

static enum status read_list(struct reading *reading, const json_t *object, const char *where, const char *key, int64_t min, int32_t **out, int64_t *count,
                             struct error *err)
{
    struct error why = { .code = OK };
    if (json_get_ids(reading->scratch, object, where, key, min, reading->vocab - 1, out, count, &why) == OK)
        return OK;
    fail_with(err, BAD_DATA, "%s", "", why.what);
    return cure_with(err, "%s: ids lie in the model's vocabulary, labels there or at %d for tokens that are not trained", why.cure, NOT_TRAINED);
}

static enum status read_ids(struct reading *reading, const json_t *object, struct sequence *sequence, struct error *err)
{
    int32_t *ids, *labels;
    int64_t count, label_count;
    const char *where = sequence->where;
    TRY(read_list(reading, object, where, "ids", 0, &ids, &count, err));
    TRY(read_list(reading, object, where, "labels", NOT_TRAINED, &labels, &label_count, err));
    if (count == 0)
        return fail_with(err, BAD_DATA, "%s: 'ids' is missing or empty",
                         "format tokens needs {\"ids\": [..]} with at least one id; remove the record if it is empty", where);
    if (labels && label_count != count)
        return fail_with(err, BAD_DATA, "%s: %" PRId64 " labels for %" PRId64 " ids", "labels[t] belongs to ids[t]: give one per id, or no labels at all",
                         where, label_count, count);
    for (int64_t t = 0; labels && t < count; t++)
        if (labels[t] < 0 && labels[t] != NOT_TRAINED)
            return fail_with(err, BAD_DATA, "%s: labels[%" PRId64 "] is %d", "a label is an id, or -100 for a token that is not trained", where, t, labels[t]);
    sequence->count = count;
    sequence->ids = ids;
    sequence->labels = labels ? labels : ids;
    return OK;
}

const struct dataset_format format_tokens = {
    .name = "tokens",
    .field = { { "ids", NULL, REQUIRED }, { "labels", NULL, OPTIONAL } },
    .read_ids = read_ids,
};
