/* Includes KERNEL, a file of loops, once for each instruction set: define KERNEL, include this, and FASTEST(name) is the function for this CPU,
 * FASTEST_NARROW(name) the one where at most eight lanes are wanted. No guard is wanted. Inside KERNEL
 *
 *     FOR_SET(name)    is the name in this set,
 *     SET_LANES        floats fill a register: the compiler takes wider vectors apart, and cloning a function for another set comes too late for that,
 *     SET_REGISTERS    of them there are.
 *
 * Plain C comes first, so a kernel is free to name what only the wide sets have. Loops over elements, which the compiler vectorises by itself, need none of
 * this but WIDE (rows.h).
 */
#define FOR_SET(name) name##_plain
#define SET_LANES     4
#define SET_REGISTERS 16
#include KERNEL
#undef FOR_SET
#undef SET_LANES
#undef SET_REGISTERS

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define FOR_SET(name) name##_v3
#define SET_LANES     8
#define SET_REGISTERS 16
#include KERNEL
#undef FOR_SET
#undef SET_LANES
#undef SET_REGISTERS
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#define FOR_SET(name) name##_v4
#define SET_LANES     16
#define SET_REGISTERS 32
#include KERNEL
#undef FOR_SET
#undef SET_LANES
#undef SET_REGISTERS
#pragma GCC pop_options
#undef FASTEST
#define FASTEST(name) (__builtin_cpu_supports("x86-64-v4") ? name##_v4 : __builtin_cpu_supports("x86-64-v3") ? name##_v3 : name##_plain)
#undef FASTEST_NARROW
#define FASTEST_NARROW(name) (__builtin_cpu_supports("x86-64-v3") ? name##_v3 : name##_plain)
#else
#undef FASTEST
#define FASTEST(name) name##_plain
#undef FASTEST_NARROW
#define FASTEST_NARROW(name) name##_plain
#endif
#undef KERNEL
