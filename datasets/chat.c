/* The model's own chat template as a template of data: conversations as the text that the model was tuned on.
 *
 * The template tells where answers stand, in spans: of each answer its content and what ends it. Which answers are trained is the dataset's rule, so each span
 * has to be one answer's. What the template prints around questions is nobody's span: questions are trained all (train_on: all) or not at all.
 */
#include "datasets/format.h"

#include <inttypes.h>

enum status chat_open(struct reading *reading, struct error *err)
{
    const struct source *source = reading->source;
    const char *folder = reading->settings->model_folder;
    struct error why = { .code = OK };
    if (reading->chat_template)
        return OK;
    if (folder && chat_template_read(&reading->chat_template, reading->arena, folder, &why) == OK)
        return OK;
    if (folder && why.code != BAD_MODEL) {
        *err = why;
        return why.code;
    }
    size_t count = 0;
    while (layout_names()[count])
        count++;
    fail_with(err, BAD_CONFIG, "%s: template " CHAT_TEMPLATE " is the model's own, and %s has none", "", source->where, folder ? folder : "this model");
    return cure_with_names(err, "", layout_names(), count, "name the one that the model was trained with");
}

/* [{"role", "content"}, ...] */
static enum status messages_of(const struct conversation *conversation, json_t **out, struct error *err)
{
    static const char *const role[] = { [SYSTEM] = "system", [USER] = "user", [ASSISTANT] = "assistant" };
    json_t *messages = json_array();
    bool made = messages != NULL;
    for (int i = 0; i < conversation->turns && made; i++) {
        const struct turn *turn = &conversation->turn[i];
        size_t bad;
        if (!utf8_valid(turn->text, turn->length, &bad)) {
            json_decref(messages);
            return fail_with(err, BAD_DATA, "%s: byte %zu of turn %d is not UTF-8", "convert the text to UTF-8", conversation->where, bad, i + 1);
        }
        made = json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", role[turn->role], "content", turn->text, turn->length)) == 0;
    }
    if (!made) {
        json_decref(messages);
        return fail_with(err, NO_MEMORY, "%s: no memory for its %d messages", "use a machine with more memory", conversation->where, conversation->turns);
    }
    *out = messages;
    return OK;
}

/* What is no answer is trained by train_on alone. *answers: how many there are; *every: whether all of them are trained. */
static enum status check_turns(const struct conversation *conversation, int train_on, size_t *answers, bool *every, struct error *err)
{
    *answers = 0;
    *every = true;
    for (int i = 0; i < conversation->turns; i++) {
        const bool trained = turn_is_trained(conversation, i, train_on);
        if (conversation->turn[i].role == ASSISTANT) {
            ++*answers;
            *every &= trained;
        } else if (trained != (train_on == TRAIN_ON_ALL)) {
            return fail_with(err, BAD_DATA, "%s: turn %d is no answer and has \"train\": %s, and the chat template tells answers apart only",
                             "remove \"train\" there, or name a template: chatml, llama3, ...", conversation->where, i + 1, trained ? "true" : "false");
        }
    }
    return OK;
}

/* The spans that are trained: those of trained answers, or the whole text without those of others. */
static void choose_spans(const struct conversation *conversation, int train_on, const struct chat_text *text, struct rendering *out)
{
    size_t at = 0, s = 0;
    const bool all = train_on == TRAIN_ON_ALL;
    for (int i = 0; i < conversation->turns; i++)
        if (turn_is_trained(conversation, i, train_on))
            out->last = i;
    for (int turn = 0; s < text->spans; s++, turn++) {
        while (turn < conversation->turns && conversation->turn[turn].role != ASSISTANT)
            turn++;
        const bool trained = turn >= conversation->turns || turn_is_trained(conversation, turn, train_on); /* more spans than answers: all are trained */
        const struct chat_span *span = &text->span[s];
        if (all && !trained && span->begin > at)
            rendering_add_span(out, at, span->begin);
        if (all && !trained)
            at = span->end;
        if (!all && trained)
            rendering_add_span(out, span->begin, span->end);
    }
    if (all && text->length > at)
        rendering_add_span(out, at, text->length);
}

enum status chat_render(const struct reading *reading, struct arena *arena, const struct conversation *conversation, struct rendering *out, struct error *err)
{
    const int train_on = reading->source->train_on;
    struct chat chat = { 0 };
    struct chat_text text;
    json_t *messages = NULL;
    size_t answers;
    bool every;
    TRY(check_turns(conversation, train_on, &answers, &every, err));
    TRY(messages_of(conversation, &messages, err));
    chat.messages = messages;
    const bool whole = train_on == TRAIN_ON_ALL && every;
    const enum status status = (whole ? chat_template_render : chat_template_render_turns)(reading->chat_template, arena, &chat, &text, err);
    json_decref(messages);
    if (status != OK)
        return place_failure(err, conversation->where);
    if (!every && text.spans != answers)
        return fail_with(err, BAD_DATA, "%s: the chat template has %zu parts of the assistant for %zu answers, so they cannot be trained one by one",
                         "train all of them (train_on: all_assistant, no \"train\": false), or make one {% generation %} of each answer", conversation->where,
                         text.spans, answers);
    *out = (struct rendering){ .text = text_new(arena), .span = NEW_ARRAY(arena, text.spans + 1, struct span), .last = -1 };
    text_add(&out->text, text.text, text.length);
    choose_spans(conversation, train_on, &text, out);
    return OK;
}
