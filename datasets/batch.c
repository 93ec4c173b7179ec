/* The order of an epoch, sequences cut into batches in their order, and a batch laid end to end.
 *
 * Each knows only what its header says: the order (seed, epoch), the cut lengths and their bound. So nothing here depends on ranks or threads, and a run that
 * goes on finds the same batches.
 */
#include "datasets/dataset.h"

#include "common/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void dataset_order(int64_t *order, int64_t count, uint64_t seed, int64_t epoch, bool shuffle)
{
    char stream[40];
    snprintf(stream, sizeof stream, "shuffle.%" PRId64, epoch);
    if (shuffle)
        random_permutation(seed, random_stream(stream), order, count);
    for (int64_t i = 0; i < count && !shuffle; i++)
        order[i] = i;
}

int64_t dataset_longest(const struct sequence *sequence, int64_t count)
{
    int64_t most = 1;
    for (int64_t i = 0; i < count; i++)
        if (sequence[i].count > most)
            most = sequence[i].count;
    return most;
}

int64_t micro_batches(const struct sequence *const *sequence, int64_t count, int64_t micro_batch_tokens, int64_t *first)
{
    int64_t batches = 0, rows = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t more = sequence[i]->count;
        if (i == 0 || more > micro_batch_tokens - rows) {
            first[batches++] = i;
            rows = 0;
        }
        rows += more;
    }
    first[batches] = count;
    return batches;
}

static int64_t rows_of(const struct sequence *const *sequence, int64_t begin, int64_t end)
{
    int64_t rows = 0;
    for (int64_t i = begin; i < end; i++)
        rows += sequence[i]->count;
    return rows;
}

/* A micro-batch belongs to the worker in whose equal part of all rows its middle lies. */
void micro_batch_shares(const struct sequence *const *sequence, const int64_t *first, int64_t batches, int workers, int64_t *begin)
{
    const int64_t all = rows_of(sequence, first[0], first[batches]);
    int64_t m = 0, before = 0;
    begin[0] = 0;
    for (int worker = 1; worker < workers; worker++) {
        for (int64_t rows; m < batches; before += rows, m++) {
            rows = rows_of(sequence, first[m], first[m + 1]);
            if ((2 * before + rows) * workers > 2 * all * worker)
                break;
        }
        begin[worker] = m;
    }
    begin[workers] = batches;
}

struct sequence sequence_behind(struct arena *arena, const struct sequence *s, struct in_front in_front)
{
    struct sequence longer = *s;
    longer.first_position = in_front.first_position;
    if (in_front.tokens == 0)
        return longer;
    longer.count = in_front.tokens + s->count;
    longer.ids = NEW_ARRAY(arena, longer.count, int32_t);
    longer.labels = NEW_ARRAY(arena, longer.count, int32_t);
    for (int64_t i = 0; i < in_front.tokens; i++) {
        longer.ids[i] = (int32_t)(in_front.first_id + i);
        longer.labels[i] = NOT_TRAINED;
    }
    memcpy(longer.ids + in_front.tokens, s->ids, (size_t)s->count * sizeof *s->ids);
    memcpy(longer.labels + in_front.tokens, s->labels, (size_t)s->count * sizeof *s->labels);
    longer.trained += s->count > 0 && s->labels[0] != NOT_TRAINED;
    longer.prompt_count += in_front.tokens;
    return longer;
}

struct batch *batch_new(struct arena *arena, int64_t rows, int64_t sequences)
{
    struct batch *batch = NEW(arena, struct batch);
    *batch = (struct batch){ .row_room = rows, .sequence_room = sequences };
    batch->ids = NEW_ARRAY(arena, rows, int32_t);
    batch->positions = NEW_ARRAY(arena, rows, int32_t);
    batch->row_key = NEW_ARRAY(arena, rows, int32_t);
    batch->choice = NEW_ARRAY(arena, rows, int32_t);
    batch->select = NEW_ARRAY(arena, rows, int32_t);
    batch->labels = NEW_ARRAY(arena, rows, int32_t);
    batch->spans = NEW_ARRAY(arena, 4 * sequences, int32_t);
    return batch;
}

void batch_fill(struct batch *batch, const struct sequence *const *sequence, int64_t count, const int64_t *row)
{
    CHECK(count <= batch->sequence_room);
    batch->rows = batch->selected = 0;
    batch->sequences = count;
    for (int64_t i = 0; i < count; i++) {
        const struct sequence *s = sequence[i];
        const int32_t first = (int32_t)batch->rows, rows = (int32_t)s->count;
        CHECK(s->count <= batch->row_room - batch->rows);
        memcpy(&batch->spans[4 * i], (const int32_t[4]){ first, rows, first, rows }, 4 * sizeof(int32_t));
        memcpy(&batch->ids[first], s->ids, (size_t)rows * sizeof(int32_t));
        for (int32_t t = 0; t < rows; t++) {
            batch->positions[first + t] = (int32_t)s->first_position + t;
            batch->choice[first + t] = s->choice;
            batch->row_key[first + t] = (int32_t)((row ? row[i] : first) + t);
            if (t == 0 || s->labels[t] == NOT_TRAINED)
                continue;
            batch->select[batch->selected] = first + t - 1;
            batch->labels[batch->selected++] = s->labels[t];
        }
        batch->rows += rows;
    }
}
