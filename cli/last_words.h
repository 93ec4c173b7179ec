/* What is said when the process cannot go on from where it is: memory is gone, or a mapped file shrank under a reader. */
#ifndef GRAFT_CLI_LAST_WORDS_H
#define GRAFT_CLI_LAST_WORDS_H

#include <stddef.h>

/* Once, at the start of main(): from here on a lack of memory inside a library, a file cut short while it is mapped, a closed pipe and a file
 * size limit end in a message and exit status 1 (the last two as errors of the write that met them). */
void last_words_prepare(void);

/* The handler of arenas: says so and exits 1. Open outputs leave nothing, see common/files.h. */
_Noreturn void out_of_memory(size_t bytes);

#endif
