/* Adding gradients up along a fixed tree. */
#include "trainer/gradient_sum.h"
#include "autograd/ops.h"
#include "autograd/plan.h"

static int levels(int64_t micro_batches)
{
    int level = 0;
    while (micro_batches >> level > 1)
        level++;
    return level;
}

/* A range that begins and ends anywhere is made of two blocks of each size at most, and one more is received. */
int gradient_sum_spare(int64_t micro_batches, int ranks)
{
    return ranks == 1 ? levels(micro_batches) : 2 * levels(micro_batches) + 1;
}

static float *vector(const struct gradient_sum *sum, int i)
{
    CHECK(i < sum->room);
    return i == 0 ? sum->parameters->grad->data : sum->spare + (int64_t)(i - 1) * sum->parameters->count;
}

static size_t vector_bytes(const struct gradient_sum *sum)
{
    return (size_t)sum->parameters->count * sizeof(float);
}

enum status gradient_sum_create(struct gradient_sum *sum, struct arena *arena, struct parameters *parameters, struct device *device, struct comm *comm,
                                int64_t micro_batches, struct error *err)
{
    const int64_t extents[EXTENTS] = { 0 };
    const int spare = gradient_sum_spare(micro_batches, comm->ranks);
    struct graph *g = graph_new(arena, extents, false);
    void *memory = NULL;
    *sum = (struct gradient_sum){ .comm = comm, .arena = arena, .device = device, .parameters = parameters, .room = 1 + spare };
    CHECK(sum->room <= MOST_BLOCKS);
    sum->sum = tensor_new(arena, "sum of gradients", F32, STATE, 1, parameters->count, NULL);
    sum->more = tensor_new(arena, "gradient", F32, STATE, 1, parameters->count, NULL);
    add_into(g, sum->sum, sum->more);
    TRY(plan(&sum->adding, g, NULL, (struct plan_options){ .threads = device->threads }, err));
    if (spare)
        TRY(device_allocate(device, "sums of gradients", (size_t)spare * vector_bytes(sum), &memory, err));
    sum->spare = memory;
    return OK;
}

enum status gradient_sum_connect(struct gradient_sum *sum, struct error *err)
{
    return wire_open(&sum->wire, sum->arena, sum->comm, sum->device, err);
}

void gradient_sum_begin(struct gradient_sum *sum, int64_t begin, int64_t end, int64_t all)
{
    sum->begin = begin;
    sum->end = end;
    sum->all = all;
    sum->blocks = 0;
}

void gradient_sum_prepare(struct gradient_sum *sum)
{
    float *next = vector(sum, sum->blocks);
    sum->device->row->fill(sum->device, next, 0, vector_bytes(sum));
    parameters_aim_gradient(sum->parameters, next);
}

/* The last block joins the one before it. */
static enum status merge(struct gradient_sum *sum, struct error *err)
{
    const int last = sum->blocks - 1;
    CHECK(last > 0 && sum->block[last].first == sum->block[last - 1].first + sum->block[last - 1].size);
    sum->sum->data = vector(sum, last - 1);
    sum->more->data = vector(sum, last);
    sum->device->err = err;
    TRY(program_start(sum->adding, sum->device));
    sum->block[last - 1].size += sum->block[last].size;
    sum->blocks = last;
    return OK;
}

enum status gradient_sum_take(struct gradient_sum *sum, struct error *err)
{
    const int64_t first = sum->blocks ? sum->block[sum->blocks - 1].first + sum->block[sum->blocks - 1].size : sum->begin;
    CHECK(first < sum->end);
    sum->block[sum->blocks].first = first;
    sum->block[sum->blocks++].size = 1;
    for (int64_t size = 1; sum->blocks > 1 && first & size && sum->block[sum->blocks - 2].size == size; size *= 2)
        TRY(merge(sum, err));
    return OK;
}

/* Who has a micro-batch. */
static int owner(const int64_t *begin, int64_t micro_batch)
{
    int rank = 0;
    while (begin[rank + 1] <= micro_batch)
        rank++;
    return rank;
}

static enum status send_block(struct gradient_sum *sum, int64_t first, int peer, struct error *err)
{
    int i = 0;
    while (sum->block[i].first != first)
        CHECK(++i < sum->blocks);
    return wire_send(&sum->wire, peer, vector(sum, i), vector_bytes(sum), err);
}

static enum status receive_block(struct gradient_sum *sum, int64_t first, int64_t size, int peer, struct error *err)
{
    CHECK(sum->blocks < MOST_BLOCKS);
    sum->block[sum->blocks].first = first;
    sum->block[sum->blocks].size = size;
    return wire_receive(&sum->wire, peer, vector(sum, sum->blocks++), vector_bytes(sum), err);
}

/* Puts block [first, first + size) together where it is not yet; all ranks walk the same blocks in the same order. A block is halved at most 63 times. */
static enum status complete(struct gradient_sum *sum, const int64_t *begin, int64_t first, int64_t size, struct error *err)
{
    const int64_t half = size / 2, end = first + size < sum->all ? first + size : sum->all;
    const int left = owner(begin, first), me = sum->comm->rank;
    if (size == 1 || (end == first + size && end <= begin[left + 1]))
        return OK; /* its owner has it */
    TRY(complete(sum, begin, first, half, err));
    if (first + half >= end)
        return OK;
    TRY(complete(sum, begin, first + half, half, err));
    const int right = owner(begin, first + half);
    if (me == right && me != left)
        return send_block(sum, first + half, left, err);
    if (me != left)
        return OK;
    if (right != left)
        TRY(receive_block(sum, first + half, end - first - half, right, err));
    return merge(sum, err);
}

enum status gradient_sum_finish(struct gradient_sum *sum, const int64_t *begin, struct error *err)
{
    const int root = owner(begin, 0);
    int64_t size = 1;
    while (size < sum->all)
        size *= 2;
    TRY(complete(sum, begin, 0, size, err));
    if (sum->comm->rank == root)
        CHECK(sum->blocks == 1 && sum->block[0].first == 0 && sum->block[0].size == sum->all);
    return sum->comm->ranks > 1 ? wire_broadcast(&sum->wire, root, sum->parameters->grad->data, vector_bytes(sum), err) : OK;
}

void gradient_sum_destroy(struct gradient_sum *sum)
{
    if (!sum->parameters)
        return;
    wire_close(&sum->wire);
    parameters_aim_gradient(sum->parameters, sum->parameters->grad->data);
    if (sum->spare)
        device_release(sum->device, sum->spare, (size_t)(sum->room - 1) * vector_bytes(sum));
    sum->spare = NULL;
}
