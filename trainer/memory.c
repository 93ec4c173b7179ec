/* What the machine says about memory. */
#include "trainer/memory.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

/* The number behind a format such as "MemAvailable: %" SCNu64, in the first line that matches; 0 if there is none. */
static uint64_t read_number(const char *path, const char *format)
{
    FILE *file = fopen(path, "re");
    uint64_t value = 0;
    char line[256];
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, format, &value) == 1) /* NOLINT: the formats are constants below */
            break;
    if (file)
        fclose(file);
    return value;
}

size_t memory_available(void)
{
    uint64_t available = read_number("/proc/meminfo", "MemAvailable: %" SCNu64) * 1024;
    if (available == 0) /* nobody says what is free: all there is */
        available = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = read_number("/sys/fs/cgroup/memory.max", "%" SCNu64), used = read_number("/sys/fs/cgroup/memory.current", "%" SCNu64);
    if (limit && limit > used && limit - used < available)
        available = limit - used;
    return available;
}

size_t memory_resident(void)
{
    return read_number("/proc/self/status", "VmRSS: %" SCNu64) * 1024;
}

size_t memory_peak(void)
{
    /* not getrusage(): that counts what the parent had when it started this process */
    return read_number("/proc/self/status", "VmHWM: %" SCNu64) * 1024;
}

struct memory memory_of(struct device *device)
{
    if (device->row->available)
        return (struct memory){ .available = device->row->available(device) };
    return (struct memory){ .resident = memory_resident(), .available = memory_available() };
}
