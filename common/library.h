/* Shared libraries that only some runs need: opened while running, and found where they are usually kept. */
#ifndef GRAFT_COMMON_LIBRARY_H
#define GRAFT_COMMON_LIBRARY_H

#include <stddef.h>

/* Opens a library by its file name. First where the loader looks (LD_LIBRARY_PATH, the system's folders); then beside each folder of PATH, where CUDA toolkits
 * (in lib64) and Python environments (in lib/python3.N/site-packages/nvidia/PACKAGE/lib) keep it; then in the toolkit's usual folder. NULL if no place has one
 * that opens; `why` then holds what the loader said of the last that it tried. To be closed with dlclose(). */
void *library_open(const char *file, char why[256]);
/* A function of an open library; NULL if it has none of that name. */
void *library_function(void *library, const char *name);
/* The path that a function of a library was loaded from, into path; "" if nobody knows. */
void library_path(const void *function, char *path, size_t size);

#endif
