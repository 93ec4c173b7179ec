/* attention forward of bf16 on tensor cores: see attention_bf16.cuh, and attention_split.h for queries whose keys are shared out in parts. */
#include "autograd/ops/attention_bf16.cuh"

extern "C" {
#include "autograd/ops/attention_split.h"
}

/* Results of parts before they are joined; values NULL: there is one part, which is the result. */
struct parts {
    float *values;     /* [parts][lines][size]: sums of exp(score - largest) * value */
    float *statistics; /* [parts][lines][2]: the largest score, and the sum of exp(score - largest); a sum of 0: saw nothing */
    int64_t lines;
};

/* Of the two rows that a lane works on. */
struct running {
    float largest[2], sum[2]; /* sum: of this lane's keys */
};

/* Scores become exp(score - largest) with the largest so far, and what was summed before shrinks to fit. The sum is that of the shares that values are
 * multiplied by, so their rounding does not change what they add up to. */
template <int COUNT, int WIDTH> static __device__ inline void soften(struct sums (&scores)[COUNT], struct running &r, struct sums (&result)[WIDTH])
{
    float top[2] = { r.largest[0], r.largest[1] }, shrink[2];
    UNROLLED
    for (int at = 0; at < 8 * COUNT; at++)
        top[at / 2 % 2] = fmaxf(top[at / 2 % 2], scores[at / 8].value[at % 8]);
    UNROLLED
    for (int h = 0; h < 2; h++) {
        top[h] = fmaxf(top[h], __shfl_xor_sync(0xFFFFFFFFu, top[h], 1));
        top[h] = fmaxf(top[h], __shfl_xor_sync(0xFFFFFFFFu, top[h], 2));
        shrink[h] = top[h] == -INFINITY ? 1 : expf(r.largest[h] - top[h]); /* a row that has seen no key yet */
        r.largest[h] = top[h];
        r.sum[h] *= shrink[h];
    }
    UNROLLED
    for (int b = 0; b < COUNT; b++) {
        UNROLLED
        for (int i = 0; i < 8; i++)
            scores[b].value[i] = top[i / 2 % 2] == -INFINITY ? 0 : expf(scores[b].value[i] - top[i / 2 % 2]);
        round_to_bf16(scores[b]);
        UNROLLED
        for (int i = 0; i < 8; i++)
            r.sum[i / 2 % 2] += scores[b].value[i];
    }
    UNROLLED
    for (int at = 0; at < 8 * WIDTH; at++)
        result[at / 8].value[at % 8] *= shrink[at / 2 % 2];
}

template <int WIDTH>
static __device__ inline void write_rows(const struct attention &a, const struct row_tile &t, int line, const struct running &r,
                                         const struct sums (&result)[WIDTH], struct view y, float *lse, const struct parts &p)
{
    for (int h = 0; h < 2; h++) {
        float sum = h ? r.sum[1] : r.sum[0];
        sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
        sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 2);
        const int64_t row = t.first + line + sum_row(2 * h);
        if (row > t.last)
            continue;
        const int64_t at = line_of(a, t.span, t.kv_head, row) + (p.values ? blockIdx.z * p.lines : 0);
        const struct view to = p.values ? (struct view){ p.values, F32 } : y;
        write_line(to, at * a.size, 0, a.size, result, h, p.values ? 1 : 1 / sum, false);
        if (threadIdx.x % 4 != 0)
            continue;
        if (p.values) {
            p.statistics[2 * at] = h ? r.largest[1] : r.largest[0];
            p.statistics[2 * at + 1] = sum;
        } else {
            lse[at] = (h ? r.largest[1] : r.largest[0]) + logf(sum);
        }
    }
}

/* Keys of this block's part, in whole tiles. */
static __device__ inline void take_part(struct row_tile *t, int height)
{
    const int64_t parts = gridDim.z, each = ((t->end - t->from + parts - 1) / parts + height - 1) / height * height;
    t->from += blockIdx.z * each;
    t->end = t->from + each < t->end ? t->from + each : t->end;
}

template <int WIDE> __global__ void __launch_bounds__(BLOCK) forward_rows_bf16(struct attention a, struct view y, float *lse, struct parts p)
{
    constexpr int HEIGHT = ACROSS<WIDE>;
    SHARED_FLOATS(shared);
    struct row_tile t;
    if (!row_tile_of(a, LINES, &t))
        return;
    take_part(&t, HEIGHT);
    if (t.from >= t.end)
        return;
    const int line = threadIdx.x / WARP * SIDE, columns = padded(a.size);
    const struct tile q = tile_at(shared, a.size, 0);
    const struct row_facts row[2] = { facts_of(a, t.span, t.kv_head, t.first + line + sum_row(0), NULL, NULL),
                                      facts_of(a, t.span, t.kv_head, t.first + line + sum_row(2), NULL, NULL) };
    struct running r = { { -INFINITY, -INFINITY }, { 0, 0 } };
    struct sums result[WIDE / SIDE] = {};
    start_rows(q, LINES, a, t.span, t.kv_head, a.input[Q], t.first);
    start_keys(shared, LINES, HEIGHT, a, t.span, t.kv_head, t.from, t.end);
    int half = 0;
    for (int64_t from = t.from; from < t.end; from += HEIGHT, half = 1 - half) {
        const int here = LINES + 2 * HEIGHT * half, next = LINES + 2 * HEIGHT * (1 - half);
        wait_for_copies();
        __syncthreads(); /* this tile is there, and nobody reads the one before */
        if (from + HEIGHT < t.end)
            start_keys(shared, next, HEIGHT, a, t.span, t.kv_head, from + HEIGHT, t.end);
        if (t.first + line > t.last)
            continue;
        struct sums scores[HEIGHT / SIDE];
        products(scores, q, line, tile_at(shared, a.size, here), columns);
        UNROLLED
        for (int at = 0; at < 8 * HEIGHT / SIDE; at++) {
            const struct row_facts &of = row[at / 2 % 2];
            const int key = (int)from + at / 8 * SIDE + sum_column(at % 8);
            float &score = scores[at / 8].value[at % 8];
            score = sees_key(a, of, key) ? score_of(a, of, key, score) : -INFINITY;
        }
        soften(scores, r, result);
        add_lines(result, scores, tile_at(shared, a.size, here + HEIGHT), 0, columns);
    }
    write_rows(a, t, line, r, result, y, lse, p);
}

/* y and lse of a line, of all parts in order. */
struct joined_parts {
    struct parts p;
    int64_t parts, size;
    struct view y;
    float *lse;
    __device__ void operator()(int64_t line, int64_t first, int count) const
    {
        float top = -INFINITY, sum = 0, values[SPAN] = {};
        for (int64_t i = 0; i < parts; i++) {
            const float *of = p.statistics + 2 * (i * p.lines + line);
            top = of[1] > 0 ? fmaxf(top, of[0]) : top;
        }
        for (int64_t i = 0; i < parts; i++) {
            const float *of = p.statistics + 2 * (i * p.lines + line);
            if (!(of[1] > 0))
                continue;
            float some[SPAN];
            const float by = expf(of[0] - top);
            read(some, { p.values, F32 }, (i * p.lines + line) * size + first, count);
            sum += of[1] * by;
            for (int j = 0; j < SPAN; j++)
                values[j] += some[j] * by;
        }
        for (int j = 0; j < SPAN; j++)
            values[j] = sum > 0 ? values[j] / sum : 0; /* rows of no sequence stay 0 */
        write(y, line * size + first, count, values);
        if (first == 0)
            lse[line] = sum > 0 ? top + logf(sum) : 0;
    }
};

template <int WIDE> static size_t forward_bytes(const struct attention *a)
{
    return bytes_of_lines(a, LINES + 4 * ACROSS<WIDE>);
}

enum status attention_forward_bf16(struct device *device, const struct node *n, const struct attention *on)
{
    const struct attention a = *on;
    const struct tensor *y = n->out[Y], *lse = n->out[LSE];
    const int64_t parts = split_parts(a.q_rows, a.kv_heads, a.prefix + a.k_rows), lines = a.q_rows * a.heads;
    const unsigned tiles = most_tiles(&a, a.q_rows * a.group, LINES);
    struct parts p = { NULL, NULL, lines };
    if (parts > 1) {
        p.statistics = (float *)n->scratch;
        p.values = p.statistics + 2 * parts * lines;
        TRY(clear_bytes(device, n, p.statistics, (size_t)(2 * parts * lines) * sizeof(float)));
    } else {
        TRY(clear_bytes(device, n, y->data, tensor_bytes(y))); /* rows of no sequence stay 0 */
        TRY(clear_bytes(device, n, lse->data, tensor_bytes(lse)));
    }
    if (tiles > 0)
        LAUNCH_BY_WIDTH(device, dim3(tiles, (unsigned)a.kv_heads, (unsigned)parts), a, forward_bytes, forward_rows_bf16, a, view_of(y), (float *)lse->data, p);
    TRY(launched(device, n));
    const struct joined_parts f = { p, parts, a.size, view_of(y), (float *)lse->data };
    return parts > 1 ? for_spans(device, n, lines, a.size, f) : OK;
}
