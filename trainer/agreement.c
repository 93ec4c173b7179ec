/* Hashes of what must be the same everywhere, gathered and compared. */
#include "trainer/agreement.h"
#include "common/files.h"

#include <stdio.h>
#include <string.h>

enum { HEX = 65 };
enum { CONFIGURATION = IDENTITY_PARTS, BATCHES, CHECKPOINT, FACTS };

/* In the order in which they are looked at: what differs first may be why others do. */
static const struct {
    int fact;
    const char *name, *cure;
} facts[FACTS] = {
    { GRAFT, "graft itself", "install the same build on every host" },
    { CONFIGURATION, "the configuration", "give every rank the same file and overrides" },
    { DEVICE, "the device", "give every rank the same kind" },
    { DTYPE, "the dtype", "set model.dtype" },
    { BASE, "the base weights", "copy the same model folder to every host" },
    { TOKENIZER, "the tokenizer", "copy the same model folder to every host" },
    { DATA, "the training data", "copy the same files to every host" },
    { EVAL_DATA, "the evaluation data", "copy the same files to every host" },
    { START, "the adapter's start", "copy the same files to every host" },
    { BATCHES, "how the free memory lets batches be cut", "set training.micro_batch_tokens and training.recompute" },
    { CHECKPOINT, "the checkpoint to go on from", "give training.output_dir a folder that all hosts share" },
};

/* What a rank has, each in a few words or a hash; "": not looked at. */
struct claim {
    struct identity identity;
    char more[FACTS - IDENTITY_PARTS][sizeof((struct identity *)0)->text[0]];
};

static const char *said(const struct claim *claim, int fact)
{
    return fact < IDENTITY_PARTS ? claim->identity.text[fact] : claim->more[fact - IDENTITY_PARTS];
}

static void make_claim(struct run *run, const struct identity *identity, const struct checkpoint *from, struct claim *claim)
{
    struct arena *arena = arena_create_like(run->arena);
    struct text yaml = text_new(arena);
    char(*more)[sizeof *claim->more] = claim->more - IDENTITY_PARTS;
    config_print(&run->config, run->adapter, &yaml);
    claim->identity = *identity;
    snprintf(more[CONFIGURATION], sizeof *more, "%s", run->config.hash);
    snprintf(more[BATCHES], sizeof *more, "%lld tokens%s", (long long)run->budget.micro_batch_tokens, run->budget.recompute ? ", recomputed" : "");
    if (from)
        hash_bytes(from->file.map.bytes, from->file.map.size, more[CHECKPOINT]);
    arena_destroy(arena);
}

static enum status compare(const struct comm *comm, const struct claim *all, struct error *err)
{
    char name[96];
    for (int rank = 1; rank < comm->ranks; rank++)
        for (int i = 0; i < FACTS; i++) {
            const char *here = said(&all[rank], facts[i].fact), *first = said(&all[0], facts[i].fact);
            if (text_equal(here, first) || (facts[i].fact == BASE && !*here))
                continue;
            return fail_with(err, BAD_CONFIG, "%s differs from rank 0 in %s: %.12s%s, rank 0 has %.12s%s", facts[i].cure, comm_name(comm, rank, name),
                             facts[i].name, here, strlen(here) > 12 ? ".." : "", first, strlen(first) > 12 ? ".." : "");
        }
    return OK;
}

/* All ranks put in what they have, and all have it all. */
static enum status gather(struct run *run, void *all, size_t unit, enum status status, struct error *err)
{
    struct comm *comm = run->comm;
    struct arena *arena = arena_create_like(run->arena);
    int64_t *begin = NEW_ARRAY(arena, comm->ranks + 1, int64_t);
    for (int rank = 0; rank <= comm->ranks; rank++)
        begin[rank] = rank;
    status = comm_meet(comm, status, err);
    if (status == OK)
        status = comm_gather(comm, all, begin, unit, err);
    arena_destroy(arena);
    return status;
}

enum status agreement_at_start(struct run *run, struct identity *identity, const struct checkpoint *from, struct error *err)
{
    if (run->comm->ranks == 1)
        return OK;
    struct arena *arena = arena_create_like(run->arena);
    struct claim *all = NEW_ARRAY(arena, run->comm->ranks, struct claim);
    make_claim(run, identity, from, &all[run->comm->rank]);
    enum status status = gather(run, all, sizeof *all, OK, err);
    if (status == OK)
        status = compare(run->comm, all, err);
    *identity = all[0].identity;
    arena_destroy(arena);
    return status;
}

/* Rank 0, unless most others agree with each other against it: then rank 0 is the odd one. */
static int odd_one(const struct comm *comm, const char (*hash)[HEX])
{
    int other = 0, differing = 0;
    for (int rank = comm->ranks - 1; rank > 0; rank--)
        if (strcmp(hash[rank], hash[0]) != 0) {
            other = rank;
            differing++;
        }
    return 2 * differing > comm->ranks ? 0 : other;
}

enum status agreement_of_parameters(struct run *run, int64_t step, struct error *err)
{
    struct comm *comm = run->comm;
    char name[96];
    if (comm->ranks == 1)
        return OK;
    struct arena *arena = arena_create_like(run->arena);
    char(*hash)[HEX] = arena_alloc(arena, (size_t)comm->ranks * HEX);
    comm_phase(comm, step, "comparison of the parameters");
    enum status status = gather(run, hash, HEX, adapter_hash(run->adapter, hash[comm->rank], err), err);
    for (int rank = 1; status == OK && rank < comm->ranks; rank++)
        if (strcmp(hash[rank], hash[0]) != 0)
            status = fail_with(err, UNHEALTHY, "step %lld: the parameters of %s are no longer those of the other ranks",
                               "its memory or processor fails, or its base weights have changed: start again without that host", (long long)step,
                               comm_name(comm, odd_one(comm, (const char(*)[HEX])hash), name));
    arena_destroy(arena);
    return status;
}
