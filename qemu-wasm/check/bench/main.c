/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * bench: what guest code costs, row by row.
 *
 *   bench [ms=N] [ROW...]      all rows without any; at least N milliseconds (200) of each
 *   bench list
 *
 * Prints for each row its name, nanoseconds for an operation, and a checksum that every right engine agrees on. A row's work
 * is repeated in passes, each twice as many times as the last, until they are long enough; the best of some such passes
 * counts. So warming up is left out, save in the rows that are about it, and other work on the host matters little.
 */
#include "bench.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PASSES = 8 };
static double least_ns = 200e6;
static char **names;
static int n_names;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

void give_up(const char *what)
{
    perror(what);
    exit(1);
}

void report(const char *name, double nanoseconds, uint64_t checksum)
{
    printf("%s %.3f %016lx\n", name, nanoseconds, (unsigned long)checksum);
    fflush(stdout);
}

static int wanted(const char *name)
{
    for (int i = 0; i < n_names; i++) {
        if (strcmp(names[i], name) == 0) {
            return 1;
        }
    }
    return n_names == 0;
}

/* Does a row's work so many times and returns how long that took. */
static double pass(const struct row *row, uint64_t times, uint64_t checksum)
{
    double start = now();
    for (uint64_t i = 0; i < times; i++) {
        if (row->work(row->operations) != checksum) {
            fprintf(stderr, "%s: the same work gave another result\n", row->name);
            exit(1);
        }
    }
    return now() - start;
}

static void run(const struct row *row)
{
    uint64_t checksum = row->work(row->operations), times = 1;
    double best;
    while ((best = pass(row, times, checksum)) < least_ns / PASSES) {
        times *= 2;
    }
    for (int i = 1; i < PASSES; i++) {
        double took = pass(row, times, checksum);
        best = took < best ? took : best;
    }
    report(row->name, best / times / row->operations, checksum);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "nothing") == 0) {
        return 0; /* what the row about exec runs */
    }
    static const struct row *const groups[] = { flow_rows, memory_rows, compute_rows, system_rows };
    bool list = argc == 2 && strcmp(argv[1], "list") == 0;
    names = argv + 1;
    n_names = list ? 0 : argc - 1;
    if (n_names > 0 && strncmp(names[0], "ms=", 3) == 0) {
        least_ns = atof(names[0] + 3) * 1e6;
        names++;
        n_names--;
    }
    for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        for (const struct row *row = groups[i]; row->name; row++) {
            if (list) {
                printf("%s\n", row->name);
            } else if (wanted(row->name)) {
                run(row);
            }
        }
    }
    if (list) {
        printf("cold-first\ncold-second\nfunctions-2048\n");
    } else {
        cold_rows(wanted);
    }
    return 0;
}
