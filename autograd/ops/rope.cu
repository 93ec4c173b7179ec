/* rope on a GPU: see rope.c. A thread turns a span of pairs of a head, or carries a span of the columns behind them. */
#include "autograd/cuda/kernel.cuh"

enum { X, ANGLES };
enum { Y };

struct turned_heads {
    struct view to, from, angles;
    int64_t rows, heads, size, pairs; /* pairs: of a head */
    bool neighbours, add;
    float sign; /* -1 turns back */
};

/* Pairs [first, first + count) of a head that begins at `start`: their first halves in low, their second halves in high; or, of neighbours, one after the
 * other, low going on in high. */
static __device__ inline void turn_span(const struct turned_heads &t, int64_t row, int64_t start, int64_t first, int count)
{
    constexpr int HALF = SPAN / 2;
    float low[SPAN], high[SPAN], c[SPAN], s[SPAN], first_of[SPAN], second_of[SPAN];
    const int64_t low_at = start + (t.neighbours ? 2 * first : first), high_at = t.neighbours ? low_at + SPAN : low_at + t.pairs;
    const int low_count = t.neighbours ? span_at(0, 2 * count) : count, high_count = t.neighbours ? 2 * count - low_count : count;
    read(c, t.angles, row * 2 * t.pairs + first, count);
    read(s, t.angles, row * 2 * t.pairs + t.pairs + first, count);
    read(low, t.from, low_at, low_count);
    read(high, t.from, high_at, high_count);
    for (int j = 0; j < SPAN; j++) {
        const float a = !t.neighbours ? low[j] : j < HALF ? low[2 * j] : high[2 * (j - HALF)];
        const float b = !t.neighbours ? high[j] : j < HALF ? low[2 * j + 1] : high[2 * (j - HALF) + 1];
        first_of[j] = a * c[j] - b * (t.sign * s[j]);
        second_of[j] = b * c[j] + a * (t.sign * s[j]);
    }
    for (int i = 0; i < SPAN; i++) {
        low[i] = !t.neighbours ? first_of[i] : i % 2 ? second_of[i / 2] : first_of[i / 2];
        high[i] = !t.neighbours ? second_of[i] : i % 2 ? second_of[HALF + i / 2] : first_of[HALF + i / 2];
    }
    write_gradient(t.to, low_at, low_count, low, t.add);
    write_gradient(t.to, high_at, high_count, high, t.add);
}

__global__ void turn_heads(struct turned_heads t)
{
    const int64_t turned = (t.pairs + SPAN - 1) / SPAN, spans = turned + (t.size - 2 * t.pairs + SPAN - 1) / SPAN;
    const int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, span = at % spans, head = at / spans % t.heads, row = at / spans / t.heads;
    const int64_t start = (row * t.heads + head) * t.size;
    if (row >= t.rows)
        return;
    if (span < turned) {
        turn_span(t, row, start, span * SPAN, span_at(span * SPAN, t.pairs));
        return;
    }
    const int64_t column = 2 * t.pairs + (span - turned) * SPAN;
    float same[SPAN];
    read(same, t.from, start + column, span_at(column, t.size));
    write_gradient(t.to, start + column, span_at(column, t.size), same, t.add);
}

static enum status turn(struct device *device, const struct node *n, const struct tensor *to, const struct tensor *from, float sign, bool add)
{
    const struct tensor *angles = n->in[ANGLES];
    const struct turned_heads t = { view_of(to),
                                    view_of(from),
                                    view_of(angles),
                                    to->rows,
                                    n->params.rope.heads,
                                    n->params.rope.head_size,
                                    angles->cols / 2,
                                    n->params.rope.pairs == NEIGHBOURS,
                                    add,
                                    sign };
    const int64_t spans = (t.pairs + SPAN - 1) / SPAN + (t.size - 2 * t.pairs + SPAN - 1) / SPAN, threads = t.rows * t.heads * spans;
    if (threads > 0)
        LAUNCH(device, (unsigned)((threads + THREADS - 1) / THREADS), THREADS, 0, turn_heads, t);
    return launched(device, n);
}

enum status rope_forward_cuda(struct device *device, const struct node *n)
{
    return turn(device, n, n->out[Y], n->in[X], 1, false);
}

enum status rope_backward_cuda(struct device *device, const struct node *n)
{
    return turn(device, n, n->in[X]->grad, n->out[Y]->grad, -1, adds(n, X));
}
