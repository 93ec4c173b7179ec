/* Instruction data: files become records, records become text with a trained span, text becomes ids with labels.
 *
 * One row per format, one row per named template. What would train on nothing, be cut or be dropped is counted with file:line, never silent.
 */
#ifndef GRAFT_DATASETS_DATASET_H
#define GRAFT_DATASETS_DATASET_H

#include "common/json.h"
#include "common/settings.h"
#include "tokenizer/tokenizer.h"

enum over_length { OVER_LENGTH_ERROR, OVER_LENGTH_DROP, OVER_LENGTH_TRUNCATE };
enum { NOT_TRAINED = -100 };

/* data.train[i] / data.eval[i] */
struct source {
    const char *path, *format;
    const char *template_name;     /* a named template, or NULL */
    const char *prompt, *response; /* user-defined template, both or neither */
    int64_t limit;                 /* 0: all records */
    const char *where;             /* position of the row in the YAML, for messages */
};

struct data_settings {
    struct source *train, *eval;
    int trains, evals;
    double eval_fraction; /* 0: none */
    int64_t max_length;
    int over_length;     /* enum over_length */
    const char **accept; /* findings that may be there, by name (see struct finding) */
    int accepts;
};
extern const struct setting data_settings_rows[];
extern const size_t data_settings_count;

/* A sequence ready for training: labels[t] is the id to be predicted AT t from what stands before t, or NOT_TRAINED; labels[0] counts only where an adapter's
 * virtual tokens stand before it (sequences_behind). */
struct sequence {
    int32_t *ids, *labels;
    int64_t count, trained;        /* trained: labels[1..] that are not NOT_TRAINED */
    const char *where;             /* file:line */
    int64_t prompt_count;          /* ids before the first trained one: the prompt, for exact match */
    const char *prompt, *response; /* rendered texts (NULL for format tokens) */
};

enum finding_kind { OVER_LENGTH, EMPTY_RESPONSE, NOTHING_TRAINED, UNKNOWN_FIELD, FINDINGS };
/* "over_length", "empty_response", "nothing_trained", "unknown_field" */
extern const char *const finding_name[FINDINGS];

struct finding {
    int64_t count;
    const char *first[5]; /* "file:line: detail" of the first few */
};

struct dataset {
    struct sequence *sequence; /* in file order, source after source */
    int64_t count;
    int64_t records, tokens, trained; /* records read; tokens and trained tokens of the sequences kept */
    struct finding finding[FINDINGS];
    char hash[65]; /* over ids and labels */
};

/* Reads, renders, encodes. tokenizer may be NULL if every source has format tokens (BAD_DATA otherwise). eos: the id appended to responses that do not end with
 * it already (-1: none known, BAD_DATA unless format tokens); vocab bounds all ids. Lines that are no JSON: BAD_FILE; over_length error, malformed records,
 * missing fields, ids outside the vocabulary: BAD_DATA; each with file:line. Unknown formats, templates and fields of templates: BAD_CONFIG with source->where.
 * Findings that are no errors are counted. A token is trained if it begins in the response; what is truncated keeps its whole `response` text. */
enum status dataset_read(struct dataset *dataset, struct arena *arena, const struct source *source, int sources, const struct data_settings *settings,
                         const struct tokenizer *tokenizer, int32_t eos, int64_t vocab, struct error *err) MUST_USE;
/* Splits a fraction off into *eval by (seed): deterministic, at least one sequence each side (BAD_DATA below two), both in file order. Findings stay with
 * train, records are shared out. */
enum status dataset_split(struct dataset *train, struct dataset *eval, struct arena *arena, double fraction, uint64_t seed, struct error *err) MUST_USE;
/* BAD_DATA naming counts and first places if a finding is there that settings do not accept. OVER_LENGTH is accepted by over_length: drop or truncate. */
enum status dataset_gate(const struct dataset *dataset, const struct data_settings *settings, struct error *err) MUST_USE;

/* Order of training: a permutation per epoch from (seed, epoch) alone; identity if !shuffle. */
void dataset_order(int64_t *order, int64_t count, uint64_t seed, int64_t epoch, bool shuffle);

/* The most ids of a sequence; 1 if there is none. */
int64_t dataset_longest(const struct sequence *sequence, int64_t count);

/* Sequences of one optimizer step -> micro-batches: a rule that knows only the sequences and micro_batch_tokens. first[i] .. first[i + 1] are the sequences of
 * micro-batch i; a sequence longer than micro_batch_tokens gets a micro-batch of its own. first has room for count + 1. Returns the number of micro-batches. */
int64_t micro_batches(const struct sequence *const *sequence, int64_t count, int64_t micro_batch_tokens, int64_t *first);

/* The same sequences behind ids first_id .. first_id + virtual_tokens - 1, which are never trained. What stands in front of it predicts the first id of a
 * sequence, so that is trained then if its label says so. */
struct sequence *sequences_behind(struct arena *arena, const struct sequence *sequence, int64_t count, int64_t virtual_tokens, int64_t first_id);

/* A micro-batch laid end to end on the host; arrays have the capacities given to batch_new. */
struct batch {
    int64_t rows, selected, sequences;
    int32_t *ids, *positions, *spans, *row_key; /* [rows], [rows], [sequences * 4], [rows] */
    int32_t *select, *labels;                   /* [selected]: rows whose NEXT token is trained, and that token */
    int64_t row_room, sequence_room;
    int64_t first_position; /* of the first row of every sequence: 0 unless set after batch_new */
};
struct batch *batch_new(struct arena *arena, int64_t rows, int64_t sequences);
/* first_row: rows of the same optimizer step before this micro-batch (row_key counts from there). */
void batch_fill(struct batch *batch, const struct sequence *const *sequence, int64_t count, int64_t first_row);

/* Named templates and formats, NULL-terminated, for messages and help. */
const char *const *template_names(void);
const char *const *format_names(void);

/* Shows a sequence with its trained tokens marked: reverse colour if colour, else [[...]] around trained runs. */
enum status sequence_show(const struct sequence *sequence, const struct tokenizer *tokenizer, bool colour, struct text *out, struct error *err) MUST_USE;

#endif
