/* What a training run takes of the memory of the machine, or of its GPU, counted from its plan before a weight is read, and the choices that make it fit.
 *
 * The plan is the truth: the arena of a program is one allocation, so the sum is known to the byte but for what libraries keep, and that is measured: all
 * they need for the program is made before the memory is looked at, and nothing after.
 */
#ifndef GRAFT_TRAINER_BUDGET_H
#define GRAFT_TRAINER_BUDGET_H

#include "trainer/memory.h"
#include "trainer/step.h"

/* Bytes. On a GPU, of its memory: then what lies on the host is 0, and all weights are converted. */
struct needs {
    size_t program;              /* resident before weights are read: code, libraries and their threads, data set, tokenizer */
    size_t mapped, converted;    /* weights: what will be read of the mapping, and what is copied */
    size_t parameters;           /* values; in training also gradients, two moments */
    size_t frozen;               /* values of the adapter that training does not change: the start of pissa */
    size_t sums;                 /* of gradients, while a step goes through its micro-batches */
    size_t best;                 /* and the values of the best evaluation */
    size_t host;                 /* plans, and results on the host */
    size_t cache;                /* keys and values of the past */
    size_t training, evaluation; /* arenas, of which the larger is allocated; generation's counts as evaluation */
    size_t sum;
};

struct budget {
    size_t limit;               /* bytes this process may use: training.memory_limit, or what is free beside what it uses already */
    int64_t micro_batch_tokens; /* as chosen */
    struct capacity capacity;   /* of the largest micro-batch then */
    bool recompute;
    struct needs needs;
};

/* Makes ready what the programs of training and evaluation need beyond their arenas, those of the fastest choice that the settings allow; others need no more.
 * To be done before the memory is looked at. Errors: those of plan() and program_prepare(). */
enum status budget_prepare(const struct session *session, const struct dataset *train, const struct dataset *eval, const struct training_settings *settings,
                           struct error *err) MUST_USE;

/* train: its sequences as session_sequences() gives them. Chooses micro_batch_tokens and recompute where the settings leave them to graft: the largest
 * micro-batch that fits without recomputing, else with it. memory: as it was before weights were read. session: of a located model and its adapter, weights not
 * needed. Errors: DOES_NOT_FIT, naming the settings that would make it fit and what it took then. */
enum status budget_choose(struct budget *budget, const struct session *session, const struct parameters *parameters, const struct dataset *train,
                          const struct dataset *eval, const struct training_settings *settings, struct memory memory, struct error *err) MUST_USE;

/* The sum of what evaluation or generation takes, by the same rules. memory: as it was when `inference` was counted, which prepares its programs. */
struct needs needs_of_inference(const struct session *session, const struct parameters *parameters, const struct inference_needs *inference,
                                struct memory memory);

#endif
