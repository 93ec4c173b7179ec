/* Block Krylov spaces with thick restarts. Vectors are rows, so that every inner loop runs along memory. */
#include "adapters/principal.h"

#include "common/random.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { TILE = 256, MOST_SWEEPS = 60, MOST_RESTARTS = 500 };
static const double tolerance = 1e-10;
/* Of the largest value: what the squares in G do not resolve any more, and no more than rounding in f32 weights. */
static const double smallest = 1e-7;

struct space {
    struct matrix w;
    bool on_left;           /* the basis holds left vectors */
    int64_t n, block, room; /* length of a vector, vectors of a block, of the whole basis */
    double *basis, *image;  /* [room, n]: orthonormal rows, and G times each */
    double *half;           /* [block, the larger side of w] */
    double *value, *turn;   /* [room], [room, room]: Rayleigh-Ritz values and the rotation to their vectors */
    double *product, *row;  /* [room, room], [room, n] */
    uint64_t seed, stream, drawn;
};

/* to [count, cols] = from [count, rows] W. Each tile of columns sums its rows in order. */
static void times(double *to, const double *from, int64_t count, const struct matrix *w)
{
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < w->cols; first += TILE) {
        const int64_t width = w->cols - first < TILE ? w->cols - first : TILE;
        double wide[TILE];
        for (int64_t k = 0; k < count; k++)
            memset(to + k * w->cols + first, 0, (size_t)width * sizeof *to);
        for (int64_t r = 0; r < w->rows; r++) {
            for (int64_t c = 0; c < width; c++)
                wide[c] = (double)w->values[r * w->cols + first + c];
            for (int64_t k = 0; k < count; k++) {
                const double factor = from[k * w->rows + r];
                double *sum = to + k * w->cols + first;
#pragma omp simd
                for (int64_t c = 0; c < width; c++)
                    sum[c] += factor * wide[c];
            }
        }
    }
}

/* to [count, rows] = from [count, cols] W^T */
static void times_transposed(double *to, const double *from, int64_t count, const struct matrix *w)
{
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < w->rows; r++)
        for (int64_t k = 0; k < count; k++) {
            const float *row = w->values + r * w->cols;
            const double *v = from + k * w->cols;
            double sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t c = 0; c < w->cols; c++)
                sum += v[c] * (double)row[c];
            to[k * w->rows + r] = sum;
        }
}

static void to_larger(const struct space *s, double *to, const double *from, int64_t count)
{
    (s->on_left ? times : times_transposed)(to, from, count, &s->w);
}

static void to_smaller(const struct space *s, double *to, const double *from, int64_t count)
{
    (s->on_left ? times_transposed : times)(to, from, count, &s->w);
}

static void make_images(const struct space *s, int64_t first, int64_t end)
{
    to_larger(s, s->half, s->basis + first * s->n, end - first);
    to_smaller(s, s->image + first * s->n, s->half, end - first);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* to [i] += factor * from [i] */
static void add_multiple(double *to, double factor, const double *from, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        to[i] += factor * from[i];
}

static void draw(struct space *s, double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)random_normal(s->seed, s->stream, s->drawn++);
}

/* Gram-Schmidt done twice on rows [first, end) of the basis; what depends on the rows before it is drawn anew. */
static void make_orthonormal(struct space *s, int64_t first, int64_t end)
{
    for (int64_t row = first; row < end;) {
        double *v = s->basis + row * s->n;
        const double before = sqrt(dot(v, v, s->n));
        for (int64_t k = 0; k < 2 * row; k++) {
            const double *u = s->basis + k % row * s->n;
            add_multiple(v, -dot(u, v, s->n), u, s->n);
        }
        const double norm = sqrt(dot(v, v, s->n));
        if (!(norm > 1e-8 * before)) {
            draw(s, v, s->n);
            continue;
        }
        for (int64_t i = 0; i < s->n; i++)
            v[i] /= norm;
        row++;
    }
}

static void rotate(double *p, double *q, double cosine, double sine, int64_t count, int64_t stride)
{
    for (int64_t i = 0; i < count; i++) {
        const double a = p[i * stride], b = q[i * stride];
        p[i * stride] = cosine * a - sine * b;
        q[i * stride] = sine * a + cosine * b;
    }
}

/* The eigenvalues of the symmetric h [n, n] come to stand on its diagonal, their vectors in the rows of turn. Cyclic Jacobi. */
static void diagonalise(double *h, double *turn, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(h[i * n + i]));
        for (int64_t j = 0; j < n; j++)
            turn[i * n + j] = i == j;
    }
    bool turned = true;
    for (int sweep = 0; turned && sweep < MOST_SWEEPS; sweep++) {
        turned = false;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                if (fabs(h[p * n + q]) <= 1e-16 * largest)
                    continue;
                const double theta = (h[q * n + q] - h[p * n + p]) / (2 * h[p * n + q]);
                const double tangent = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1)), cosine = 1 / sqrt(tangent * tangent + 1);
                rotate(h + p, h + q, cosine, tangent * cosine, n, n);
                rotate(h + p * n, h + q * n, cosine, tangent * cosine, n, 1);
                rotate(turn + p * n, turn + q * n, cosine, tangent * cosine, n, 1);
                turned = true;
            }
    }
}

/* rows [keep, n] = turn [keep, have] rows [have, n] */
static void turn_rows(const struct space *s, double *rows, int64_t have, int64_t keep)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < keep; i++) {
        double *to = s->row + i * s->n;
        memset(to, 0, (size_t)s->n * sizeof *to);
        for (int64_t j = 0; j < have; j++)
            add_multiple(to, s->turn[i * have + j], rows + j * s->n, s->n);
    }
    memcpy(rows, s->row, (size_t)(keep * s->n) * sizeof *rows);
}

/* The largest `keep` Rayleigh-Ritz values of the first `have` rows take their place, descending. */
static void improve(struct space *s, int64_t have, int64_t keep)
{
    double *h = s->product;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < have; i++)
        for (int64_t j = 0; j < have; j++) {
            const int64_t low = i < j ? i : j, high = i < j ? j : i; /* symmetric to the bit */
            h[i * have + j] = dot(s->basis + low * s->n, s->image + high * s->n, s->n);
        }
    diagonalise(h, s->turn, have);
    for (int64_t i = 0; i < have; i++)
        s->value[i] = h[i * have + i];
    for (int64_t i = 0; i < keep; i++) {
        int64_t best = i;
        for (int64_t j = i + 1; j < have; j++)
            best = s->value[j] > s->value[best] ? j : best;
        const double value = s->value[i];
        s->value[i] = s->value[best];
        s->value[best] = value;
        for (int64_t j = 0; j < have; j++) {
            const double one = s->turn[i * have + j];
            s->turn[i * have + j] = s->turn[best * have + j];
            s->turn[best * have + j] = one;
        }
    }
    turn_rows(s, s->basis, have, keep);
    turn_rows(s, s->image, have, keep);
}

/* The residuals of the first block come behind row `keep`. Returns whether all are small. */
static bool make_residuals(struct space *s, int64_t keep)
{
    double worst = 0;
    for (int64_t i = 0; i < s->block; i++) {
        double *residual = s->basis + (keep + i) * s->n;
        memcpy(residual, s->image + i * s->n, (size_t)s->n * sizeof *residual);
        add_multiple(residual, -s->value[i], s->basis + i * s->n, s->n);
        worst = fmax(worst, sqrt(dot(residual, residual, s->n)));
    }
    return worst <= tolerance * s->value[0];
}

/* From the block that is there, block by block until the room is full. Returns the number of rows. */
static int64_t grow(struct space *s, int64_t first, int64_t have)
{
    while (true) {
        make_images(s, first, have);
        const int64_t more = s->room - have < s->block ? s->room - have : s->block;
        if (more == 0)
            return have;
        memcpy(s->basis + have * s->n, s->image + first * s->n, (size_t)(more * s->n) * sizeof *s->basis);
        make_orthonormal(s, have, have + more);
        first = have;
        have += more;
    }
}

static void converge(struct space *s)
{
    const int64_t keep = 2 * s->block;
    int64_t first = 0, have = s->block;
    for (int restart = 0; restart < MOST_RESTARTS; restart++) {
        have = grow(s, first, have);
        improve(s, have, have < keep ? have : keep);
        if (have == s->n || make_residuals(s, keep))
            return;
        first = keep;
        have = keep + s->block;
        make_orthonormal(s, first, have);
    }
}

static void iterate(struct space *s, int iterations)
{
    for (int i = 0; i < iterations; i++) {
        make_images(s, 0, s->block);
        memcpy(s->basis, s->image, (size_t)(s->block * s->n) * sizeof *s->basis);
        make_orthonormal(s, 0, s->block);
    }
    make_images(s, 0, s->block);
    improve(s, s->block, s->block);
}

struct principal principal_of(struct arena *arena, struct matrix w, int64_t count, int iterations, uint64_t seed, uint64_t stream)
{
    const bool on_left = w.rows < w.cols;
    const int64_t n = on_left ? w.rows : w.cols, larger = on_left ? w.cols : w.rows, wanted = iterations ? count : 4 * count + 32;
    struct space s = { .w = w, .on_left = on_left, .n = n, .block = count, .room = wanted < n ? wanted : n, .seed = seed, .stream = stream };
    struct principal found = { .count = count, .value = NEW_ARRAY(arena, count, double) };
    s.basis = arena_array(arena, (size_t)(s.room * n), sizeof(double)), s.image = arena_array(arena, (size_t)(s.room * n), sizeof(double));
    s.row = arena_array(arena, (size_t)(s.room * n), sizeof(double)), s.half = arena_array(arena, (size_t)(count * larger), sizeof(double));
    s.turn = arena_array(arena, (size_t)(s.room * s.room), sizeof(double)), s.product = arena_array(arena, (size_t)(s.room * s.room), sizeof(double));
    s.value = arena_array(arena, (size_t)s.room, sizeof(double));
    draw(&s, s.half, count * larger);
    to_smaller(&s, s.basis, s.half, count);
    make_orthonormal(&s, 0, count);
    if (iterations)
        iterate(&s, iterations);
    else
        converge(&s);
    to_larger(&s, s.half, s.basis, count);
    for (int64_t i = 0; i < count; i++) {
        double *v = s.half + i * larger;
        const double norm = sqrt(dot(v, v, larger));
        found.value[i] = i > 0 && norm <= smallest * found.value[0] ? 0 : norm;
        for (int64_t k = 0; k < larger; k++)
            v[k] = found.value[i] > 0 ? v[k] / norm : 0;
    }
    found.left = on_left ? s.basis : s.half;
    found.right = on_left ? s.half : s.basis;
    return found;
}
