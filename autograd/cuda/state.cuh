/* What a GPU keeps while it is open, and how kernels complain about the values they read.
 *
 * Nothing on the host waits for a kernel, so a bad index cannot be returned as an error where it is found. A kernel leaves the first one it meets in the
 * device's complaint and leaves out what depends on it; synchronize() makes the error of it. Each kind has one text, in device_cuda.cu.
 */
#ifndef GRAFT_AUTOGRAD_CUDA_STATE_CUH
#define GRAFT_AUTOGRAD_CUDA_STATE_CUH

#include <cuda_runtime.h>

extern "C" {
#include "autograd/device.h"
}

enum complaint_kind { NO_COMPLAINT, EMBED_ID, COLUMN_ID, CACHE_SLOT, ROW_INDEX, HEAD_LABEL, ATTENTION_SPAN, ANGLE_SPAN, COMPLAINTS };

struct complaint {
    int kind;
    long long number[7]; /* what the text of the kind prints, in its order */
};

/* Downloads on their way: they come here first, since only into pinned memory does a GPU write while the host goes on. */
enum { MOST_LATER = 64 };
struct later {
    char *arrived; /* pinned */
    size_t used;
    int count;
    struct {
        void *to;
        size_t at, bytes;
    } one[MOST_LATER];
};

struct cuda_state {
    cudaStream_t stream;
    struct complaint *complaint; /* on the device */
    char *staging;               /* pinned: uploads go through its two halves in turn, many small ones through one */
    cudaEvent_t half_is_free[2];
    int half;            /* where the next upload goes */
    size_t half_used;    /* of it */
    struct later *later; /* downloads that synchronize() hands over */
    struct lt_state *lt; /* what products keep between calls (autograd/cuda/gemm.h) */
};

#endif
