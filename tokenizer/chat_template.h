/* The chat template of a model folder: conversations as the text that the model was tuned on, and which of it the assistant said.
 *
 * The template prints every special token itself: encode its text without special tokens.
 */
#ifndef GRAFT_TOKENIZER_CHAT_TEMPLATE_H
#define GRAFT_TOKENIZER_CHAT_TEMPLATE_H

#include "common/arena.h"
#include "common/status.h"

#include <jansson.h>
#include <stdint.h>

struct chat_template;

/* Parses text[0..length) (UTF-8; the language and its limits: jinja.h). `where` names it in errors. No special token is known to it.
 * Errors: BAD_FILE. */
enum status chat_template_parse(struct chat_template **chat_template, struct arena *arena, const char *where, const char *text, size_t length,
                                struct error *err) MUST_USE;
/* The first of chat_template.jinja, `chat_template` of tokenizer_config.json (a text, or a list of {name, template}: "default", and "tool_use" for
 * conversations with tools), `chat_template` of chat_template.json. bos_token, eos_token and the other special tokens are those of
 * tokenizer_config.json, then of special_tokens_map.json. Errors: BAD_MODEL if the folder has no template; BAD_FILE. */
enum status chat_template_read(struct chat_template **chat_template, struct arena *arena, const char *folder, struct error *err) MUST_USE;

struct chat {
    const json_t *messages; /* a list of at least one object; each has a `role` */
    const json_t *tools;    /* a list, or NULL */
    bool add_generation_prompt;
    int64_t now; /* what strftime_now() tells, seconds since 1970, as local time; 0: the template finds it undefined, and those that ask first
                    take a date of their own, so texts do not depend on the day they are made */
};

struct chat_span {
    size_t begin, end; /* bytes of the text, [begin, end) */
};

struct chat_text {
    const char *text; /* NUL-terminated */
    size_t length;
    struct chat_span *span; /* one per turn of the assistant, in order: its content and what ends the turn. chat_template_render(): NULL */
    size_t spans;
};

/* Results live in arena. Thread-safe: the template is not changed. Errors: BAD_DATA, with the place in the template; a refusal by the template
 * itself (raise_exception) has its message. */
enum status chat_template_render(const struct chat_template *chat_template, struct arena *arena, const struct chat *chat, struct chat_text *out,
                                 struct error *err) MUST_USE;

/* The same with spans. A template with {% generation %} blocks says itself what the assistant generates, and its blocks are the spans. For others
 * each turn i of the assistant is found by two further renderings,
 *
 *     before = messages[0..i) with the generation prompt        after = messages[0..i] without
 *
 * and what `after` has behind `before` is what a model that was given `before` has to say: the content and the end of the turn. White space
 * behind an end of turn that is more than white space is left out: no model needs to say it to stop. Where `before` does not begin `after`, or
 * `after` does not begin the text, a turn cannot be told apart like this (templates that take thoughts out of earlier turns, for one), and that is
 * an error with the turn's number. */
enum status chat_template_render_turns(const struct chat_template *chat_template, struct arena *arena, const struct chat *chat, struct chat_text *out,
                                       struct error *err) MUST_USE;

#endif
