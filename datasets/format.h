/* How the files of this room work together; everybody else includes dataset.h.
 *
 * Everything becomes a conversation: turns of roles. A format either names the fields of a record, or reads turns itself. A template is one of three things. A
 * WORDING fills fields into two turns, prompt and response, that stand side by side as they are. A LAYOUT says what stands around the turns of each role. The
 * CHAT TEMPLATE of the model folder says the same as a program. A record of fields under either gets the format's own wording first, so every format of fields
 * goes with every layout.
 * Each field also has a common name, the same in all formats (alpaca's `input` is `context`), so a wording works with any format that has its fields.
 */
#ifndef GRAFT_DATASETS_FORMAT_H
#define GRAFT_DATASETS_FORMAT_H

#include "datasets/dataset.h"
#include "tokenizer/chat_template.h"

enum { MAX_FIELDS = 10 };

enum field_role { REQUIRED, OPTIONAL, IGNORED };

/* Fields with equal common names are alternatives: a record gives one of them. An IGNORED field may hold anything; if it has a common
 * name, it is what the format itself makes of a record. */
struct field {
    const char *name, *common;
    enum field_role role;
    const char *const *words; /* whole numbers stand for these texts (NULL-terminated); NULL: only a text will do */
};

enum turn_role { SYSTEM, USER, ASSISTANT };
enum turn_training { AS_SOURCE_SAYS, TRAINED, UNTRAINED };

struct turn {
    enum turn_role role;
    enum turn_training training;
    bool blank; /* nothing but blanks was given */
    const char *text;
    size_t length;
};

/* Turns, or (format tokens) ids with labels. All lives until the block it is in has been encoded. */
struct conversation {
    const char *where;
    int64_t group;
    struct turn *turn;
    int turns;
    int32_t *ids, *labels;
    int64_t count;
};

/* Texts with fields. */
struct wording {
    const char *prompt, *prompt_without_context, *response; /* prompt_without_context: where `context` is empty; NULL: prompt serves always */
};

/* What stands around turns. {text} is the turn's, {bos} and {eos} are the tokenizer's; a {bos} at the very beginning stands for the one that the tokenizer puts
 * there itself. What of `assistant` is not `head` or `tail` is trained. */
struct layout {
    const char *name;
    const char *default_system; /* of a conversation that has none; NULL: then there is none */
    const char *begin, *system, *user, *head, *assistant, *tail;
    const char *stop;                            /* the beginning of `user`, where it is what ends an answer: trained behind one */
    const char *markers;                         /* words, blanks between them, that must be single tokens */
    bool trims, collapses, system_in_user, ends; /* ends: EOS behind all */
};

/* Text with fields, parsed: literal pieces and indices of fields, in turn. */
struct part {
    const char *literal; /* NULL: the field */
    size_t length;
    int field;
};
struct pattern {
    struct part *part;
    int parts;
};
/* What a source's template comes to. */
struct parsed_template {
    const char *name;
    struct pattern prompt, prompt_without_context, response; /* of formats with fields */
    int context;                                             /* the field whose emptiness chooses prompt_without_context; -1: never */
    const struct layout *layout;                             /* NULL: the chat template of the model folder */
};

/* What reads one source. */
struct reading {
    struct dataset *dataset;
    struct source_counts *counts;
    struct arena *arena; /* for what stays */
    struct arena *block; /* for conversations until they are encoded; renewed between records */
    const struct source *source;
    const struct dataset_format *format;
    const struct parsed_template *parsed; /* NULL for formats with own ids */
    const struct data_settings *settings;
    const struct tokenizer *tokenizer;
    struct chat_template *chat_template; /* NULL until a source asks for it */
    int32_t eos;
    const char *bos_text, *eos_text; /* as the tokenizer spells them; "" if unknown */
    int64_t vocab;
    int64_t groups; /* of all sources so far */
    int64_t room;   /* of dataset->sequence */
    struct conversation *conversation;
    int conversations;
    struct token_cache *cache; /* what sequences go to; NULL: memory */
};

struct dataset_format {
    const char *name;
    struct field field[MAX_FIELDS]; /* the rest has no name; members of a record that `read` looks into are IGNORED fields */
    const char *template_name;      /* used when the source names none; NULL: the format takes no template */
    struct wording wording;         /* for layouts; .response NULL: the format goes with wordings only, or has turns of its own */
    bool has_turns, has_threads;    /* turns of its own; takes the settings of threads */
    /* Whole file; NULL: JSON records, one after the other. */
    enum status (*read_file)(struct reading *reading, struct error *err);
    /* One record, a checked object; NULL: its fields are filled into the wording. */
    enum status (*read)(struct reading *reading, const json_t *object, const char *where, struct error *err);
};

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
/* BAD_DATA that says which fields are missing and which format has those of the object. */
enum status record_lacks(const struct dataset_format *format, const json_t *object, const char *where, int field, struct error *err) MUST_USE;
/* A member that must be a text; it and `length` are borrowed from the object. BAD_DATA if it is missing or none. */
enum status member_text(const json_t *object, const char *where, const char *key, const char **text, size_t *length, struct error *err) MUST_USE;
/* What kind of value it is, with its article: "a list". */
const char *json_kind(const json_t *value);

/* JSON records of the source's file, at most source->limit, each to format->read. BAD_DATA if there are none. */
enum status read_records(struct reading *reading, struct error *err) MUST_USE;
/* Counts a record and hands it on. */
enum status read_record(struct reading *reading, const json_t *value, int64_t line, struct error *err) MUST_USE;
/* Fields as prompt and response, by the source's template. */
void read_fields(struct reading *reading, const struct record *record, const char *where);
/* A turn whose text lives as long as the block; and one whose text is copied into it. */
struct turn turn_of(enum turn_role role, const char *text, size_t length);
struct turn turn_new(struct reading *reading, enum turn_role role, const char *text, size_t length);
/* Takes a conversation as it is. */
void reading_add(struct reading *reading, struct conversation conversation);
/* Takes turns as a conversation: those behind the last answer are left out; turns that do not alternate, or hold no answer, are a finding. */
void reading_add_turns(struct reading *reading, struct turn *turn, int turns, const char *where, int64_t group);
/* Encodes what has been taken, if it has become much (or, at the end, whatever there is). */
enum status reading_encode(struct reading *reading, bool all, struct error *err) MUST_USE;

/* Cuts a text at marks ("### Human:") into turns: blanks around each are left out. What stands before the first mark is the system's turn. */
struct mark {
    const char *text;
    enum turn_role role;
};
void read_marked(struct reading *reading, const struct mark *mark, int marks, const char *text, size_t length, const char *where);

/* The template of a source, parsed for its format. BAD_CONFIG, beginning with `where_prompt` or `where_response` (for a template by name: source->where). */
enum status template_parse(struct parsed_template *out, struct arena *arena, const struct dataset_format *format, const struct source *source,
                           const char *where_prompt, const char *where_response, struct error *err) MUST_USE;
/* Appends a pattern filled with a record's fields. Returns whether any of them gave more than blanks. */
bool pattern_fill(const struct pattern *pattern, const struct record *record, struct text *out);

extern const struct layout bare_layout;
/* NULL if there is none of that name. */
const struct layout *layout_find(const char *name);
/* Names, NULL-terminated. */
const char *const *layout_names(void);

/* Bytes [begin, end) of a rendered text that are trained. */
struct span {
    size_t begin, end;
};
struct rendering {
    struct text text;
    struct span *span; /* in order, apart from each other */
    int spans;
    int last; /* the last trained turn; -1: none */
};
/* A conversation as one text, in the arena. bos: whether a {bos} at the very beginning is written. */
void layout_render(const struct layout *layout, const struct conversation *conversation, int train_on, bool bos, const char *bos_text, const char *eos_text,
                   struct arena *arena, struct rendering *out);
/* Whether turn i is trained: as it says itself, else by train_on. */
bool turn_is_trained(const struct conversation *conversation, int i, int train_on);
/* A trained span behind those before it, of which it may continue the last. */
void rendering_add_span(struct rendering *rendering, size_t begin, size_t end);

/* The template that stands for the model's own, by name. */
#define CHAT_TEMPLATE "chat_template"
/* A conversation as one text with every special token, in the arena, by reading->chat_template. Errors: BAD_DATA with conversation->where: what the template
 * refuses, turns that it does not let be told apart, or turns that are trained or not against the rule of their role. */
enum status chat_render(const struct reading *reading, struct arena *arena, const struct conversation *conversation, struct rendering *out,
                        struct error *err) MUST_USE;
/* Makes reading->chat_template ready. BAD_CONFIG with source->where if the model folder has none; BAD_FILE. */
enum status chat_open(struct reading *reading, struct error *err) MUST_USE;

/* Format and template of a source, parsed. *out is NULL if the format takes none. BAD_CONFIG with position. */
enum status source_check(struct arena *arena, const struct source *source, const char *where_prompt, const char *where_response,
                         const struct dataset_format **format, struct parsed_template **out, struct error *err) MUST_USE;

/* What a conversation becomes: nothing here depends on any other, so they can be encoded in any order. */
struct note {
    enum finding_kind kind;
    const char *detail;
};
struct encoded {
    struct sequence sequence;
    bool kept, cut;
    struct note note[5];
    int notes;
};
/* *out lives in `arena`. BAD_DATA: over length, ids outside the vocabulary; and what the tokenizer says. */
enum status encode(const struct reading *reading, struct arena *arena, const struct conversation *conversation, struct encoded *out,
                   struct error *err) MUST_USE;

/* Sets `trained` and `prompt_count` from the labels. Nothing predicts the first token, whatever its label says. Returns whether eos is among what is trained.
 */
bool sequence_count_trained(struct sequence *sequence, int32_t eos);

/* Counts a finding of a source and of its dataset; the first few places are kept with their detail. */
void finding_add(struct arena *arena, struct dataset *dataset, struct source_counts *counts, enum finding_kind kind, const char *where, const char *detail, ...)
    __attribute__((format(printf, 6, 7)));
/* Counts the template's markers that the tokenizer makes several tokens of. */
void check_markers(struct reading *reading);

/* For walks through all sequences, with the number of each: now and then what of a mapping they have brought into memory is given back. */
void dataset_forget_behind(const struct dataset *dataset, int64_t i);
/* Totals and the hash, over what a dataset holds; count of each source is already there. */
void dataset_sum_up(struct dataset *dataset, const struct arena *like);
/* Counts sequences that were there before, and leaves them out if `drop`. */
void dataset_find_duplicates(struct dataset *dataset, struct arena *arena, bool drop);

/* Replaces the cure of the failure just recorded: the nearest valid name, or "<title>: " and all of them. Returns err->code. */
enum status cure_with_names(struct error *err, const char *word, const char *const *valid, size_t count, const char *title);

#endif
