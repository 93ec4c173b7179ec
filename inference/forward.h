/* One walk through the model, recorded, planned and ready to run on batch after batch.
 *
 * Training, scoring and generation differ only in what they ask for: a loss with gradients, a loss, logits, or the next ids with a KV cache. All forwards of a
 * session run one at a time and share one arena, so memory is that of the largest.
 */
#ifndef GRAFT_INFERENCE_FORWARD_H
#define GRAFT_INFERENCE_FORWARD_H

#include "adapters/adapter.h"
#include "autograd/plan.h"
#include "datasets/dataset.h"

struct session {
    struct arena *arena;
    struct device *device;
    const struct model *model;
    const struct seams *const *seams;
    int adapters;
    const struct seam_set *set; /* among which sequences choose; NULL: all have `seams` */
    int sets;
    const struct in_front *in_front; /* of each set, or of all */
    void *memory;                    /* shared by all programs */
    size_t memory_bytes;
    program_watch *watch; /* called after every step of every program; NULL: nobody */
    void *watcher;
};

/* adapters may be NULL when count is 0. */
struct session session_new(struct arena *arena, struct device *device, const struct model *model, struct adapter *const *adapters, int count);
/* From now on sequences choose among sets of these adapters by number, at most MOST_SETS; a batch mixes them freely and every sequence gets the numbers that
 * its set alone gives. */
void session_choose(struct session *session, const struct seam_set *set, int sets);
void session_release(struct session *session);
/* What the adapters put in front of a sequence of this choice. */
struct in_front session_in_front(const struct session *session, int choice);
/* How many positions the model has for a text of its own behind them. */
int64_t session_positions(const struct session *session, int choice);
/* Sequences as the walk sees them: behind what their adapters put in front of them, if they do. */
struct sequence *session_sequences(const struct session *session, struct arena *arena, const struct sequence *sequence, int64_t count);

/* The cure where a result is no number: at worst a file that somebody spoilt, and never a result. */
#define NOT_FINITE "weights of the model or the adapter are not finite: copy or download them again, or use an earlier adapter"

enum purpose { FOR_TRAINING, FOR_LOSS, FOR_LOGITS, FOR_IDS };

struct forward {
    enum purpose purpose;
    struct pass pass;
    struct tensor *labels, *weight; /* inputs of a loss */
    struct head_loss loss;          /* FOR_TRAINING, FOR_LOSS */
    struct tensor *logits;          /* FOR_LOGITS, FOR_IDS: f32 [SELECTED, vocab] */
    struct tensor *draws, *seen;    /* FOR_IDS: inputs of sample() */
    struct tensor *id;              /* FOR_IDS: I32 [SELECTED, 1], of sample() */
    struct program *program;
};

/* What some work with a session will take, in bytes, counted from its plans, beside what is resident once it is counted: their products are prepared then. */
struct inference_needs {
    size_t activations; /* the arena of all its programs */
    size_t cache;       /* keys and values of the past */
    size_t host;        /* plans, and results on the host */
    size_t touched;     /* of the mapped weights */
};

/* What a forward can hold at most. */
struct capacity {
    int64_t rows, selected, sequences;
    int64_t micro_batches; /* of a step; training only */
};

/* Records and plans into arena (nothing is allocated on the device yet). cache: FOR_LOGITS only, or NULL. recompute: FOR_TRAINING only. */
enum status forward_new(struct forward *forward, struct arena *arena, const struct session *session, enum purpose purpose, struct capacity capacity,
                        struct kv_cache *cache, bool recompute, struct error *err) MUST_USE;
/* The same with every choice of the planner. */
enum status forward_new_with(struct forward *forward, struct arena *arena, const struct session *session, enum purpose purpose, struct capacity capacity,
                             struct kv_cache *cache, struct plan_options options, struct error *err) MUST_USE;

/* For the next id of each selected row, taken on the device. most_seen: ids so far of a row at most; looked at only with a repetition penalty. */
enum status forward_new_ids(struct forward *forward, struct arena *arena, const struct session *session, const struct sampling *sampling, int64_t most_seen,
                            struct capacity capacity, struct kv_cache *cache, struct error *err) MUST_USE;

/* Makes ready what the program needs beyond its arena, as program_prepare(). forward_run() does so before the first batch; who counts memory does it earlier.
 */
enum status forward_prepare(struct forward *forward, const struct session *session, struct error *err) MUST_USE;

/* What goes with a batch beside its own arrays. */
struct feed {
    const struct batch *batch;
    const int32_t *slots;        /* with a cache: [rows] */
    float weight;                /* of the loss */
    const int32_t *draws, *seen; /* FOR_IDS: [selected, 2], [selected, most_seen] */
    uint64_t seed;               /* dropout: */
    int32_t step;
};
/* Uploads and asks for a run, as program_start(): the feed may change at once. Results will be in forward->loss / logits until the session starts another. */
enum status forward_start(struct session *session, struct forward *forward, const struct feed *feed, struct error *err) MUST_USE;
/* Also waits until they are there. */
enum status forward_run(struct session *session, struct forward *forward, const struct feed *feed, struct error *err) MUST_USE;

#endif
