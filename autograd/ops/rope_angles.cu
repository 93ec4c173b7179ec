/* rope_angles on a GPU: see rope_angles.c. Dynamic frequencies are made again by the threads that use them: a block for each sequence. */
#include "autograd/cuda/kernel.cuh"

enum { POSITIONS, SPANS, INV_FREQ };
enum { ANGLES };

struct angle_rows {
    const int32_t *position;
    const float *inv_freq;
    float *angles;
    int64_t count; /* of frequencies */
    float amplitude;
    __device__ void set(int64_t row, int64_t j, float frequency) const
    {
        const float angle = (float)position[row] * frequency;
        angles[row * 2 * count + j] = cosf(angle) * amplitude;
        angles[row * 2 * count + count + j] = sinf(angle) * amplitude;
    }
    __device__ void operator()(int64_t row, int64_t first, int length) const
    {
        for (int64_t j = first; j < first + length; j++)
            set(row, j, inv_freq[j]);
    }
};

__global__ void angle_sequences(struct angle_rows f, const int32_t *spans, int64_t rows, struct dynamic_rope dynamic, struct complaint *complaint)
{
    const int64_t first = spans[4 * blockIdx.x], end = first + spans[4 * blockIdx.x + 1];
    if (first < 0 || end < first || end > rows) {
        if (threadIdx.x == 0)
            complain(complaint, ANGLE_SPAN, blockIdx.x, first, end, rows);
        return;
    }
    int64_t length = 0;
    for (int64_t r = first; r < end; r++)
        length = f.position[r] >= length ? (int64_t)f.position[r] + 1 : length;
    const float size = (float)(2 * f.count);
    const float growth = dynamic.factor * (float)length / (float)dynamic.original - (dynamic.factor - 1);
    const float base = dynamic.base * powf(growth, size / (size - 2));
    for (int64_t e = threadIdx.x; e < (end - first) * f.count; e += blockDim.x) {
        const int64_t j = e % f.count;
        f.set(first + e / f.count, j, length <= dynamic.original ? f.inv_freq[j] : 1 / powf(base, (float)(2 * j) / size));
    }
}

enum status rope_angles_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *spans = n->in[SPANS], *angles = n->out[ANGLES];
    const struct angle_rows f = { (const int32_t *)n->in[POSITIONS]->data, (const float *)n->in[INV_FREQ]->data, (float *)angles->data, n->in[INV_FREQ]->cols,
                                  n->params.angles.amplitude };
    if (n->params.angles.dynamic.factor == 0)
        return for_spans(device, n, angles->rows, f.count, f);
    if (spans->rows > 0)
        LAUNCH(device, (unsigned)spans->rows, THREADS, 0, angle_sequences, f, (const int32_t *)spans->data, n->in[POSITIONS]->rows, n->params.angles.dynamic,
               device->cuda->complaint);
    return launched(device, n);
}
