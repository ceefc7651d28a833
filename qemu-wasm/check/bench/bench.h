/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the rows of the benchmark share. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

/*
 * A row does the same work each time it is called and returns a checksum of it, so that an engine can't be fast by being
 * wrong. `operations` is how many of what the row counts one call does: some milliseconds' worth on an interpreter.
 */
struct row {
    const char *name;
    uint64_t operations;
    uint64_t (*work)(uint64_t operations);
};

extern const struct row flow_rows[], memory_rows[], compute_rows[], system_rows[];

/* Rows that time themselves: what happens once can't be repeated to get a longer time. */
void cold_rows(int wanted(const char *name));

void report(const char *name, double nanoseconds, uint64_t checksum);
double now(void); /* nanoseconds */
_Noreturn void give_up(const char *what);

static inline uint64_t mix(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ x << 17;
}

/* Keeps the compiler from seeing through a value, at no cost. */
#define OPAQUE(x) __asm__ volatile("" : "+r"(x))

#endif
