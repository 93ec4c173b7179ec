/* The rows, and the writing of tokenizer.json from them. */
#include "tokenizer/slow.h"
#include "common/files.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/scan.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 30, MOST_EXTRA_IDS = 10000 };
#define CONVERT "make a tokenizer.json of it with transformers, in the same folder"
#define MARK    "\"\\u2581\""

struct conversion {
    struct text *json;
    const char *path; /* of the vocabulary's file */
    struct slow_beside beside;
    const struct slow_class *class;
    bool legacy, add_prefix_space, adds_bos, adds_eos;
    struct sentencepiece model;   /* of SENTENCEPIECE */
    struct vocabulary vocabulary; /* of the tokenizer.json */
};

enum origin { SENTENCEPIECE, BYTE_PAIRS };

/* What a class of transformers adds to its files. */
struct slow_class {
    const char *name;       /* tokenizer_class; "Fast" may stand behind it */
    const char *model_type; /* of config.json, for folders that name no tokenizer_class */
    enum origin origin;
    /* normalizer, pre_tokenizer and decoder, as members of the object */
    enum status (*write)(struct conversion *conversion, struct error *err);
    bool adds_bos, adds_eos; /* unless add_bos_token, add_eos_token say otherwise */
    const char *bos, *eos;   /* unless the files name others */
    int extra_ids;           /* <extra_id_N> behind the pieces, unless extra_ids says otherwise */
};

/* The normalizer of a SentencePiece model that changes nothing but spaces. transformers leaves a character map out here; so ids would not be
 * those the model was trained with. */
static enum status write_llama(struct conversion *conversion, struct error *err)
{
    struct text *json = conversion->json;
    bool space = conversion->add_prefix_space;
    if (conversion->model.charsmap_size > 0)
        return fail_with(err, BAD_FILE, "%s: a character map, which the conversion of %s leaves out", CONVERT, conversion->path, conversion->class->name);
    if (conversion->legacy)
        text_print(json,
                   "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":" MARK
                   "}]},\"pre_tokenizer\":null,",
                   space ? "{\"type\":\"Prepend\",\"prepend\":" MARK "}," : "");
    else
        text_print(json, "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":" MARK ",\"prepend_scheme\":\"%s\",\"split\":false},",
                   space ? "first" : "never");
    text_print(json,
               "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":" MARK
               "},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}%s]},",
               space ? ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}" : "");
    return OK;
}

static enum status write_t5(struct conversion *conversion, struct error *err)
{
    struct text *json = conversion->json;
    static const char metaspace[] = "{\"type\":\"Metaspace\",\"replacement\":" MARK ",\"prepend_scheme\":\"always\",\"split\":true}";
    (void)err;
    if (conversion->model.charsmap_size > 0) {
        text_add_string(json, "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
        text_add_base64(json, conversion->model.charsmap, conversion->model.charsmap_size);
        text_add_string(json, "\"},");
    }
    text_print(json, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},%s]},\"decoder\":%s,", metaspace, metaspace);
    return OK;
}

#define BYTE_LEVEL(space, regex) "{\"type\":\"ByteLevel\",\"add_prefix_space\":" space ",\"trim_offsets\":true,\"use_regex\":" regex "}"

static enum status write_gpt2(struct conversion *conversion, struct error *err)
{
    (void)err;
    text_print(conversion->json, "\"pre_tokenizer\":" BYTE_LEVEL("%s", "true") ",\"decoder\":" BYTE_LEVEL("false", "true") ",",
               conversion->add_prefix_space ? "true" : "false");
    return OK;
}

static enum status write_qwen2(struct conversion *conversion, struct error *err)
{
    static const char pattern[] =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    struct text *json = conversion->json;
    (void)err;
    text_add_string(
        json, "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":");
    text_add_json(json, pattern, strlen(pattern));
    text_print(json, "},\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL("%s", "false") "]},\"decoder\":" BYTE_LEVEL("false", "false") ",",
               conversion->add_prefix_space ? "true" : "false");
    return OK;
}

static const struct slow_class classes[] = {
    /* clang-format off */
    { "LlamaTokenizer",   "llama",   SENTENCEPIECE, write_llama, true,  false, "<s>",           "</s>",          0   },
    { "LlamaTokenizer",   "mistral", SENTENCEPIECE, write_llama, true,  false, "<s>",           "</s>",          0   },
    { "T5Tokenizer",      "t5",      SENTENCEPIECE, write_t5,    false, true,  "",              "</s>",          100 },
    { "GPT2Tokenizer",    "gpt2",    BYTE_PAIRS,    write_gpt2,  false, false, "<|endoftext|>", "<|endoftext|>", 0   },
    { "CodeGenTokenizer", "codegen", BYTE_PAIRS,    write_gpt2,  false, false, "<|endoftext|>", "<|endoftext|>", 0   },
    { "Qwen2Tokenizer",   "qwen2",   BYTE_PAIRS,    write_qwen2, false, false, "<|endoftext|>", "<|endoftext|>", 0   },
    /* clang-format on */
};

static const char *const file_name[] = { "tokenizer.model", "spiece.model", "vocab.json" };

const char *slow_file(struct arena *arena, const char *folder)
{
    for (size_t i = 0; i < COUNT(file_name); i++) {
        const char *path = path_join(arena, folder, file_name[i]);
        if (file_exists(path))
            return path;
    }
    return NULL;
}

bool slow_is_file(const char *path)
{
    return text_ends(path, ".model") || text_ends(path, "vocab.json");
}

/* The class by tokenizer_class, else by the model_type of config.json. */
static enum status find_class(struct conversion *conversion, struct arena *arena, struct error *err)
{
    const struct slow_beside *beside = &conversion->beside;
    const char *name = NULL, *model_type = NULL, *config_path = path_join(arena, beside->folder, "config.json");
    const enum origin origin = text_ends(conversion->path, ".model") ? SENTENCEPIECE : BYTE_PAIRS;
    json_t *config = NULL;
    TRY(json_get_text(beside->config, beside->config_path, "tokenizer_class", &name, err));
    if (!name && file_exists(config_path))
        TRY(json_read(config_path, &config, err));
    enum status status = json_get_text(config, config_path, "model_type", &model_type, err);
    size_t length = name ? strlen(name) - (text_ends(name, "Fast") ? 4 : 0) : 0;
    for (size_t i = 0; status == OK && !conversion->class && i < COUNT(classes); i++) {
        bool same = name ? strlen(classes[i].name) == length && memcmp(classes[i].name, name, length) == 0 : text_equal(classes[i].model_type, model_type);
        if (same && classes[i].origin == origin)
            conversion->class = &classes[i];
    }
    if (status == OK && !conversion->class && name)
        status = fail_with(err, BAD_FILE, "%s: tokenizer_class '%.100s', whose rules are not known", CONVERT, conversion->path, name);
    else if (status == OK && !conversion->class)
        status = fail_with(err, BAD_FILE, "%s: neither tokenizer_config.json nor config.json say by which rules it is read (tokenizer_class, model_type)",
                           CONVERT, conversion->path);
    json_decref(config);
    return status;
}

static enum status read_options(struct conversion *conversion, struct error *err)
{
    const json_t *config = conversion->beside.config;
    const char *path = conversion->beside.config_path;
    conversion->legacy = true;
    conversion->add_prefix_space = conversion->class->origin == SENTENCEPIECE;
    conversion->adds_bos = conversion->class->adds_bos;
    conversion->adds_eos = conversion->class->adds_eos;
    TRY(json_get_bool(config, path, "legacy", &conversion->legacy, err));
    TRY(json_get_bool(config, path, "add_prefix_space", &conversion->add_prefix_space, err));
    TRY(json_get_bool(config, path, "add_bos_token", &conversion->adds_bos, err));
    return json_get_bool(config, path, "add_eos_token", &conversion->adds_eos, err);
}

/* A score such that scan_score() reads it again: the shortest of the ways to print it that does. */
static void write_score(struct text *json, float score)
{
    char digits[64];
    double again = 0;
    struct arena *arena = json->arena;
    for (int precision = 9; precision <= 19; precision++) {
        struct slice slice = { digits, (size_t)snprintf(digits, sizeof digits, "%.*g", precision, (double)score), 1 };
        struct scanner scanner = scanner_new(arena, "", slice);
        struct error ignored = { 0 };
        if (scan_score(&scanner, &again, &ignored) == OK && again == (double)score)
            break;
    }
    text_add_string(json, digits);
}

/* Pieces, and behind them, from the last to the first, the <extra_id_N> of T5: special tokens of score 0. */
static enum status add_extra_ids(struct conversion *conversion, struct error *err)
{
    struct slow_beside *beside = &conversion->beside;
    int64_t extra = conversion->class->extra_ids;
    if (extra == 0)
        return OK;
    TRY(json_get_int(beside->config, beside->config_path, "extra_ids", 0, MOST_EXTRA_IDS, &extra, err));
    for (int64_t i = extra - 1; i >= 0; i--) {
        const char *content = arena_print(beside->arena, "<extra_id_%" PRId64 ">", i);
        if (vocabulary_find(&conversion->vocabulary, content, (uint32_t)strlen(content)) >= 0)
            return fail_with(err, BAD_FILE, "%s: a piece '%s', and extra_ids is %" PRId64, "set extra_ids to 0 in tokenizer_config.json", conversion->path,
                             content, extra);
        vocabulary_add(&conversion->vocabulary, content, (uint32_t)strlen(content), (int32_t)conversion->vocabulary.count);
        slow_beside_add(beside, (struct slow_token){ .content = content, .id = -1, .special = true });
    }
    return OK;
}

/* The pieces that stand for themselves only as added tokens. */
static void add_control_pieces(struct conversion *conversion)
{
    const struct sentencepiece *model = &conversion->model;
    for (uint32_t id = 0; id < model->pieces.count; id++)
        if (model->kind[id] == PIECE_UNKNOWN || model->kind[id] == PIECE_CONTROL || model->kind[id] == PIECE_USER_DEFINED)
            slow_beside_add(&conversion->beside,
                            (struct slow_token){ .content = model->pieces.entry[id].bytes, .id = -1, .special = model->kind[id] != PIECE_USER_DEFINED });
}

static void write_pieces(struct conversion *conversion)
{
    const struct sentencepiece *model = &conversion->model;
    const struct vocabulary *vocabulary = &conversion->vocabulary;
    struct text *json = conversion->json;
    const bool unigram = model->algorithm == SENTENCEPIECE_UNIGRAM;
    text_print(json, "\"model\":{\"type\":\"%s\",\"byte_fallback\":%s,", unigram ? "Unigram" : "BPE", model->byte_fallback ? "true" : "false");
    if (unigram) {
        text_print(json, "\"unk_id\":%" PRId32 ",", model->unknown);
    } else {
        text_add_string(json, "\"fuse_unk\":true,\"unk_token\":");
        text_add_json(json, model->pieces.entry[model->unknown].bytes, model->pieces.entry[model->unknown].length);
        text_add_string(json, ",\"merges\":");
        sentencepiece_write_merges(model, json);
        text_add_string(json, ",");
    }
    text_add_string(json, unigram ? "\"vocab\":[" : "\"vocab\":{");
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        text_add_string(json, id ? "," : "");
        text_add_string(json, unigram ? "[" : "");
        text_add_json(json, vocabulary->entry[id].bytes, vocabulary->entry[id].length);
        if (unigram) {
            text_add_string(json, ",");
            write_score(json, id < model->pieces.count ? model->score[id] : 0);
            text_add_string(json, "]");
        } else {
            text_print(json, ":%" PRIu32, id);
        }
    }
    text_add_string(json, unigram ? "]}," : "}},");
}

static enum status convert_pieces(struct conversion *conversion, const struct map *map, struct error *err)
{
    struct arena *arena = conversion->beside.arena;
    struct sentencepiece *model = &conversion->model;
    TRY(sentencepiece_read(model, arena, conversion->path, map->bytes, map->size, err));
    if (model->algorithm > SENTENCEPIECE_BPE)
        return fail_with(err, BAD_FILE, "%s: a model of words or characters", "graft reads SentencePiece models of type unigram and BPE", conversion->path);
    if (model->whitespace_as_suffix || !model->escape_whitespaces)
        return fail_with(err, BAD_FILE, "%s: %s", CONVERT, conversion->path,
                         model->whitespace_as_suffix ? "treat_whitespace_as_suffix is set" : "escape_whitespaces is off");
    conversion->vocabulary = model->pieces;
    add_control_pieces(conversion);
    TRY(add_extra_ids(conversion, err));
    TRY(conversion->class->write(conversion, err));
    write_pieces(conversion);
    return OK;
}

/* Lines "left right"; the first may be a remark, "#version: 0.2". */
static void write_merges(struct text *json, const char *bytes, size_t size)
{
    const char *end = bytes + size;
    bool first = true;
    text_add_string(json, "\"merges\":[");
    while (bytes < end) {
        const char *stop = memchr(bytes, '\n', (size_t)(end - bytes)), *next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        while (stop > bytes && (stop[-1] == '\r' || stop[-1] == ' '))
            stop--;
        if (stop > bytes && !((size_t)(stop - bytes) >= 8 && memcmp(bytes, "#version", 8) == 0)) {
            text_add_string(json, first ? "" : ",");
            text_add_json(json, bytes, (size_t)(stop - bytes));
            first = false;
        }
        bytes = next;
    }
    text_add_string(json, "]");
}

static enum status write_vocabulary(struct conversion *conversion, const json_t *vocab, struct error *err)
{
    struct vocabulary *vocabulary = &conversion->vocabulary;
    struct text *json = conversion->json;
    const char *key;
    json_t *value;
    if (!json_is_object(vocab))
        return fail_with(err, BAD_FILE, "%s: not an object", REPAIR, conversion->path);
    vocabulary_init(vocabulary, conversion->beside.arena, (uint32_t)json_object_size(vocab));
    text_add_string(json, "\"vocab\":{");
    json_object_foreach((json_t *)(uintptr_t)vocab, key, value)
    {
        int64_t id = 0;
        TRY(json_get_int(vocab, conversion->path, key, 0, LARGEST_ID, &id, err));
        text_add_string(json, vocabulary->count ? "," : "");
        vocabulary_add(vocabulary, arena_text(vocabulary->arena, key, strlen(key)), (uint32_t)strlen(key), (int32_t)id);
        text_add_json(json, key, strlen(key));
        text_print(json, ":%" PRId64, id);
    }
    text_add_string(json, "},");
    return OK;
}

static enum status convert_byte_pairs(struct conversion *conversion, const struct map *map, struct error *err)
{
    struct arena *arena = conversion->beside.arena;
    json_t *vocab = NULL;
    char *merges;
    size_t size, bad;
    const char *merges_path = path_join(arena, conversion->beside.folder, "merges.txt");
    TRY(file_read(arena, merges_path, LARGEST_FILE, &merges, &size, err));
    if (!utf8_valid(merges, size, &bad))
        return fail_with(err, BAD_FILE, "%s: invalid UTF-8 at byte %zu", "fetch the file again", merges_path, bad);
    TRY(json_parse((const char *)map->bytes, map->size, conversion->path, &vocab, err));
    enum status status = conversion->class->write(conversion, err);
    text_add_string(conversion->json, "\"model\":{\"type\":\"BPE\",");
    if (status == OK)
        status = write_vocabulary(conversion, vocab, err);
    write_merges(conversion->json, merges, size);
    text_add_string(conversion->json, "},");
    json_decref(vocab);
    return status;
}

static void write_added(struct conversion *conversion)
{
    struct text *json = conversion->json;
    text_add_string(json, "\"added_tokens\":[");
    for (size_t i = 0; i < conversion->beside.count; i++) {
        const struct slow_token *token = &conversion->beside.token[i];
        text_add_string(json, i ? ",{\"content\":" : "{\"content\":");
        text_add_json(json, token->content, strlen(token->content));
        if (token->id >= 0)
            text_print(json, ",\"id\":%" PRId64, token->id);
        text_print(json, ",\"single_word\":%s,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":%s,\"special\":%s}", token->single_word ? "true" : "false",
                   token->lstrip ? "true" : "false", token->rstrip ? "true" : "false", token->normalized ? "true" : "false", token->special ? "true" : "false");
    }
    text_add_string(json, "],");
}

/* BOS or EOS for the template: named by tokenizer_config.json, else by the class, and in the vocabulary. */
static enum status find_end(const struct conversion *conversion, const char *key, const char *otherwise, const struct entry **entry, struct error *err)
{
    const struct vocabulary *vocabulary = &conversion->vocabulary;
    const json_t *value = json_object_get(conversion->beside.config, key);
    value = json_is_object(value) ? json_object_get(value, "content") : value;
    const char *name = json_is_string(value) ? json_string_value(value) : otherwise;
    int32_t id = vocabulary_find(vocabulary, name, (uint32_t)strlen(name));
    if (id < 0)
        return fail_with(err, BAD_FILE, "%s: add_%s is on, and the vocabulary lacks '%.100s'", REPAIR, conversion->path, key, name);
    *entry = vocabulary_at(vocabulary, id);
    return OK;
}

/* RobertaProcessing would want both, so it is a template, of both, one or none. */
static enum status write_template(const struct conversion *conversion, struct error *err)
{
    const struct slow_class *class = conversion->class;
    const struct entry *bos = NULL, *eos = NULL;
    struct text *json = conversion->json;
    if (conversion->adds_bos)
        TRY(find_end(conversion, "bos_token", class->bos, &bos, err));
    if (conversion->adds_eos)
        TRY(find_end(conversion, "eos_token", class->eos, &eos, err));
    if (!bos && !eos)
        return OK;
    text_add_string(json, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    text_add_string(json, bos ? "{\"SpecialToken\":{\"id\":\"bos\"}}," : "");
    text_add_string(json, "{\"Sequence\":{\"id\":\"A\"}}");
    text_add_string(json, eos ? ",{\"SpecialToken\":{\"id\":\"eos\"}}" : "");
    text_add_string(json, "],\"pair\":[],\"special_tokens\":{");
    if (bos)
        text_print(json, "\"bos\":{\"ids\":[%" PRId32 "]}%s", bos->id, eos ? "," : "");
    if (eos)
        text_print(json, "\"eos\":{\"ids\":[%" PRId32 "]}", eos->id);
    text_add_string(json, "}},");
    return OK;
}

static enum status convert(struct conversion *conversion, const struct map *map, struct error *err)
{
    struct arena *arena = conversion->beside.arena;
    TRY(slow_beside_read(&conversion->beside, arena, path_folder(arena, conversion->path), err));
    TRY(find_class(conversion, arena, err));
    TRY(read_options(conversion, err));
    text_add_string(conversion->json, "{");
    TRY(conversion->class->origin == SENTENCEPIECE ? convert_pieces(conversion, map, err) : convert_byte_pairs(conversion, map, err));
    write_added(conversion);
    TRY(write_template(conversion, err));
    text_add_string(conversion->json, "\"version\":\"1.0\"}");
    return OK;
}

enum status slow_convert(struct text *json, const char *path, struct error *err)
{
    struct conversion conversion = { .json = json, .path = path };
    struct map map = { 0 };
    TRY(map_open(&map, path, err));
    conversion.beside.arena = json->arena;
    enum status status = map.size <= LARGEST_FILE ? convert(&conversion, &map, err)
                                                  : fail_with(err, BAD_FILE, "%s: %zu bytes", "graft reads tokenizers of up to 1 GiB", path, map.size);
    slow_beside_close(&conversion.beside);
    map_close(&map);
    return status;
}
