/* Where kernels run and bytes live. One row of functions per kind of device. */
#ifndef GRAFT_AUTOGRAD_DEVICE_H
#define GRAFT_AUTOGRAD_DEVICE_H

#include "autograd/tensor.h"
#include "common/arena.h"
#include "common/status.h"

enum device_kind { CPU, CUDA, DEVICES };

struct device {
    enum device_kind kind;
    const struct device_row *row;
    int threads;
    struct error *err; /* where kernels report: fail_with(device->err, ...) */
    char name[128];
    char aside[128];           /* of a CPU taken in place of a GPU: why, as " (...)", to stand behind the name; else empty */
    char place[24];            /* which of its kind: of a GPU its PCI bus */
    struct gemm_state *gemm;   /* CPU: what products keep between calls (autograd/cpu/gemm.h) */
    struct cuda_state *cuda;   /* CUDA: stream, staging and library (autograd/cuda/state.cuh) */
    struct captures *captures; /* of a device that can capture (autograd/captures.h) */
};

/* What a GPU is. Versions as CUDA counts them: 1000 * major + 10 * minor. */
struct device_facts {
    int capability; /* 10 * major + minor: 80, 90 */
    int driver;     /* the newest CUDA that the driver knows */
    int runtime;    /* the CUDA of this build */
    size_t memory, memory_free;
    double copy_rate; /* bytes per second within its memory, read and written ones counted; the best of a few large copies */
};

struct device_row {
    const char *name;
    bool host; /* its memory is the host's: tensor->data can be read as it is */
    enum status (*open)(struct device *device, int index);
    void (*close)(struct device *device);
    void *(*allocate)(struct device *device, size_t bytes); /* NULL: no memory left */
    void (*release)(struct device *device, void *bytes, size_t size);
    size_t (*footprint)(size_t bytes);          /* see device_footprint() */
    size_t (*available)(struct device *device); /* bytes that could be allocated now, of a device with memory of its own; NULL: it is the host's */
    void (*upload)(struct device *device, void *to, const void *from, size_t bytes);
    void (*download)(struct device *device, void *to, const void *from, size_t bytes);
    void (*download_later)(struct device *device, void *to, const void *from, size_t bytes); /* `to` is filled when synchronize() returns; nothing waits */
    void (*fill)(struct device *device, void *to, int byte, size_t bytes);
    enum status (*describe)(struct device *device, struct device_facts *facts); /* NULL where the processor itself is the device */
    /* Of a device that has its own memory: whether everything asked for so far is done, without waiting; and its stream, for libraries that use it. */
    enum status (*idle)(struct device *device, bool *idle);
    void *(*stream)(struct device *device);
    enum status (*synchronize)(struct device *device); /* see device_synchronize() */
    /* NULL: nothing would be gained. Work asked for between capture() and captured(), by kernels, fill and copies on the device, is not done but kept, with the
     * addresses and sizes of then; replay() asks for all of it in one call. Errors: LIBRARY; behind one of captured() nothing is kept. */
    enum status (*capture)(struct device *device);
    enum status (*captured)(struct device *device, void **work);
    enum status (*replay)(struct device *device, void *work);
    void (*forget)(struct device *device, void *work);
};

/* spec: "auto" (a GPU if this build and machine have one, else the CPU), "cpu", "cuda". threads 0: the cores this process may use. Errors: BAD_OPTION,
 * NO_DEVICE.
 */
enum status device_open(struct device *device, const char *spec, int threads, struct error *err) MUST_USE;
/* The same on the GPU of that number, counted around: of ranks on one host each takes its own. */
enum status device_open_nth(struct device *device, const char *spec, int index, int threads, struct error *err) MUST_USE;
void device_close(struct device *device);
/* Zeroed, 64-byte aligned (huge pages where they help). Errors: NO_MEMORY naming `what` and the bytes. */
enum status device_allocate(struct device *device, const char *what, size_t bytes, void **out, struct error *err) MUST_USE;
void device_release(struct device *device, void *bytes, size_t size); /* NULL is fine */
/* What an allocation of so many bytes really takes once it is in use; 0 for none. */
size_t device_footprint(const struct device *device, size_t bytes);
/* Everything asked for so far is done. Errors are those of the kernels since the last time. */
enum status device_synchronize(struct device *device, struct error *err) MUST_USE;
/* Uploads to the live rows of a tensor / downloads from them. What is uploaded may change at once, and nothing waits for it. */
void tensor_upload(struct device *device, struct tensor *t, const void *from);
void tensor_download(struct device *device, const struct tensor *t, void *to);
/* The live values for reading: where they lie on a device whose memory is the host's, else a copy in the arena. */
const void *tensor_values(struct device *device, struct arena *arena, const struct tensor *t);

/* Whether this build can use GPUs at all. */
bool device_has_cuda(void);
/* Whether this CPU multiplies bf16 in hardware (AVX512-BF16 or AMX). */
bool cpu_has_bf16(void);

#endif
