/* A stream that is as late as it may be: what is asked for runs when somebody waits for it, and not before. So what needs a wait and has none reads old bytes,
 * or bytes that are gone, which the sanitizer sees. While it is captured, work is only kept, and waiting or allocating ends the program. */
#include <cuda_runtime.h>

#include <stdio.h>
#include <vector>

typedef std::vector<std::function<void()>> work;

struct host_graph {
    work steps;
};

static struct {
    bool capturing;
    work asked, captured;
} host;

size_t host_gpu_used;

void host_ask(std::function<void()> one)
{
    (host.capturing ? host.captured : host.asked).push_back(std::move(one));
}

void host_finish(void)
{
    if (host.capturing) {
        fprintf(stderr, "cuda_on_host: waiting, or memory made or released, inside a capture\n");
        abort();
    }
    work now;
    now.swap(host.asked);
    for (const std::function<void()> &one : now)
        one();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    if (host.capturing)
        abort();
    host.capturing = true;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    *graph = new host_graph{ std::move(host.captured) };
    host.captured.clear();
    host.capturing = false;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *ready, cudaGraph_t graph, unsigned long long)
{
    *ready = new host_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t ready, cudaStream_t)
{
    for (const std::function<void()> &one : ready->steps)
        host_ask(one);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t ready)
{
    delete ready;
    return cudaSuccess;
}
