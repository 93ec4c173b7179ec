/* The principal singular vectors of a matrix, in double precision.
 *
 * G is W W^T or W^T W, whichever is smaller, and is never formed: an orthonormal basis of a block Krylov space grows by products with W, the Rayleigh-Ritz
 * values of G on it are found by Jacobi rotations, and the best vectors start the next, larger space (thick restart) until they are eigenvectors of G to 1e-10
 * of its largest eigenvalue. A block has as many vectors as are wanted, so equal singular values are all found; a basis as large as G is exact.
 *
 * Sources: Halko, Martinsson, Tropp 2011, "Finding structure with randomness", algorithm 4.4 (a fixed number of iterations); Wu, Simon 2000, "Thick-restart
 * Lanczos method" (restarts).
 */
#ifndef GRAFT_ADAPTERS_PRINCIPAL_H
#define GRAFT_ADAPTERS_PRINCIPAL_H

#include "common/arena.h"

#include <stdint.h>

struct matrix {
    const float *values; /* [rows, cols] */
    int64_t rows, cols;
};

struct principal {
    int64_t count;
    double *value, *left, *right; /* [count], descending; [count, rows]; [count, cols]. What is 1e-7 of the largest value or less is zero, and so are its
                                     vectors of the longer side. */
};

/* The `count` (at most rows and cols) largest singular values and their vectors. iterations 0: until converged; else so many steps of subspace iteration on
 * `count` vectors, an approximation. The start is drawn from seed and stream; the result does not depend on the number of threads. */
struct principal principal_of(struct arena *arena, struct matrix w, int64_t count, int iterations, uint64_t seed, uint64_t stream);

#endif
