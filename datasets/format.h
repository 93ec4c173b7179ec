/* How the files of this room work together; everybody else includes dataset.h.
 *
 * A format says which fields a record has. Each field also has a common name, the same in all formats (alpaca's `input` is `context`), so any template works
 * with any format that has its fields. A template is parsed once per source against its format, then filled once per record.
 */
#ifndef GRAFT_DATASETS_FORMAT_H
#define GRAFT_DATASETS_FORMAT_H

#include "datasets/dataset.h"

enum { MAX_FIELDS = 6 };

enum field_role { REQUIRED, OPTIONAL, IGNORED };

/* Fields with equal common names are alternatives: a record gives one of them. An IGNORED field may hold anything and has no common name. */
struct field {
    const char *name, *common;
    enum field_role role;
};

/* What reads one source. */
struct reading {
    struct dataset *dataset;
    struct arena *arena;   /* for what stays */
    struct arena *scratch; /* for one record; renewed between records when it has grown */
    const struct source *source;
    const struct dataset_format *format;
    const struct parsed_template *parsed; /* NULL for formats with own ids */
    const struct data_settings *settings;
    const struct tokenizer *tokenizer;
    int32_t eos;
    int64_t vocab;
    struct text rendered;
};

struct dataset_format {
    const char *name;
    struct field field[MAX_FIELDS]; /* the rest has no name */
    const char *template_name;      /* used when the source names none; NULL: the format takes no template */
    /* Only for formats whose records are ids: fills ids, labels and count of *sequence (in reading->scratch), labels[t] aligned with ids[t]. */
    enum status (*read_ids)(struct reading *reading, const json_t *object, struct sequence *sequence, struct error *err);
};
extern const struct dataset_format format_dolly, format_alpaca, format_prompt_completion, format_text, format_tokens;

/* NULL if there is none of that name. */
const struct dataset_format *format_find(const char *name);

/* The texts of a record, by index of field; alternatives stand at the first of them. Borrowed from the JSON object; optional fields may be empty. */
struct record {
    struct {
        const char *bytes;
        size_t length;
    } value[MAX_FIELDS];
};
/* Index of the first field with that common name or own name, if a template may use it; -1: none. */
int format_field(const struct dataset_format *format, const char *name);
/* The value must be an object without fields unknown to the format; those are counted. BAD_DATA if it is no object. */
enum status record_check(struct reading *reading, const json_t *value, const char *where, struct error *err) MUST_USE;
/* Fills *record from a checked object. BAD_DATA naming the field that is missing, given twice or no text. */
enum status record_read(const struct dataset_format *format, const json_t *object, const char *where, struct record *record, struct error *err) MUST_USE;

/* Text with fields: literal pieces and indices of fields, in turn. */
struct part {
    const char *literal; /* NULL: the field */
    size_t length;
    int field;
};
struct pattern {
    struct part *part;
    int parts;
};
struct parsed_template {
    struct pattern prompt, prompt_without_context, response;
    int context; /* the field whose emptiness chooses prompt_without_context; -1: never */
};
/* The template of a source, parsed for its format. BAD_CONFIG, beginning with `where_prompt` or `where_response` (for a template by name: source->where). */
enum status template_parse(struct parsed_template *out, struct arena *arena, const struct dataset_format *format, const struct source *source,
                           const char *where_prompt, const char *where_response, struct error *err) MUST_USE;
/* Replaces *out by the prompt, then the response; *split is the first byte of the response. Returns whether the record gave the response anything but blanks.
 */
bool template_render(const struct parsed_template *parsed, const struct record *record, struct text *out, size_t *split);

/* Format and template of a source, parsed. *out is NULL if the format takes none. BAD_CONFIG with position. */
enum status source_check(struct arena *arena, const struct source *source, const char *where_prompt, const char *where_response,
                         const struct dataset_format **format, struct parsed_template **out, struct error *err) MUST_USE;

/* A checked JSON object becomes a sequence, unless it trains on nothing or is over length (counted); *kept says which. */
enum status encode_record(struct reading *reading, const json_t *object, const char *where, struct sequence *sequence, bool *kept, struct error *err) MUST_USE;

/* Counts a finding; the first few places are kept with their detail. */
void finding_add(struct reading *reading, enum finding_kind kind, const char *where, const char *detail, ...) __attribute__((format(printf, 4, 5)));

/* Replaces the cure of the failure just recorded: the nearest valid name, or "<title>: " and all of them. Returns err->code. */
enum status cure_with_names(struct error *err, const char *word, const char *const *valid, size_t count, const char *title);

#endif
