/* Instruction data: files become records, records become conversations, conversations become text with trained spans, text becomes ids with labels.
 *
 * One row per format, one row per named template. What would train on nothing, be cut, be dropped or teach the wrong thing is counted with file:line, never
 * silent.
 */
#ifndef GRAFT_DATASETS_DATASET_H
#define GRAFT_DATASETS_DATASET_H

#include "common/json.h"
#include "common/settings.h"
#include "tokenizer/tokenizer.h"

enum over_length { OVER_LENGTH_ERROR, OVER_LENGTH_DROP, OVER_LENGTH_TRUNCATE };
enum train_on { TRAIN_ON_ALL_ASSISTANT, TRAIN_ON_LAST_ASSISTANT, TRAIN_ON_ALL };
enum { NOT_TRAINED = -100 };

/* How format oasst makes conversations of a tree of messages, and which trees and messages it leaves out. */
enum thread_mode { ALL_PATHS, TOP_K, BEST_PATH };
struct thread_settings {
    int mode;          /* enum thread_mode */
    int64_t top_k;     /* of mode top_k: ranks of replies from 0 that are kept */
    const char **lang; /* languages of the first message; none: all */
    int langs;
    double min_quality;      /* of the label 'quality' of answers; 0: any */
    bool review_result;      /* only trees whose first message was approved */
    bool deleted, synthetic; /* true: such messages may stand in a conversation */
};
extern const struct thread_settings default_threads;

/* data.train[i] / data.eval[i] */
struct source {
    const char *path, *format;
    const char *template_name;             /* a named template, or NULL */
    const char *prompt, *response;         /* user-defined template, both or neither */
    int64_t limit;                         /* 0: all records */
    int train_on;                          /* enum train_on */
    double weight;                         /* passes over the source in an epoch; 0 is 1 */
    const struct thread_settings *threads; /* NULL: default_threads */
    const char *where;                     /* position of the row in the YAML, for messages */
};

struct data_settings {
    struct source *train, *eval;
    int trains, evals;
    double eval_fraction; /* 0: none */
    int64_t max_length;
    int over_length;  /* enum over_length */
    bool deduplicate; /* a sequence that was there before is left out */
    struct added_token *added;
    int addeds;
    const char *cache;   /* the folder of token caches, or NULL */
    const char **accept; /* findings that may be there, by name (see struct finding) */
    int accepts;
    const char *model_folder; /* whose chat template serves template: chat_template; NULL: none. No setting of its own */
};
extern const struct setting data_settings_rows[];
extern const size_t data_settings_count;

/* A sequence ready for training: labels[t] is the id to be predicted AT t from what stands before t, or NOT_TRAINED; labels[0] counts only where an adapter's
 * virtual tokens stand before it (sequence_behind). */
struct sequence {
    int32_t *ids, *labels;
    int64_t count, trained;        /* trained: labels[1..] that are not NOT_TRAINED */
    const char *where;             /* file:line */
    int64_t prompt_count;          /* ids before the last trained run: the prompt, for exact match */
    const char *prompt, *response; /* rendered texts: what stands before the last trained turn, and that turn (NULL for format tokens) */
    int choice;                    /* the number of its set of adapters, where sequences choose */
    int64_t first_position;        /* of its first row */
    int64_t group;                 /* sequences of one tree of messages share it: a split keeps them together */
};

struct map;

enum finding_kind {
    OVER_LENGTH,     /* cut or dropped */
    EMPTY_RESPONSE,  /* a trained turn of blanks */
    NOTHING_TRAINED, /* dropped */
    UNKNOWN_FIELD,
    OUT_OF_TURN,   /* roles that do not alternate; dropped */
    DOUBLE_BOS,    /* BOS of the tokenizer and BOS of the text */
    NO_EOS,        /* nothing that is trained ends in EOS */
    SPLIT_MARKER,  /* a marker of the template that is several tokens */
    DUPLICATE,     /* a sequence that was there before; dropped by deduplicate */
    EVAL_IN_TRAIN, /* a sequence of eval that is in train too */
    FINDINGS
};
/* "over_length", "empty_response", ... */
extern const char *const finding_name[FINDINGS];

struct finding {
    int64_t count;
    const char *first[5]; /* "file:line: detail" of the first few */
};

/* What became of a source. */
struct source_counts {
    const struct source *source;
    int64_t records, conversations; /* read; a record may hold several conversations, a conversation be made of several records */
    int64_t filtered;               /* trees that gave no conversation, by the settings of the source or for want of an answer */
    int64_t cut, dropped;           /* conversations */
    int64_t first, count;           /* its sequences in the dataset */
    int64_t tokens, trained;        /* of those */
    struct finding finding[FINDINGS];
};

struct dataset {
    struct sequence *sequence; /* in file order, source after source */
    int64_t count;
    int64_t records, conversations;   /* of all sources */
    int64_t tokens, trained;          /* of the sequences kept */
    struct finding finding[FINDINGS]; /* of all sources */
    struct source_counts *source;
    int sources;
    char hash[65];   /* over ids and labels */
    struct map *map; /* of a token cache, where the sequences lie; NULL: in memory */
};

/* Reads, renders, encodes. tokenizer may be NULL if every source has format tokens (BAD_DATA otherwise). eos: the id that ends an answer (-1: none known,
 * BAD_DATA unless format tokens); vocab bounds all ids. Lines that are no JSON: BAD_FILE; over_length error, malformed records, missing fields, ids outside the
 * vocabulary: BAD_DATA; each with file:line. Unknown formats, templates and fields of templates, template: chat_template where the model folder has none:
 * BAD_CONFIG with source->where. Findings that are no errors are counted. A token is trained if it begins in a trained span; what is truncated keeps its whole
 * `response` text. With settings->cache the sequences lie in a token cache there, which is made if there is none yet: close the dataset, and forget what was
 * used. */
enum status dataset_read(struct dataset *dataset, struct arena *arena, const struct source *source, int sources, const struct data_settings *settings,
                         const struct tokenizer *tokenizer, int32_t eos, int64_t vocab, struct error *err) MUST_USE;
/* Gives back what reading the sequences of a token cache brought into memory; they are read again when they are used. */
void dataset_forget(const struct dataset *dataset);
void dataset_close(struct dataset *dataset); /* safe on a zeroed or closed one, and after a split */
/* Splits a fraction of the conversations off into *eval by (seed): deterministic, whole trees, at least one group each side (BAD_DATA below two), both in file
 * order. Findings stay with train, conversations are shared out. */
enum status dataset_split(struct dataset *train, struct dataset *eval, struct arena *arena, double fraction, uint64_t seed, struct error *err) MUST_USE;
/* Counts what of eval is in train too, to the bit, as findings of eval. */
void dataset_compare(const struct dataset *train, struct dataset *eval, struct arena *arena);
/* BAD_DATA naming counts and first places if a finding is there that settings do not accept. OVER_LENGTH is accepted by over_length: drop or truncate, and
 * DUPLICATE by deduplicate, whatever it says. */
enum status dataset_gate(const struct dataset *dataset, const struct data_settings *settings, struct error *err) MUST_USE;
/* Appends what became of each source and where its findings are: lines of a title, "train" or "eval". Nothing of a dataset without sources. */
void dataset_report(const struct dataset *dataset, const char *title, struct text *out);

/* Sequences of an epoch: each source's, times its weight. */
int64_t dataset_epoch_length(const struct dataset *dataset);
/* Which sequences those are, in which order: from (seed, epoch) alone. A source of fractional weight goes through all of its sequences before it begins again,
 * in an order of its own, however many epochs that takes. Without shuffling: the order of the files. order has room for dataset_epoch_length(). */
void dataset_epoch(const struct dataset *dataset, struct arena *arena, int64_t *order, uint64_t seed, int64_t epoch, bool shuffle);

/* A permutation from (seed, epoch) alone; identity if !shuffle. */
void dataset_order(int64_t *order, int64_t count, uint64_t seed, int64_t epoch, bool shuffle);

/* The most ids of a sequence; 1 if there is none. */
int64_t dataset_longest(const struct sequence *sequence, int64_t count);

/* The sequences of one optimizer step in micro-batches. */
struct packing {
    const struct sequence **sequence; /* [room], micro-batch after micro-batch */
    int64_t *row;                     /* [room]: rows of the step before that sequence, in the order of the step */
    int64_t *first;                   /* [room + 1]: micro-batch i has the sequences first[i] .. first[i + 1] */
    struct packed *packed;            /* for packing_fill() alone, as are the next */
    struct open_batch *open;
    int64_t *number, room;
};
struct packing packing_new(struct arena *arena, int64_t room);
/* Best fit decreasing: from the longest sequence to the shortest (of equal ones the earlier first), each goes where it leaves the least room (of equal ones to
 * the micro-batch begun first), or begins a micro-batch; a sequence longer than micro_batch_tokens has one of its own. Inside a micro-batch sequences keep the
 * order of the step, and micro-batches follow that of their first. The rule knows only the sequences and micro_batch_tokens. Returns the number of
 * micro-batches. Source: Johnson 1973, "Near-optimal bin packing algorithms" (at most 11/9 of the fewest possible, plus a constant). */
int64_t packing_fill(struct packing *packing, const struct sequence *const *sequence, int64_t count, int64_t micro_batch_tokens);

/* Sequences in batches without changing their order, for results that come back in it. first[i] .. first[i + 1] are the sequences of batch i; a sequence longer
 * than micro_batch_tokens gets a batch of its own. first has room for count + 1. Returns the number of batches. */
int64_t micro_batches(const struct sequence *const *sequence, int64_t count, int64_t micro_batch_tokens, int64_t *first);

/* Whole micro-batches, contiguous and about equally many rows, for each of some workers: worker i takes begin[i] .. begin[i + 1] of those that first[]
 * describes. begin has room for workers + 1. Who has none works at nothing. */
void micro_batch_shares(const struct sequence *const *sequence, const int64_t *first, int64_t batches, int workers, int64_t *begin);

/* What stands in front of a sequence: ids first_id .. first_id + tokens - 1, which are never trained; or keys and values for so many positions. */
struct in_front {
    int64_t tokens, first_id, first_position;
};
/* The same sequence behind that; its first id is predicted by the tokens in front of it, if there are any, so that is trained then if its label says so. */
struct sequence sequence_behind(struct arena *arena, const struct sequence *sequence, struct in_front in_front);

/* A micro-batch laid end to end on the host; arrays have the capacities given to batch_new. */
struct batch {
    int64_t rows, selected, sequences;
    int32_t *ids, *positions, *spans, *row_key; /* [rows], [rows], [sequences * 4], [rows] */
    int32_t *choice;                            /* [rows]: that of its sequence */
    int32_t *select, *labels;                   /* [selected]: rows whose NEXT token is trained, and that token */
    int64_t row_room, sequence_room;
};
struct batch *batch_new(struct arena *arena, int64_t rows, int64_t sequences);
/* row: of each sequence, what row_key counts from (see struct packing); NULL: from 0 on through all. */
void batch_fill(struct batch *batch, const struct sequence *const *sequence, int64_t count, const int64_t *row);

/* Named templates and formats, NULL-terminated, for messages and help. */
const char *const *template_names(void);
const char *const *format_names(void);

/* Shows a sequence with its trained tokens marked: [[...]] around trained runs, reverse colour, or HTML (escaped, <mark> around them). */
enum show_style { SHOW_PLAIN, SHOW_COLOUR, SHOW_HTML };
enum status sequence_show(const struct sequence *sequence, const struct tokenizer *tokenizer, enum show_style style, struct text *out,
                          struct error *err) MUST_USE;

#endif
