/* The threads of a block as fibers of one thread: each runs until it waits or ends, then the next. A fiber whose thread has ended takes another thread, so a
 * kernel without barriers uses one. Contexts are made once and then left and entered by the compiler's own longjmp, a few
 * instructions. */
#include <cuda_runtime.h>

#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(GRAFT_SANITIZE)
#include <sanitizer/common_interface_defs.h>
#define ANNOTATED 1
#else
#define ANNOTATED 0
#endif

enum { STACK = 256 << 10, WARP_THREADS = 32, MOST_THREADS = 1024 };
enum state { READY, WAITS_FOR_WARP, WAITS_FOR_BLOCK, ENDED };

struct fiber {
    char *stack;
    void *at[5];
    bool begun;
    unsigned thread;
    fiber *next_idle;
};

struct block_thread {
    state now;
    fiber *on; /* NULL: not begun, or ended */
};

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

static struct {
    void *scheduler[5];
    const void *scheduler_stack;
    size_t scheduler_size;
    fiber *idle, *running;
    block_thread thread[MOST_THREADS];
    unsigned exchanges[MOST_THREADS];
    host_slot slot[2][MOST_THREADS];
    const std::function<void()> *body;
    void *shared;
} host;

static void give_up(const char *why)
{
    fprintf(stderr, "cuda_on_host: block %u, thread %u: %s\n", blockIdx.x, threadIdx.x, why);
    abort();
}

static void enters(const void *stack, size_t size)
{
#if ANNOTATED
    __sanitizer_start_switch_fiber(NULL, stack, size);
#else
    (void)stack, (void)size;
#endif
}

static void entered(const void **from, size_t *size)
{
#if ANNOTATED
    __sanitizer_finish_switch_fiber(NULL, from, size);
#else
    (void)from, (void)size;
#endif
}

/* Does not come back. The compiler's longjmp must stand in another function than its setjmp. */
static __attribute__((noinline)) void jump(void **to)
{
    __builtin_longjmp(to, 1);
}

/* Back to the scheduler, until it comes here again. */
static void leave(state now)
{
    fiber *self = host.running;
    host.thread[self->thread].now = now;
    if (__builtin_setjmp(self->at) == 0) {
        enters(host.scheduler_stack, host.scheduler_size);
        jump(host.scheduler);
    }
    entered(NULL, NULL);
}

static void fiber_main(void)
{
    entered(&host.scheduler_stack, &host.scheduler_size);
    for (;;) {
        (*host.body)();
        fiber *self = host.running;
        host.thread[self->thread].on = NULL;
        self->next_idle = host.idle;
        host.idle = self;
        leave(ENDED);
    }
}

static fiber *new_fiber(void)
{
    fiber *f = new fiber();
    f->stack = static_cast<char *>(mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (f->stack == MAP_FAILED)
        give_up("no memory for its stack");
    return f;
}

static void begin(fiber *f)
{
    static ucontext_t context;
    f->begun = true;
    getcontext(&context);
    context.uc_stack.ss_sp = f->stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = NULL;
    makecontext(&context, fiber_main, 0);
    setcontext(&context);
}

/* The thread goes on until it waits or ends. */
static void resume(unsigned number)
{
    block_thread *t = &host.thread[number];
    if (!t->on) {
        t->on = host.idle ? host.idle : new_fiber();
        host.idle = host.idle ? host.idle->next_idle : NULL;
    }
    t->on->thread = number;
    host.running = t->on;
    threadIdx = { number, 0, 0 };
    if (__builtin_setjmp(host.scheduler) == 0) {
        enters(host.running->stack, STACK);
        if (host.running->begun)
            jump(host.running->at);
        begin(host.running);
    }
    entered(NULL, NULL);
}

static unsigned count_of(unsigned first, unsigned end, state now)
{
    unsigned count = 0;
    for (unsigned i = first; i < end; i++)
        count += host.thread[i].now == now;
    return count;
}

static void release(unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        host.thread[i].now = READY;
}

/* The i-th of count, from the front or from the back: a kernel that counts on one thread coming before another, without waiting for it, is right in one of the
 * two at most. Which it is looks random and is the same in every run. */
static unsigned in_turn(unsigned i, unsigned count, bool backwards)
{
    return backwards ? count - 1 - i : i;
}

static bool next_direction(void)
{
    static unsigned state = 1;
    state = state * 1664525 + 1013904223;
    return state >> 31;
}

/* A warp runs until all of it waits for the block, or has ended. */
static void run_warp(unsigned first, unsigned end)
{
    while (count_of(first, end, READY)) {
        const bool backwards = next_direction();
        for (unsigned i = 0; i < end - first; i++) {
            const unsigned thread = first + in_turn(i, end - first, backwards);
            if (host.thread[thread].now == READY)
                resume(thread);
        }
        unsigned waiting = count_of(first, end, WAITS_FOR_WARP);
        if (waiting && waiting < end - first)
            give_up("only a part of its warp came to a shuffle");
        if (waiting)
            release(first, end);
    }
}

static void run_block(unsigned threads)
{
    release(0, threads);
    for (unsigned i = 0; i < threads; i++)
        host.exchanges[i] = 0;
    for (unsigned ended = 0; ended < threads;) {
        const unsigned warps = (threads + WARP_THREADS - 1) / WARP_THREADS;
        const bool backwards = next_direction();
        for (unsigned i = 0; i < warps; i++) {
            const unsigned first = in_turn(i, warps, backwards) * WARP_THREADS;
            run_warp(first, first + WARP_THREADS < threads ? first + WARP_THREADS : threads);
        }
        ended = count_of(0, threads, ENDED);
        if (ended && ended < threads)
            give_up("only a part of its block came to __syncthreads()");
        if (!ended)
            release(0, threads);
    }
}

void host_launch(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()> &body)
{
    const unsigned threads = block.x;
    gridDim = grid;
    blockDim = block;
    if (threads == 0 || threads > MOST_THREADS || block.y != 1 || block.z != 1 || grid.x == 0 || grid.y == 0 || grid.y > 65535 || grid.z == 0 || grid.z > 65535)
        give_up("no such launch is possible");
    host.body = &body;
    host.shared = malloc(shared_bytes ? shared_bytes : 1);
    const bool backwards = next_direction();
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = { in_turn(x, grid.x, backwards), in_turn(y, grid.y, backwards), in_turn(z, grid.z, backwards) };
                memset(host.shared, 0xFF, shared_bytes);
                run_block(threads);
            }
    free(host.shared);
}

void *host_shared(void)
{
    return host.shared;
}

void host_wait_for_block(void)
{
    leave(WAITS_FOR_BLOCK);
}

void host_wait_for_warp(void)
{
    leave(WAITS_FOR_WARP);
}

/* Two places in turn: who comes to the next exchange writes into the other one, and nobody comes to the one after it before all have read. */
const host_slot *host_exchange(const void *value, size_t size)
{
    const unsigned me = host.running->thread, turn = host.exchanges[me]++ % 2;
    memcpy(host.slot[turn][me].bytes, value, size);
    host_wait_for_warp();
    return host.slot[turn] + me / WARP_THREADS * WARP_THREADS;
}
