/* Two tiny tokenizer.json files, made on the spot.
 *
 * The byte-level one has id 2 + b for byte b and two merges, so ids can be told from text without it; the other one is of Llama's kind (a "▁" in front, one
 * per blank, bytes for what it does not know).
 */
#ifndef GRAFT_TESTS_DATASETS_TINY_TOKENIZERS_H
#define GRAFT_TESTS_DATASETS_TINY_TOKENIZERS_H

#include "common/json.h"

enum { BOS, EOS, BYTE, BLANK_B = BYTE + 256, AB, BYTE_VOCAB };

static inline void add_byte_tokens(struct text *json)
{
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; b++) {
        bool itself = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        struct text token = text_new(json->arena);
        text_add_code(&token, itself ? b : next);
        next += !itself;
        text_add_json(json, token.bytes, token.length);
        text_print(json, ": %u, ", BYTE + b);
    }
}

/* ending: also </s> behind every text, as some tokenizers have it. */
static inline const char *byte_tokenizer_json(struct arena *arena, bool ending)
{
    struct text json = text_new(arena);
    text_add_string(&json, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null, \"added_tokens\": [");
    for (int id = 0; id < 2; id++)
        text_print(
            &json,
            "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}",
            id ? ", " : "", id, id ? "</s>" : "<s>");
    text_add_string(&json, "], \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
                           "\"use_regex\": true}, \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", "
                           "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}");
    if (ending)
        text_add_string(&json, ", {\"SpecialToken\": {\"id\": \"</s>\", \"type_id\": 0}}");
    text_add_string(&json,
                    "], \"pair\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": "
                    "{\"<s>\": {\"id\": \"<s>\", \"ids\": [0], \"tokens\": [\"<s>\"]}, \"</s>\": {\"id\": \"</s>\", \"ids\": [1], \"tokens\": [\"</s>\"]}}}, "
                    "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, \"use_regex\": true}, "
                    "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, "
                    "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false, \"vocab\": {\"<s>\": 0, \"</s>\": 1, ");
    add_byte_tokens(&json);
    text_print(&json, "\"\u0120b\": %d, \"ab\": %d}, \"merges\": [\"\u0120 b\", \"a b\"]}}", BLANK_B, AB);
    return json.bytes;
}

enum { L_UNK, L_BOS, L_EOS, L_BYTE, L_BLANK = L_BYTE + 256, L_FIRST_LETTER, L_BLANK_B = L_FIRST_LETTER + 27, L_VOCAB };

/* Letters a to z and ':', "▁" and "▁b"; everything else is bytes. */
static inline const char *llama_tokenizer_json(struct arena *arena)
{
    struct text json = text_new(arena);
    text_add_string(&json, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null, \"added_tokens\": [");
    for (int id = 0; id < 3; id++)
        text_print(
            &json,
            "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}",
            id ? ", " : "", id,
            id == 2 ? "</s>"
            : id    ? "<s>"
                    : "<unk>");
    text_add_string(&json,
                    "], \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\u2581\"}, {\"type\": \"Replace\", "
                    "\"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"}]}, \"pre_tokenizer\": null, \"post_processor\": {\"type\": "
                    "\"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": "
                    "0}}], \"pair\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": "
                    "{\"<s>\": {\"id\": \"<s>\", \"ids\": [1], \"tokens\": [\"<s>\"]}}}, \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": "
                    "\"Replace\", \"pattern\": {\"String\": \"\u2581\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}, {\"type\": "
                    "\"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}, \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": "
                    "\"<unk>\", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": true, \"byte_fallback\": true, "
                    "\"vocab\": {\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, ");
    for (int b = 0; b < 256; b++)
        text_print(&json, "\"<0x%02X>\": %d, ", b, L_BYTE + b);
    text_print(&json, "\"\u2581\": %d, ", L_BLANK);
    for (int i = 0; i < 27; i++)
        text_print(&json, "\"%c\": %d, ", i < 26 ? 'a' + i : ':', L_FIRST_LETTER + i);
    text_print(&json, "\"\u2581b\": %d}, \"merges\": [\"\u2581 b\"]}}", L_BLANK_B);
    return json.bytes;
}

#endif
