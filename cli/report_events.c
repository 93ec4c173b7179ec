/* graft report --tensorboard: each run's metrics.jsonl as a file of events, in a folder of its own.
 *
 * A file is records: their length (8 bytes), its checksum, the bytes, theirs; all little-endian. A record is one protobuf message, an Event: the first says the
 * version, each further one holds the numbers of one line under their keys. Checksums are CRC-32C, masked.
 *
 * Sources: tensorflow/core/lib/io/record_writer.h (records), lib/hash/crc32c.h (the mask), util/event.proto and framework/summary.proto (fields); RFC 3720,
 * appendix B.4 (the polynomial).
 */
#include "cli/report.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

/* Fields as they stand in front of their values: number << 3 | kind, where the kind is 0 for an integer, 1 for 8 bytes, 2 for bytes with a length, 5 for 4. */
enum { EVENT_TIME = 1 << 3 | 1, EVENT_STEP = 2 << 3, EVENT_VERSION = 3 << 3 | 2, EVENT_SUMMARY = 5 << 3 | 2 };
enum { SUMMARY_VALUE = 1 << 3 | 2, VALUE_TAG = 1 << 3 | 2, VALUE_NUMBER = 2 << 3 | 5 };

static const char file_name[] = "events.out.tfevents.graft"; /* TensorBoard looks for "tfevents" */

struct event_writer {
    struct output *out;
    struct text event, summary, value;
    uint32_t table[256];
    double time; /* when the run's file was last written: its lines have no times of their own */
};

static void fill_table(uint32_t table[256])
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; bit++)
            rest = rest >> 1 ^ (rest & 1 ? 0x82f63b78u : 0);
        table[byte] = rest;
    }
}

static uint32_t masked_checksum(const struct event_writer *w, const char *bytes, size_t size)
{
    uint32_t crc = ~(uint32_t)0;
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ w->table[(crc ^ (uint8_t)bytes[i]) & 255];
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void add_fixed(struct text *text, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        text_add(text, &(char){ (char)(uint8_t)(value >> 8 * i) }, 1);
}

static void add_integer(struct text *text, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        add_fixed(text, value | 128, 1);
    add_fixed(text, value, 1);
}

static void add_field(struct text *text, int field, const char *bytes, size_t size)
{
    add_integer(text, (uint64_t)field);
    add_integer(text, size);
    text_add(text, bytes, size);
}

static void begin_event(struct event_writer *w)
{
    uint64_t time;
    memcpy(&time, &w->time, sizeof time);
    text_clear(&w->event);
    add_integer(&w->event, EVENT_TIME);
    add_fixed(&w->event, time, sizeof time);
}

static void write_framed(struct event_writer *w, const char *bytes, size_t size)
{
    const uint32_t crc = masked_checksum(w, bytes, size);
    output_write(w->out, bytes, size);
    for (int i = 0; i < 4; i++)
        output_write(w->out, &(uint8_t){ (uint8_t)(crc >> 8 * i) }, 1);
}

static void write_event(struct event_writer *w)
{
    char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (char)(uint8_t)((uint64_t)w->event.length >> 8 * i);
    write_framed(w, length, sizeof length);
    write_framed(w, w->event.bytes, w->event.length);
}

/* Values are float32 there; what is beyond its range is infinite. */
static void add_value(struct event_writer *w, const char *key, double number)
{
    const float single = fabs(number) > (double)FLT_MAX ? copysignf(INFINITY, (float)(number > 0) - 0.5f) : (float)number;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    text_clear(&w->value);
    add_field(&w->value, VALUE_TAG, key, strlen(key));
    add_integer(&w->value, VALUE_NUMBER);
    add_fixed(&w->value, bits, sizeof bits);
    add_field(&w->summary, SUMMARY_VALUE, w->value.bytes, w->value.length);
}

static void write_events(struct event_writer *w, const struct history *history)
{
    static const char version[] = "brain.Event:2";
    begin_event(w);
    add_field(&w->event, EVENT_VERSION, version, sizeof version - 1);
    write_event(w);
    for (int64_t line = 0; line < history->lines; line++) {
        text_clear(&w->summary);
        for (int c = 0; c < history->columns; c++) {
            const struct column *column = &history->column[c];
            if (!isnan(column->cell[line].number) && strcmp(column->key, "step") != 0)
                add_value(w, column->key, column->cell[line].number);
        }
        if (w->summary.length == 0)
            continue;
        begin_event(w);
        add_integer(&w->event, EVENT_STEP);
        add_integer(&w->event, (uint64_t)history->step[line]);
        add_field(&w->event, EVENT_SUMMARY, w->summary.bytes, w->summary.length);
        write_event(w);
    }
}

/* A run's file below `folder`: in a folder called as the run. Where that is a path, its parts but "", "." and "..": nothing is written outside. */
static const char *event_path(struct arena *arena, const char *folder, const char *name)
{
    const char *path = folder;
    for (const char *end; *name; name = end + (*end == '/')) {
        end = name + strcspn(name, "/");
        const char *part = arena_text(arena, name, (size_t)(end - name));
        if (*part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0)
            path = path_join(arena, path, part);
    }
    return path_join(arena, path, file_name);
}

enum status report_events_check(struct report *report, const char *folder, bool force, struct error *err)
{
    struct stat about;
    for (int r = 0; r < report->runs; r++) {
        struct shown_run *run = &report->run[r];
        run->events = event_path(report->arena, folder, run->name);
        const bool exists = stat(run->events, &about) == 0;
        if (exists && !S_ISREG(about.st_mode))
            return fail_with(err, EXISTS, "%s: is no regular file", "choose another folder", run->events);
        if (exists && !force)
            return fail_with(err, EXISTS, "%s: already exists", "choose another folder or give --force", run->events);
        for (int earlier = 0; earlier < r; earlier++)
            if (text_equal(run->events, report->run[earlier].events))
                return fail_with(err, BAD_OPTION, "%s: the runs %s and %s would both go there",
                                 "give each run once, or write them one by one into folders of their own", run->events, report->run[earlier].history.folder,
                                 run->history.folder);
    }
    return OK;
}

static enum status write_run(const struct report *report, struct event_writer *w, const struct shown_run *run, struct error *err)
{
    struct stat about;
    TRY(folder_make(path_folder(report->arena, run->events), err));
    TRY(output_open(w->out, report->arena, run->events, true, err));
    w->time = stat(path_join(report->arena, run->history.folder, "metrics.jsonl"), &about) == 0 ? (double)about.st_mtime : 0;
    write_events(w, &run->history);
    return output_flush(w->out);
}

enum status report_events(const struct report *report, struct error *err)
{
    struct output *out = NEW_ARRAY(report->arena, report->runs, struct output);
    struct event_writer writer = { .event = text_new(report->arena), .summary = text_new(report->arena), .value = text_new(report->arena) };
    enum status status = OK;
    fill_table(writer.table);
    for (int r = 0; r < report->runs && status == OK; r++) {
        writer.out = &out[r];
        status = write_run(report, &writer, &report->run[r], err);
    }
    if (status == OK)
        return output_commit_all(out, report->runs);
    for (int r = 0; r < report->runs; r++)
        output_discard(&out[r]);
    return status;
}
