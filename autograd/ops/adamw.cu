/* adamw on a GPU: see adamw.c. */
#include "autograd/cuda/kernel.cuh"

enum { VALUE, GRAD, FIRST, SECOND, NORM_SQUARED, HYPER, ENDS, FACTORS };
enum { RATE, BETA1, BETA2, EPSILON, DECAY, MAX_NORM, STEP };
constexpr int64_t UNIT = 16;
static_assert(UNIT % SPAN == 0, "a span lies in one range");

struct vectors {
    float *value, *first, *second;
    const float *grad;
    int64_t count;
};

/* What every value needs to know, on the device. */
struct rules {
    const float *hyper, *norm_squared, *factors;
    const int32_t *ends;
    int64_t ranges;
};

/* What all values share. */
struct shared_update {
    float clip, root;
    double correction1;
};

static __device__ struct shared_update make_shared(const struct rules &r)
{
    const float *hyper = r.hyper;
    const double norm = sqrt((double)*r.norm_squared), clip = hyper[MAX_NORM] > 0 ? (double)hyper[MAX_NORM] / (norm + 1e-6) : 1;
    struct shared_update u;
    u.clip = clip > 1 ? 1 : (float)clip; /* a NaN stays one */
    u.correction1 = 1 - pow((double)hyper[BETA1], (double)hyper[STEP]);
    u.root = (float)sqrt(1 - pow((double)hyper[BETA2], (double)hyper[STEP]));
    return u;
}

/* The range of a value: the first whose end lies behind it, or the last. */
static __device__ int64_t range_of(const struct rules &r, int64_t at)
{
    int64_t low = 0, high = r.ranges - 1;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if ((int64_t)r.ends[middle] * UNIT > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* What all values share is made once a block: powers in double are slow. */
__global__ void update_values(struct vectors v, struct rules r)
{
    __shared__ struct shared_update u;
    if (threadIdx.x == 0)
        u = make_shared(r);
    __syncthreads();
    const float beta1 = r.hyper[BETA1], beta2 = r.hyper[BETA2], epsilon = r.hyper[EPSILON];
    for (int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * SPAN; at < v.count; at += (int64_t)gridDim.x * THREADS * SPAN) {
        const float *factor = r.factors + 2 * range_of(r, at);
        const double rate = (double)r.hyper[RATE] * (double)factor[0];
        const float keep = (float)(1 - rate * (double)r.hyper[DECAY] * (double)factor[1]), step_size = (float)(rate / u.correction1);
        for (int64_t i = at; i < at + SPAN && i < v.count; i++) {
            const float g = v.grad[i] * u.clip;
            v.first[i] = beta1 * v.first[i] + (1 - beta1) * g;
            v.second[i] = beta2 * v.second[i] + (1 - beta2) * (g * g);
            const float direction = v.first[i] / (sqrtf(v.second[i]) / u.root + epsilon);
            v.value[i] = v.value[i] * keep - step_size * (v.first[i] == 0 ? 0 : direction);
        }
    }
}

enum status adamw_forward_cuda(struct device *device, const struct node *n)
{
    const struct tensor *value = n->in[VALUE];
    const struct vectors v = { (float *)value->data, (float *)n->in[FIRST]->data, (float *)n->in[SECOND]->data, (const float *)n->in[GRAD]->data,
                               value->rows * value->cols };
    const struct rules r = { (const float *)n->in[HYPER]->data, (const float *)n->in[NORM_SQUARED]->data, (const float *)n->in[FACTORS]->data,
                             (const int32_t *)n->in[ENDS]->data, n->in[ENDS]->rows };
    const int64_t wanted = (v.count + THREADS * SPAN - 1) / (THREADS * SPAN), blocks = wanted < 1024 ? wanted : 1024;
    if (blocks > 0 && r.ranges > 0)
        LAUNCH(device, (unsigned)blocks, THREADS, 0, update_values, v, r);
    return launched(device, n);
}
