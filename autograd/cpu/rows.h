/* What CPU kernels share: elements of any float dtype seen as f32, and loops over fixed tiles of rows.
 *
 * A kernel computes on spans of f32 values, SPAN at most where it brings its own buffer on the stack. span_read() gives a pointer to values: the storage itself
 * when that is f32, else `buffer` filled with widened values. span_open()/span_close() do the same for writing: open gives where to write (the storage itself,
 * or buffer), close narrows (round to nearest even). BF16 and F16 are only storage here. Spans may cross rows: a matrix is contiguous.
 */
#ifndef GRAFT_AUTOGRAD_CPU_ROWS_H
#define GRAFT_AUTOGRAD_CPU_ROWS_H

#include "autograd/tensor.h"

/* Kernel loops are compiled for several instruction sets and chosen when the program starts (never by the machine that built it). Sanitizers and ifuncs do not
 * mix. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(GRAFT_SANITIZE)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

enum { ROW_TILE = 32 }; /* rows per task: fixed, so that sums over rows never depend on the number of threads */

static inline int64_t row_tiles(int64_t rows)
{
    return (rows + ROW_TILE - 1) / ROW_TILE;
}

void widen(float *to, const void *from, enum dtype dtype, int64_t count);  /* from F32, BF16, F16 */
void narrow(void *to, const float *from, enum dtype dtype, int64_t count); /* to F32, BF16, F16 */

/* `count` elements from element `first` of the whole matrix on. values is what span_open returned. */
enum { SPAN = 1024 };
const float *span_read(const struct tensor *t, int64_t first, int64_t count, float *buffer);
float *span_open(const struct tensor *t, int64_t first, float *buffer);
void span_close(const struct tensor *t, int64_t first, int64_t count, const float *values);
/* For gradients: where to write what is then set or added, and the setting or adding. The loop between them never looks at what was there. */
float *span_open_gradient(const struct tensor *t, int64_t first, float *buffer, bool add);
void span_close_gradient(const struct tensor *t, int64_t first, int64_t count, const float *values, bool add);

/* Below so many elements a parallel region costs more than it saves: #pragma omp parallel for if (elements >= WORTH_THREADS). */
enum { WORTH_THREADS = 16384 };

/* The length of the span from `first` on, of `count` elements in all. */
static inline int64_t span_length(int64_t first, int64_t count)
{
    return count - first < SPAN ? count - first : SPAN;
}

/* to = from, or to += from; any two float dtypes, any count. Matrices of one dtype (integers too) are copied as they are. */
void span_copy(const struct tensor *to, int64_t to_first, const struct tensor *from, int64_t from_first, int64_t count, bool add);

#endif
