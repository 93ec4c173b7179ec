/* The activation of a node at one point: what activation.cu and gated.cu share. */
#ifndef GRAFT_AUTOGRAD_CUDA_CURVES_CUH
#define GRAFT_AUTOGRAD_CUDA_CURVES_CUH

#include "autograd/cuda/kernel.cuh"

static __device__ inline struct curve curve_at(enum activation which, float x)
{
    switch (which) {
    case SILU:
        return silu_f32(x);
    case GELU:
        return gelu_f32(x);
    case GELU_TANH:
        return gelu_tanh_f32(x);
    case RELU:
        return relu_f32(x);
    case TANH:
        return tanh_curve_f32(x);
    }
    return (struct curve){ 0, 0 };
}

#endif
