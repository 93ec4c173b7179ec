/* A conversation becomes ids with labels.
 *
 * It is rendered and encoded as ONE text, so that ids are those the model meets when it continues the prompt; trained spans are found by byte offsets: a token
 * is trained if it begins in one. A token that straddles the border began in the prompt and is not trained. Encoding the parts apart would merge differently at
 * the borders, and counting the prompt's tokens would then mask the wrong ones.
 */
#include "datasets/format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

__attribute__((format(printf, 4, 5))) static void note(struct encoded *out, struct arena *arena, enum finding_kind kind, const char *detail, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, detail);
    vsnprintf(text, sizeof text, detail, arguments);
    va_end(arguments);
    CHECK(out->notes < (int)COUNT(out->note));
    out->note[out->notes++] = (struct note){ kind, arena_text(arena, text, strlen(text)) };
}

/* Labels of tokens by the trained spans; the first token begins the text, it answers nothing. What the post-processor puts behind the text belongs to a span
 * that ends with it. */
static void label_tokens(const struct rendering *rendering, const struct tokens *tokens, struct sequence *sequence)
{
    int s = 0;
    for (int64_t t = 0; t < tokens->count; t++) {
        const int64_t begin = tokens->token[t].begin, length = (int64_t)rendering->text.length;
        while (s < rendering->spans && begin >= (int64_t)rendering->span[s].end && (int64_t)rendering->span[s].end < length)
            s++;
        bool trained = t > 0 && s < rendering->spans && begin >= (int64_t)rendering->span[s].begin;
        sequence->ids[t] = tokens->token[t].id;
        sequence->labels[t] = trained ? tokens->token[t].id : NOT_TRAINED;
    }
}

/* The texts that people and exact match compare: what stands before the last trained turn, and that turn. */
static void keep_texts(struct arena *arena, const struct conversation *conversation, const struct rendering *rendering, struct sequence *sequence)
{
    const size_t begin = rendering->spans ? rendering->span[rendering->spans - 1].begin : rendering->text.length;
    sequence->prompt = arena_text(arena, rendering->text.bytes, begin);
    sequence->response = "";
    if (rendering->last >= 0)
        sequence->response = arena_text(arena, conversation->turn[rendering->last].text, conversation->turn[rendering->last].length);
}

static enum status render(const struct reading *reading, struct arena *arena, const struct conversation *conversation, struct rendering *out, struct error *err)
{
    const struct layout *layout = reading->parsed->layout;
    if (!layout)
        return chat_render(reading, arena, conversation, out, err);
    const bool adds_bos = tokenizer_adds_bos(reading->tokenizer);
    layout_render(layout, conversation, reading->source->train_on, !adds_bos, reading->bos_text, reading->eos_text, arena, out);
    return OK;
}

static enum status encode_text(const struct reading *reading, struct arena *arena, const struct conversation *conversation, struct encoded *out,
                               struct error *err)
{
    struct rendering rendering;
    struct tokens tokens;
    struct sequence *sequence = &out->sequence;
    const struct layout *layout = reading->parsed->layout;
    TRY(render(reading, arena, conversation, &rendering, err));
    const struct text *text = &rendering.text;
    if (tokenizer_encode(reading->tokenizer, arena, text->bytes, text->length, layout != NULL, &tokens, err) != OK)
        return place_failure(err, conversation->where);
    /* Some tokenizers put EOS behind themselves, and some texts end with it in words. */
    const bool ends = tokens.count > 0 && tokens.token[tokens.count - 1].id == reading->eos;
    const bool answers = rendering.spans > 0 && rendering.span[rendering.spans - 1].end == text->length;
    const int64_t added = layout && layout->ends && !ends;
    sequence->count = tokens.count + added;
    sequence->ids = NEW_ARRAY(arena, sequence->count, int32_t);
    sequence->labels = NEW_ARRAY(arena, sequence->count, int32_t);
    label_tokens(&rendering, &tokens, sequence);
    if (ends && answers)
        sequence->labels[tokens.count - 1] = reading->eos;
    if (added) {
        sequence->ids[tokens.count] = reading->eos;
        sequence->labels[tokens.count] = answers ? reading->eos : NOT_TRAINED;
    }
    keep_texts(arena, conversation, &rendering, sequence);
    for (int i = 0; i < conversation->turns; i++)
        if (conversation->turn[i].blank && conversation->turn[i].role == ASSISTANT) {
            note(out, arena, EMPTY_RESPONSE, "the response is empty");
            break;
        }
    if (tokens.count > 1 && tokens.token[0].end == 0 && sequence->ids[0] == sequence->ids[1] && tokens.token[1].end > 0)
        note(out, arena, DOUBLE_BOS, "the text begins with the %.40s that the tokenizer puts there", tokenizer_token(reading->tokenizer, tokens.token[0].id));
    return OK;
}

/* Over length: an error, left out, or cut, as the settings say. */
static enum status fit(const struct reading *reading, struct arena *arena, struct encoded *out, struct error *err)
{
    struct sequence *sequence = &out->sequence;
    int64_t limit = reading->settings->max_length;
    if (sequence->count <= limit)
        return OK;
    if (reading->settings->over_length == OVER_LENGTH_ERROR)
        return fail_with(err, BAD_DATA, "%s: %" PRId64 " tokens, max_length is %" PRId64,
                         "raise max_length, or choose over_length: drop (leave such records out) or truncate (cut them)", sequence->where, sequence->count,
                         limit);
    note(out, arena, OVER_LENGTH, "%" PRId64 " tokens", sequence->count);
    out->kept = out->cut = reading->settings->over_length == OVER_LENGTH_TRUNCATE;
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

bool sequence_count_trained(struct sequence *sequence, int32_t eos)
{
    bool ends = false, last_run = true;
    sequence->trained = 0;
    sequence->prompt_count = sequence->count;
    for (int64_t t = sequence->count - 1; t > 0; t--) {
        const bool trained = sequence->labels[t] != NOT_TRAINED;
        sequence->trained += trained;
        ends |= trained && sequence->labels[t] == eos;
        if (trained && last_run)
            sequence->prompt_count = t;
        last_run &= trained || sequence->prompt_count == sequence->count;
    }
    return ends;
}

enum status encode(const struct reading *reading, struct arena *arena, const struct conversation *conversation, struct encoded *out, struct error *err)
{
    *out = (struct encoded){ .sequence = { .where = conversation->where, .group = conversation->group }, .kept = true };
    struct sequence *sequence = &out->sequence;
    if (conversation->ids) {
        sequence->ids = conversation->ids;
        sequence->labels = conversation->labels;
        sequence->count = conversation->count;
    } else {
        TRY(encode_text(reading, arena, conversation, out, err));
    }
    TRY(check_vocabulary(reading, sequence, err));
    TRY(fit(reading, arena, out, err));
    if (!out->kept)
        return OK;
    const bool ends = sequence_count_trained(sequence, reading->eos);
    if (sequence->trained == 0) {
        note(out, arena, NOTHING_TRAINED, "%" PRId64 " tokens, none of them trained", sequence->count);
        out->kept = false;
    } else if (!ends && !conversation->ids && !out->cut) {
        note(out, arena, NO_EOS, "nothing that is trained ends with %.40s", reading->eos_text[0] ? reading->eos_text : "EOS");
    }
    return OK;
}
