/* What is done with whole datasets: duplicates found, a part held out, sources mixed into epochs.
 *
 * The stream of a source is its sequences again and again. An epoch takes from each stream the source's weight times its sequences, going on where the epoch
 * before stopped: so every sequence of a source is taken once before any is taken twice, whatever the weights.
 */
#include "datasets/format.h"

#include "common/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Positions of sequences + 1 by their ids: open addressing, 0 is free. */
struct table {
    const struct sequence *sequence;
    int64_t *slot;
    size_t mask;
};

static size_t hash_of(const struct sequence *sequence)
{
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a over whole ids */
    for (int64_t t = 0; t < sequence->count; t++)
        hash = (hash ^ (uint32_t)sequence->ids[t]) * 0x100000001B3u;
    return (size_t)(hash ^ hash >> 32);
}

static struct table table_new(struct arena *arena, const struct sequence *sequence, int64_t count)
{
    size_t room = 16;
    while (room < 2 * (size_t)count)
        room *= 2;
    return (struct table){ sequence, NEW_ARRAY(arena, room, int64_t), room - 1 };
}

/* labels[0] trains nothing but behind virtual tokens, so it does not make two sequences different. */
static bool equal(const struct sequence *a, const struct sequence *b)
{
    const size_t ids = (size_t)a->count * sizeof *a->ids, labels = ids ? ids - sizeof *a->labels : 0;
    return a->count == b->count && memcmp(a->ids, b->ids, ids) == 0 && (labels == 0 || memcmp(a->labels + 1, b->labels + 1, labels) == 0);
}

/* The slot of an equal sequence, or the free one where it belongs. */
static int64_t *table_find(const struct table *table, const struct sequence *sequence)
{
    for (size_t at = hash_of(sequence) & table->mask;; at = (at + 1) & table->mask) {
        if (table->slot[at] == 0)
            return &table->slot[at];
        if (equal(&table->sequence[table->slot[at] - 1], sequence))
            return &table->slot[at];
    }
}

void dataset_find_duplicates(struct dataset *dataset, struct arena *arena, bool drop)
{
    struct arena *scratch = arena_create_like(arena);
    const struct table table = table_new(scratch, dataset->sequence, dataset->count);
    int64_t kept = 0, i = 0;
    for (int s = 0; s < dataset->sources; s++) {
        struct source_counts *counts = &dataset->source[s];
        const int64_t end = i + counts->count;
        for (; i < end; i++) {
            const struct sequence sequence = dataset->sequence[i];
            dataset_forget_behind(dataset, i);
            int64_t *slot = table_find(&table, &sequence);
            if (*slot)
                finding_add(arena, dataset, counts, DUPLICATE, sequence.where, "as %s", dataset->sequence[*slot - 1].where);
            if (*slot && drop) {
                counts->count--;
                counts->dropped++;
                continue;
            }
            dataset->sequence[kept++] = sequence;
            *slot = *slot ? *slot : kept;
        }
    }
    dataset->count = kept;
    arena_destroy(scratch);
}

void dataset_compare(const struct dataset *train, struct dataset *eval, struct arena *arena)
{
    struct arena *scratch = arena_create_like(arena);
    const struct table table = table_new(scratch, train->sequence, train->count);
    for (int64_t i = 0; i < train->count; i++) {
        *table_find(&table, &train->sequence[i]) = i + 1;
        dataset_forget_behind(train, i);
    }
    for (int s = 0; s < eval->sources; s++) {
        struct source_counts *counts = &eval->source[s];
        for (int64_t i = counts->first; i < counts->first + counts->count; i++) {
            const int64_t *slot = table_find(&table, &eval->sequence[i]);
            dataset_forget_behind(train, i);
            if (*slot)
                finding_add(arena, eval, counts, EVAL_IN_TRAIN, eval->sequence[i].where, "also in train, as %s", train->sequence[*slot - 1].where);
        }
    }
    arena_destroy(scratch);
}

/* Which of `groups` groups are held out. */
static bool *choose(struct arena *arena, int64_t groups, double fraction, uint64_t seed)
{
    int64_t held = llround(fraction * (double)groups);
    held = held < 1 ? 1 : held > groups - 1 ? groups - 1 : held;
    int64_t *order = NEW_ARRAY(arena, groups, int64_t);
    bool *is_held = NEW_ARRAY(arena, groups, bool);
    random_permutation(seed, random_stream("eval_fraction"), order, groups);
    for (int64_t i = 0; i < held; i++)
        is_held[order[i]] = true;
    return is_held;
}

enum status dataset_split(struct dataset *train, struct dataset *eval, struct arena *arena, double fraction, uint64_t seed, struct error *err)
{
    const struct dataset all = *train;
    int64_t groups = 0;
    for (int64_t i = 0; i < all.count; i++)
        groups += i == 0 || all.sequence[i].group != all.sequence[i - 1].group;
    if (groups < 2) {
        fail_with(err, BAD_DATA, "data.eval_fraction: %" PRId64 " sequences cannot be split for evaluation",
                  "give data.eval its own file, or leave eval_fraction out", all.count);
        return all.count < 2 ? err->code : cure_with(err, "all are of one tree, which stays whole: give data.eval its own file, or leave eval_fraction out");
    }
    const bool *is_held = choose(arena, groups, fraction, seed);
    *eval = (struct dataset){ .sources = all.sources, .map = all.map };
    struct dataset *const sides[2] = { train, eval };
    for (int side = 0; side < 2; side++) {
        sides[side]->count = 0;
        sides[side]->sequence = NEW_ARRAY(arena, all.count, struct sequence);
        sides[side]->source = NEW_ARRAY(arena, all.sources, struct source_counts);
    }
    int64_t i = 0, group = -1;
    for (int s = 0; s < all.sources; s++) {
        train->source[s] = all.source[s];
        train->source[s].count = 0;
        eval->source[s].source = all.source[s].source;
        for (const int64_t end = all.source[s].first + all.source[s].count; i < end; i++) {
            group += i == 0 || all.sequence[i].group != all.sequence[i - 1].group;
            struct dataset *side = sides[is_held[group]];
            side->sequence[side->count++] = all.sequence[i];
            side->source[s].count++;
        }
        eval->source[s].records = eval->source[s].conversations = eval->source[s].count;
        train->source[s].records -= eval->source[s].count;
        train->source[s].conversations -= eval->source[s].count;
    }
    dataset_sum_up(train, arena);
    dataset_sum_up(eval, arena);
    return OK;
}

/* Sequences of a source in an epoch. */
static int64_t share(const struct source_counts *counts)
{
    const double weight = counts->source && counts->source->weight > 0 ? counts->source->weight : 1;
    const int64_t taken = llround(weight * (double)counts->count);
    return counts->count > 0 && taken < 1 ? 1 : taken;
}

int64_t dataset_epoch_length(const struct dataset *dataset)
{
    int64_t length = 0;
    for (int s = 0; s < dataset->sources; s++)
        length += share(&dataset->source[s]);
    return dataset->sources ? length : dataset->count;
}

/* Sequences [from, from + count) of a source's stream. A source taken in whole passes needs no order of its own. */
static void take_stream(const struct source_counts *counts, int number, int64_t from, int64_t count, uint64_t seed, bool shuffle, struct arena *scratch,
                        int64_t *out)
{
    const bool ordered = shuffle && count % counts->count != 0;
    int64_t *order = NEW_ARRAY(scratch, ordered ? counts->count : 0, int64_t), pass = -1;
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = (from + i) % counts->count;
        if (ordered && (from + i) / counts->count != pass) {
            char stream[60];
            pass = (from + i) / counts->count;
            snprintf(stream, sizeof stream, "source.%d.%" PRId64, number, pass);
            random_permutation(seed, random_stream(stream), order, counts->count);
        }
        out[i] = counts->first + (ordered ? order[at] : at);
    }
}

void dataset_epoch(const struct dataset *dataset, struct arena *arena, int64_t *order, uint64_t seed, int64_t epoch, bool shuffle)
{
    struct arena *scratch = arena_create_like(arena);
    const int64_t length = dataset_epoch_length(dataset);
    int64_t *taken = NEW_ARRAY(scratch, length, int64_t), *mixed = NEW_ARRAY(scratch, length, int64_t), at = 0;
    for (int64_t i = 0; i < length; i++)
        taken[i] = i; /* of a dataset that no source is known of */
    for (int s = 0; s < dataset->sources; s++) {
        const struct source_counts *counts = &dataset->source[s];
        const int64_t count = share(counts);
        if (count > 0)
            take_stream(counts, s, epoch * count, count, seed, shuffle, scratch, taken + at);
        at += count;
    }
    dataset_order(mixed, length, seed, epoch, shuffle);
    for (int64_t i = 0; i < length; i++)
        order[i] = taken[mixed[i]];
    arena_destroy(scratch);
}
