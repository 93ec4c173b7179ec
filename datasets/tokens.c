/* tokens: ids as they are, with labels of the same length (-100: not trained) or, without labels, all trained. Needs no tokenizer; nothing is appended. */
#include "datasets/format.h"

#include <inttypes.h>

static enum status read_list(struct reading *reading, const json_t *object, const char *where, const char *key, int64_t min, int32_t **out, int64_t *count,
                             struct error *err)
{
    struct error why = { .code = OK };
    if (json_get_ids(reading->block, object, where, key, min, reading->vocab - 1, out, count, &why) == OK)
        return OK;
    fail_with(err, BAD_DATA, "%s", "", why.what);
    return cure_with(err, "%s: ids lie in the model's vocabulary, labels there or at %d for tokens that are not trained", why.cure, NOT_TRAINED);
}

static enum status read(struct reading *reading, const json_t *object, const char *where, struct error *err)
{
    struct conversation out = { .where = where, .group = reading->groups++ };
    int64_t label_count;
    TRY(read_list(reading, object, where, "ids", 0, &out.ids, &out.count, err));
    TRY(read_list(reading, object, where, "labels", NOT_TRAINED, &out.labels, &label_count, err));
    if (out.count == 0)
        return fail_with(err, BAD_DATA, "%s: 'ids' is missing or empty",
                         "format tokens needs {\"ids\": [..]} with at least one id; remove the record if it is empty", where);
    if (out.labels && label_count != out.count)
        return fail_with(err, BAD_DATA, "%s: %" PRId64 " labels for %" PRId64 " ids", "labels[t] belongs to ids[t]: give one per id, or no labels at all",
                         where, label_count, out.count);
    for (int64_t t = 0; out.labels && t < out.count; t++)
        if (out.labels[t] < 0 && out.labels[t] != NOT_TRAINED)
            return fail_with(err, BAD_DATA, "%s: labels[%" PRId64 "] is %d", "a label is an id, or -100 for a token that is not trained", where, t,
                             out.labels[t]);
    out.labels = out.labels ? out.labels : out.ids;
    reading_add(reading, out);
    return OK;
}

const struct dataset_format format_tokens = {
    .name = "tokens",
    .field = { { "ids", NULL, REQUIRED, NULL }, { "labels", NULL, OPTIONAL, NULL } },
    .read = read,
};
