/* How glibc's malloc behaves in this process, where that is settled before main(). */
#ifndef GRAFT_CLI_ALLOCATOR_H
#define GRAFT_CLI_ALLOCATOR_H

/* Once, before a command that multiplies does anything: returns in a process whose malloc has no caches of small pieces, or, where that could not be had, in
 * the process as it was. A user's own value of glibc.malloc.tcache_count in GLIBC_TUNABLES stays. argv as main() got it, ended by NULL. Takes about 4 ms. */
void allocator_prepare(char **argv);

#endif
