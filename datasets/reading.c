/* From records to conversations: what every format's reader uses.
 *
 * Conversations gather in a block and are encoded by all threads; then the block's memory is given back. So a file may be larger than memory. No conversation
 * depends on another, and what came of them is taken in the order of the file: the number of threads changes nothing.
 */
#include "datasets/format.h"
#include "datasets/token_cache.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK_CONVERSATIONS = 512, BLOCK_BYTES = 8 << 20, AT_ONCE = 128, PARSED_BYTES = 1 << 20 };

struct turn turn_of(enum turn_role role, const char *text, size_t length)
{
    return (struct turn){ .role = role, .text = text, .length = length, .blank = strspn(text, " \t\r\n") >= length };
}

struct turn turn_new(struct reading *reading, enum turn_role role, const char *text, size_t length)
{
    return turn_of(role, arena_text(reading->block, text, length), length);
}

void reading_add(struct reading *reading, struct conversation conversation)
{
    const int count = reading->conversations;
    if (count % BLOCK_CONVERSATIONS == 0)
        reading->conversation = arena_grow(reading->block, reading->conversation, (size_t)count, (size_t)count + BLOCK_CONVERSATIONS, sizeof conversation);
    reading->conversation[reading->conversations++] = conversation;
    reading->counts->conversations++;
}

void reading_add_turns(struct reading *reading, struct turn *turn, int turns, const char *where, int64_t group)
{
    static const char *const role[] = { [SYSTEM] = "system", [USER] = "user", [ASSISTANT] = "assistant" };
    while (turns > 0 && turn[turns - 1].role != ASSISTANT && turn[turns - 1].training != TRAINED)
        turns--;
    const int first = turns > 0 && turn[0].role == SYSTEM;
    for (int i = first; i < turns; i++) {
        const enum turn_role wanted = (i - first) % 2 ? ASSISTANT : USER;
        if (turn[i].role == wanted)
            continue;
        reading->counts->conversations++;
        reading->counts->dropped++;
        finding_add(reading->arena, reading->dataset, reading->counts, OUT_OF_TURN, where, "turn %d is the %s's, where the %s's belongs", i + 1,
                    role[turn[i].role], role[wanted]);
        return;
    }
    if (turns == first) {
        reading->counts->conversations++;
        reading->counts->dropped++;
        finding_add(reading->arena, reading->dataset, reading->counts, NOTHING_TRAINED, where, "no answer in the conversation");
        return;
    }
    reading_add(reading, (struct conversation){ .where = where, .group = group, .turn = turn, .turns = turns });
}

void read_fields(struct reading *reading, const struct record *record, const char *where)
{
    const struct parsed_template *parsed = reading->parsed;
    const bool without = parsed->context >= 0 && record->value[parsed->context].length == 0;
    struct text prompt = text_new(reading->block), response = text_new(reading->block);
    pattern_fill(without ? &parsed->prompt_without_context : &parsed->prompt, record, &prompt);
    const bool given = pattern_fill(&parsed->response, record, &response);
    struct turn *turn = NEW_ARRAY(reading->block, 2, struct turn);
    turn[0] = (struct turn){ .role = USER, .text = prompt.bytes, .length = prompt.length };
    turn[1] = (struct turn){ .role = ASSISTANT, .text = response.bytes, .length = response.length, .blank = !given };
    reading_add(reading, (struct conversation){ .where = where, .group = reading->groups++, .turn = turn, .turns = 2 });
}

/* Moves a sequence out of the block, into memory or the cache; labels right behind ids, so that both are hashed at once. */
static void settle(struct reading *reading, const struct sequence *from)
{
    struct dataset *dataset = reading->dataset;
    struct arena *arena = reading->arena;
    const int64_t count = from->count;
    if (dataset->count == reading->room) {
        reading->room = reading->room ? 2 * reading->room : 256;
        dataset->sequence = arena_grow(arena, dataset->sequence, (size_t)dataset->count, (size_t)reading->room, sizeof *dataset->sequence);
    }
    struct sequence *sequence = &dataset->sequence[dataset->count++];
    reading->counts->count++;
    *sequence = *from;
    if (reading->cache) {
        token_cache_add(reading->cache, from);
        return;
    }
    sequence->ids = NEW_ARRAY(arena, 2 * count, int32_t);
    sequence->labels = sequence->ids + count;
    for (int64_t t = 0; t < count; t++) {
        sequence->ids[t] = from->ids[t];
        sequence->labels[t] = from->labels[t];
    }
    if (from->prompt) {
        sequence->prompt = arena_text(arena, from->prompt, strlen(from->prompt));
        sequence->response = arena_text(arena, from->response, strlen(from->response));
    }
}

/* Takes what a conversation became, in the order of the file. */
static void take(struct reading *reading, const struct encoded *encoded)
{
    for (int i = 0; i < encoded->notes; i++)
        finding_add(reading->arena, reading->dataset, reading->counts, encoded->note[i].kind, encoded->sequence.where, "%s", encoded->note[i].detail);
    reading->counts->cut += encoded->cut && encoded->kept;
    reading->counts->dropped += !encoded->kept;
    if (encoded->kept)
        settle(reading, &encoded->sequence);
}

/* One of the conversations that are encoded at once. */
struct one {
    struct arena *arena;
    struct encoded encoded;
    enum status status;
    struct error err;
};

/* All threads encode; what comes of it is taken in order, up to the first failure. */
static enum status encode_some(struct reading *reading, struct one *some, const struct conversation *conversation, int count, struct error *err)
{
    enum status status = OK;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count; i++) {
        some[i] = (struct one){ .arena = arena_create_like(reading->arena) };
        some[i].status = encode(reading, some[i].arena, &conversation[i], &some[i].encoded, &some[i].err);
    }
    for (int i = 0; i < count; i++) {
        if (status == OK && (status = some[i].status) != OK)
            *err = some[i].err;
        if (status == OK)
            take(reading, &some[i].encoded);
        arena_destroy(some[i].arena);
    }
    return status == OK && reading->cache ? token_cache_flush(reading->cache, false, err) : status;
}

enum status reading_encode(struct reading *reading, bool all, struct error *err)
{
    if (!all && reading->conversations < BLOCK_CONVERSATIONS && arena_used(reading->block) < BLOCK_BYTES)
        return OK;
    struct one *some = NEW_ARRAY(reading->block, AT_ONCE, struct one);
    for (int i = 0; i < reading->conversations; i += AT_ONCE)
        TRY(encode_some(reading, some, reading->conversation + i, reading->conversations - i < AT_ONCE ? reading->conversations - i : AT_ONCE, err));
    arena_destroy(reading->block);
    reading->block = arena_create_like(reading->arena);
    reading->conversation = NULL;
    reading->conversations = 0;
    return OK;
}

enum status read_record(struct reading *reading, const json_t *value, int64_t line, struct error *err)
{
    const char *where = arena_print(reading->arena, "%s:%" PRId64, reading->source->path, line);
    struct record record;
    reading->counts->records++;
    TRY(record_check(reading, value, where, err));
    if (reading->format->read)
        return reading->format->read(reading, value, where, err);
    TRY(record_read(reading->format, value, where, &record, err));
    read_fields(reading, &record, where);
    return OK;
}

/* One of the records that are parsed at once. */
struct parsed {
    struct json_record record;
    json_t *value;
    enum status status;
    struct error err;
};

/* Finds the next records and lets all threads parse them; returns how many. *over: they are the last, or *status says why no more can be found. */
static int parse_some(const struct reading *reading, struct json_lines *lines, struct parsed *some, bool *over, enum status *status, struct error *err)
{
    const int64_t limit = reading->source->limit, before = reading->counts->records;
    size_t bytes = 0;
    int count = 0;
    while (!*over && count < AT_ONCE && bytes < PARSED_BYTES) {
        struct parsed *one = &some[count];
        *one = (struct parsed){ 0 };
        *over = limit > 0 && before + count >= limit;
        if (*over)
            break;
        *status = json_lines_find(lines, &one->record, err);
        *over = *status != OK || !one->record.bytes;
        bytes += one->record.size;
        count += !*over;
    }
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < count; i++)
        some[i].status = json_record_parse(&some[i].record, &some[i].value, &some[i].err);
    return count;
}

static enum status read_all(struct reading *reading, struct json_lines *lines, struct parsed *some, struct error *err)
{
    enum status status = OK, found = OK;
    struct error not_found = { 0 };
    bool over = false;
    while (status == OK && !over) {
        const int count = parse_some(reading, lines, some, &over, &found, &not_found);
        for (int i = 0; i < count; i++) {
            if (status == OK && (status = some[i].status) != OK)
                *err = some[i].err;
            if (status == OK)
                status = read_record(reading, some[i].value, some[i].record.line, err);
            json_decref(some[i].value);
            if (status == OK)
                status = reading_encode(reading, false, err);
        }
    }
    if (status == OK && (status = found) != OK)
        *err = not_found;
    return status;
}

enum status read_records(struct reading *reading, struct error *err)
{
    struct json_lines *lines = NULL;
    struct arena *scratch = arena_create_like(reading->arena);
    enum status status = json_lines_open(&lines, reading->arena, reading->source->path, err);
    if (status == OK)
        status = read_all(reading, lines, NEW_ARRAY(scratch, AT_ONCE, struct parsed), err);
    json_lines_close(lines);
    arena_destroy(scratch);
    return status;
}
