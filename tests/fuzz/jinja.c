/* A chat template and a conversation: the template, then {"messages", "tools", "add_generation_prompt"}. Spans lie in the text, in order. */
#include "common/json.h"
#include "tests/fuzz/fuzz_file.h"
#include "tokenizer/chat_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct part rest = { (const char *)bytes, size };
    struct part template = fuzz_next(&rest), conversation = fuzz_next(&rest);
    struct arena *arena = arena_create(NULL);
    struct error err = { 0 };
    struct chat_template *chat_template;
    struct chat_text text;
    json_t *json = NULL;
    fuzz_check(chat_template_parse(&chat_template, arena, "input", template.bytes ? template.bytes : "", template.size, &err), &err);
    if (chat_template && conversation.bytes && json_parse(conversation.bytes, conversation.size, "conversation", &json, &err) == OK) {
        const struct chat chat = { .messages = json_object_get(json, "messages"),
                                   .tools = json_object_get(json, "tools"),
                                   .add_generation_prompt = json_is_true(json_object_get(json, "add_generation_prompt")),
                                   .now = 1700000000 };
        const enum status status = chat_template_render_turns(chat_template, arena, &chat, &text, &err);
        fuzz_check(status, &err);
        CHECK(status == OK || status == BAD_DATA);
        for (size_t i = 0; i < text.spans; i++)
            CHECK((i == 0 || text.span[i].begin >= text.span[i - 1].end) && text.span[i].begin <= text.span[i].end && text.span[i].end <= text.length);
        fuzz_accepted += status == OK;
    }
    json_decref(json);
    arena_destroy(arena);
    return 0;
}
