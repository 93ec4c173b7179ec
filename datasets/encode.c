/* A record becomes ids with labels.
 *
 * Prompt and response are encoded as ONE text, so that ids are those the model meets when it continues the prompt; the trained span is found by byte offsets: a
 * token is trained if it begins in the response. One that straddles the border began in the prompt and is not trained. Encoding both apart would merge
 * differently at the border, and counting the prompt's tokens would then mask the wrong ones.
 */
#include "datasets/format.h"

#include <inttypes.h>
#include <string.h>

static enum status encode_text(struct reading *reading, const json_t *object, struct sequence *sequence, struct error *err)
{
    struct record record;
    struct tokens tokens;
    size_t split;
    TRY(record_read(reading->format, object, sequence->where, &record, err));
    if (!template_render(reading->parsed, &record, &reading->rendered, &split))
        finding_add(reading, EMPTY_RESPONSE, sequence->where, "the response is empty");
    const struct text *text = &reading->rendered;
    if (tokenizer_encode(reading->tokenizer, reading->scratch, text->bytes, text->length, true, &tokens, err) != OK)
        return place_failure(err, sequence->where);
    /* Some tokenizers put EOS behind themselves, and some texts end with it in words. */
    bool ends = tokens.count > 0 && tokens.token[tokens.count - 1].id == reading->eos;
    sequence->count = tokens.count + !ends;
    sequence->ids = NEW_ARRAY(reading->scratch, sequence->count, int32_t);
    sequence->labels = NEW_ARRAY(reading->scratch, sequence->count, int32_t);
    for (int64_t t = 0; t < tokens.count; t++) {
        const struct token *token = &tokens.token[t];
        bool trained = t > 0 && (token->begin >= (int64_t)split || (t == tokens.count - 1 && ends)); /* the first begins the text, it answers nothing */
        sequence->ids[t] = token->id;
        sequence->labels[t] = trained ? token->id : NOT_TRAINED;
    }
    if (!ends)
        sequence->ids[tokens.count] = sequence->labels[tokens.count] = reading->eos;
    sequence->prompt = arena_text(reading->scratch, text->bytes, split);
    sequence->response = arena_text(reading->scratch, text->bytes + split, text->length - split);
    return OK;
}

/* Over length: an error, left out, or cut, as the settings say. */
static enum status fit(struct reading *reading, struct sequence *sequence, bool *kept, struct error *err)
{
    int64_t limit = reading->settings->max_length;
    if (sequence->count <= limit)
        return OK;
    if (reading->settings->over_length == OVER_LENGTH_ERROR)
        return fail_with(err, BAD_DATA, "%s: %" PRId64 " tokens, max_length is %" PRId64,
                         "raise max_length, or choose over_length: drop (leave such records out) or truncate (cut them)", sequence->where, sequence->count,
                         limit);
    finding_add(reading, OVER_LENGTH, sequence->where, "%" PRId64 " tokens", sequence->count);
    *kept = reading->settings->over_length == OVER_LENGTH_TRUNCATE;
    sequence->count = limit;
    return OK;
}

static enum status check_vocabulary(const struct reading *reading, const struct sequence *sequence, struct error *err)
{
    for (int64_t t = 0; t < sequence->count; t++)
        if (sequence->ids[t] < 0 || sequence->ids[t] >= reading->vocab)
            return fail_with(err, BAD_DATA, "%s: token %" PRId64 " has id %d, the model's vocabulary has %" PRId64 " rows",
                             "tokenizer and model do not belong together", sequence->where, t, sequence->ids[t], reading->vocab);
    return OK;
}

/* Nothing predicts the first token, whatever its label says. */
static void count_trained(struct sequence *sequence)
{
    sequence->trained = 0;
    sequence->prompt_count = sequence->count;
    for (int64_t t = sequence->count - 1; t > 0; t--) {
        if (sequence->labels[t] == NOT_TRAINED)
            continue;
        sequence->trained++;
        sequence->prompt_count = t;
    }
}

/* Moves a sequence out of scratch; labels right behind ids, so that both are hashed at once. */
static void settle(struct arena *arena, struct sequence *sequence)
{
    int64_t count = sequence->count;
    int32_t *both = NEW_ARRAY(arena, 2 * count, int32_t);
    memcpy(both, sequence->ids, (size_t)count * sizeof *both);
    memcpy(both + count, sequence->labels, (size_t)count * sizeof *both);
    sequence->ids = both;
    sequence->labels = both + count;
    if (sequence->prompt) {
        sequence->prompt = arena_text(arena, sequence->prompt, strlen(sequence->prompt));
        sequence->response = arena_text(arena, sequence->response, strlen(sequence->response));
    }
}

enum status encode_record(struct reading *reading, const json_t *object, const char *where, struct sequence *sequence, bool *kept, struct error *err)
{
    *sequence = (struct sequence){ .where = where };
    *kept = true;
    if (reading->format->read_ids)
        TRY(reading->format->read_ids(reading, object, sequence, err));
    else
        TRY(encode_text(reading, object, sequence, err));
    TRY(check_vocabulary(reading, sequence, err));
    TRY(fit(reading, sequence, kept, err));
    if (!*kept)
        return OK;
    count_trained(sequence);
    if (sequence->trained == 0) {
        finding_add(reading, NOTHING_TRAINED, where, "%" PRId64 " tokens, none of them trained", sequence->count);
        *kept = false;
        return OK;
    }
    settle(reading->arena, sequence);
    return OK;
}
