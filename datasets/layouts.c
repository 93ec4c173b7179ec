/* Layouts: what stands around the turns of a conversation, as rows of the strings that published chat models were trained with, and the one loop that fills
 * them.
 *
 * Sources: the models' own chat templates as published with them (llama2-chat, llama3, zephyr, chatml: Hugging Face tokenizer_config.json of those models;
 * falcon-instruct: its collapsed line breaks are those of FastChat), FastChat's conversation.py (vicuna v1.1, mpt-chat), Open-Assistant's model_training
 * (openassistant), the model card of starchat-beta, QLoRA's openassistant-guanaco and baize's preprocess.py.
 */
#include "datasets/format.h"

#include <string.h>

#define MPT(words)                                                                                                                                             \
    .default_system = (words), .begin = "", .system = CHATML_TURN("system"), .user = CHATML_TURN("user"), .head = CHATML_HEAD("assistant"),                    \
    .assistant = "{text}<|im_end|>", .tail = "\n", .markers = "<|im_start|> <|im_end|>"
#define CHATML_HEAD(role) "<|im_start|>" role "\n"
#define CHATML_TURN(role) CHATML_HEAD(role) "{text}<|im_end|>\n"
#define LLAMA3_HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

const struct layout bare_layout = {
    .name = "", .begin = "", .system = "{text}", .user = "{text}", .head = "", .assistant = "{text}", .tail = "", .ends = true
};

static const struct layout rows[] = {
    { .name = "vicuna",
      .default_system = "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to "
                        "the user's questions.",
      .begin = "{bos}",
      .system = "{text} ",
      .user = "USER: {text} ",
      .head = "ASSISTANT:",
      .assistant = " {text}{eos}",
      .tail = "" },
    { .name = "llama2-chat",
      .begin = "",
      .system = "<<SYS>>\n{text}\n<</SYS>>\n\n",
      .user = "{bos}[INST] {text} [/INST]",
      .head = "",
      .assistant = " {text} {eos}",
      .tail = "",
      .trims = true,
      .system_in_user = true },
    { .name = "llama3",
      .begin = "{bos}",
      .system = LLAMA3_HEAD("system") "{text}<|eot_id|>",
      .user = LLAMA3_HEAD("user") "{text}<|eot_id|>",
      .head = LLAMA3_HEAD("assistant"),
      .assistant = "{text}<|eot_id|>",
      .tail = "",
      .markers = "<|start_header_id|> <|end_header_id|> <|eot_id|>",
      .trims = true },
    { .name = "chatml", MPT(NULL) },
    { .name = "zephyr",
      .begin = "",
      .system = "<|system|>\n{text}{eos}\n",
      .user = "<|user|>\n{text}{eos}\n",
      .head = "<|assistant|>\n",
      .assistant = "{text}{eos}",
      .tail = "\n",
      .trims = true },
    { .name = "starchat",
      .default_system = "",
      .begin = "",
      .system = "<|system|>\n{text}<|end|>\n",
      .user = "<|user|>\n{text}<|end|>\n",
      .head = "<|assistant|>\n",
      .assistant = "{text}<|end|>",
      .tail = "\n",
      .markers = "<|system|> <|user|> <|assistant|> <|end|>" },
    { .name = "openassistant",
      .begin = "",
      .system = "<|system|>{text}{eos}",
      .user = "<|prompter|>{text}{eos}",
      .head = "<|assistant|>",
      .assistant = "{text}{eos}",
      .tail = "",
      .markers = "<|prompter|> <|assistant|>" },
    { .name = "falcon-instruct",
      .begin = "",
      .system = "{text}",
      .user = "\n\nUser: {text}",
      .head = "\n\nAssistant:",
      .assistant = " {text}",
      .tail = "",
      .stop = "\n\nUser",
      .trims = true,
      .collapses = true,
      .ends = true },
    { .name = "mpt-chat",
      MPT("- You are a helpful assistant chatbot trained by MosaicML.\n- You answer questions.\n- You are excited to be able to help the user, but will refuse "
          "to do anything that could be considered harmful to the user.\n- You are more than just an information source, you are also able to write poetry, "
          "short stories, and make jokes.") },
    { .name = "mpt-30b-chat", MPT("A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers.") },
    { .name = "guanaco",
      .begin = "",
      .system = "{text}\n",
      .user = "### Human: {text}",
      .head = "### Assistant:",
      .assistant = " {text}",
      .tail = "",
      .stop = "### Human",
      .ends = true },
    { .name = "baize",
      .default_system = "The conversation between human and AI assistant.",
      .begin = "",
      .system = "{text}\n",
      .user = "[|Human|] {text}\n",
      .head = "[|AI|]",
      .assistant = " {text}\n",
      .tail = "",
      .stop = "[|Human|]",
      .ends = true },
};
static const char *const names[] = { "vicuna",          "llama2-chat", "llama3",       "chatml",  "zephyr", "starchat", "openassistant",
                                     "falcon-instruct", "mpt-chat",    "mpt-30b-chat", "guanaco", "baize",  NULL };
_Static_assert(COUNT(names) == COUNT(rows) + 1, "one name per row");

const char *const *layout_names(void)
{
    return names;
}

const struct layout *layout_find(const char *name)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if (text_equal(rows[i].name, name))
            return &rows[i];
    return NULL;
}

struct filling {
    const char *bos, *eos;
    bool first_bos; /* whether a {bos} at the very beginning is written */
};

/* Appends a pattern of a layout. Returns where in *out the turn's text stands. */
static struct span fill(struct text *out, const char *pattern, const char *text, size_t length, const struct filling *with)
{
    struct span place = { out->length, out->length };
    for (const char *c = pattern; *c;) {
        size_t plain = strcspn(c, "{");
        text_add(out, c, plain);
        c += plain;
        if (text_starts(c, "{text}")) {
            place.begin = out->length;
            text_add(out, text, length);
            place.end = out->length;
        } else if (text_starts(c, "{eos}")) {
            text_add_string(out, with->eos);
        } else if (text_starts(c, "{bos}") && (out->length > 0 || with->first_bos)) {
            text_add_string(out, with->bos);
        }
        c = *c ? strchr(c, '}') + 1 : c;
    }
    return place;
}

/* Replaces every `old`, from left to right, in place; `new` is no longer. */
static size_t shorten(char *text, size_t length, const char *old, const char *new)
{
    const size_t old_length = strlen(old), new_length = strlen(new);
    size_t kept = 0;
    for (size_t i = 0; i < length;) {
        bool found = length - i >= old_length && memcmp(text + i, old, old_length) == 0;
        memmove(text + kept, found ? new : text + i, found ? new_length : 1);
        kept += found ? new_length : 1;
        i += found ? old_length : 1;
    }
    return kept;
}

/* A turn's text as the layout wants it. */
static struct turn fitted(const struct layout *layout, struct turn turn, struct arena *arena)
{
    if (layout->collapses) {
        char *text = arena_text(arena, turn.text, turn.length);
        turn.length = shorten(text, shorten(text, turn.length, "\r\n", "\n"), "\n\n", "\n");
        turn.text = text;
    }
    for (; layout->trims && turn.length > 0 && strchr(" \t\r\n\f\v", turn.text[0]); turn.length--)
        turn.text++;
    while (layout->trims && turn.length > 0 && strchr(" \t\r\n\f\v", turn.text[turn.length - 1]))
        turn.length--;
    return turn;
}

bool turn_is_trained(const struct conversation *conversation, int i, int train_on)
{
    const struct turn *turn = &conversation->turn[i];
    if (turn->training != AS_SOURCE_SAYS)
        return turn->training == TRAINED;
    bool last = true;
    for (int j = i + 1; j < conversation->turns && train_on == TRAIN_ON_LAST_ASSISTANT; j++)
        last &= conversation->turn[j].role != ASSISTANT;
    return train_on == TRAIN_ON_ALL || (turn->role == ASSISTANT && last);
}

void rendering_add_span(struct rendering *out, size_t begin, size_t end)
{
    if (out->spans > 0 && out->span[out->spans - 1].end == begin)
        out->span[out->spans - 1].end = end;
    else
        out->span[out->spans++] = (struct span){ begin, end };
}

/* A turn; returns which bytes of it are trained if it is: of an answer not its head and tail, unless everything is trained. */
static struct span add_turn(const struct layout *layout, struct turn turn, const struct turn *system, const struct filling *with, bool whole,
                            struct arena *arena, struct text *out)
{
    struct span span = { out->length, 0 };
    if (turn.role == ASSISTANT) {
        fill(out, layout->head, "", 0, with);
        span.begin = whole ? span.begin : out->length;
        fill(out, layout->assistant, turn.text, turn.length, with);
        span.end = out->length;
        fill(out, layout->tail, "", 0, with);
        span.end = whole ? out->length : span.end;
        return span;
    }
    if (turn.role == USER && system) {
        struct text both = text_new(arena);
        fill(&both, layout->system, system->text, system->length, with);
        text_add(&both, turn.text, turn.length);
        turn = fitted(layout, (struct turn){ .role = USER, .text = both.bytes, .length = both.length }, arena);
    } else {
        turn = fitted(layout, turn, arena);
    }
    fill(out, turn.role == SYSTEM ? layout->system : layout->user, turn.text, turn.length, with);
    span.end = out->length;
    return span;
}

void layout_render(const struct layout *layout, const struct conversation *conversation, int train_on, bool bos, const char *bos_text, const char *eos_text,
                   struct arena *arena, struct rendering *out)
{
    const struct filling with = { bos_text, eos_text, bos };
    const struct turn *turn = conversation->turn;
    struct turn system = { .role = SYSTEM };
    bool stopping = false;
    *out = (struct rendering){ .text = text_new(arena), .span = NEW_ARRAY(arena, conversation->turns + 2, struct span), .last = -1 };
    text_add(&out->text, "", 0);
    fill(&out->text, layout->begin, "", 0, &with);
    if (layout->default_system && (conversation->turns == 0 || turn[0].role != SYSTEM)) {
        system.text = layout->default_system;
        system.length = strlen(system.text);
        add_turn(layout, system, NULL, &with, false, arena, &out->text);
    }
    if (train_on == TRAIN_ON_ALL && out->text.length > 0)
        rendering_add_span(out, 0, out->text.length);
    for (int i = 0; i < conversation->turns; i++) {
        bool folded = layout->system_in_user && i > 0 && turn[i].role == USER && turn[i - 1].role == SYSTEM;
        if (layout->system_in_user && turn[i].role == SYSTEM) {
            system = fitted(layout, turn[i], arena);
            continue;
        }
        struct turn one = turn[i].role == ASSISTANT ? fitted(layout, turn[i], arena) : turn[i];
        bool whole = train_on == TRAIN_ON_ALL && one.training == AS_SOURCE_SAYS;
        struct span span = add_turn(layout, one, folded ? &system : NULL, &with, whole, arena, &out->text);
        if (stopping && one.role == USER)
            rendering_add_span(out, span.begin, span.begin + strlen(layout->stop));
        bool trained = turn_is_trained(conversation, i, train_on);
        stopping = trained && one.role == ASSISTANT && layout->stop && train_on != TRAIN_ON_ALL;
        if (trained) {
            rendering_add_span(out, span.begin, span.end);
            out->last = i;
        }
    }
}
