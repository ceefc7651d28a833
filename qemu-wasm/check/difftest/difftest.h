/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The differential test's two parts: main.c runs blocks and prints what came of them; x86_64.c and aarch64.c generate
 * the code, enter it and know the registers. Everything a block can see lies at fixed addresses, so that two machines
 * that run the same seed have to print the same lines.
 */
#ifndef DIFFTEST_H
#define DIFFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <ucontext.h>

/* Fixed places: data around the border between two pages, code, the blocks' stack, and an address that nothing is at. */
#define DATA_AT 0x10000000ul
#define DATA_SIZE 0x2000ul
#define DATA_BASE (DATA_AT + 0x1000) /* what the base register holds */
#define DATA_LOW (-768)              /* the bytes that blocks may change, from DATA_BASE */
#define DATA_HIGH 1280
#define CODE_AT 0x20000000ul
#define CODE_SLOTS 64 /* of a page each; a slot used again has its old code thrown away */
#define STACK_AT 0x30000000ul
#define STACK_SIZE 0x4000ul
#define NOTHING_AT 0x40000000ul

/* xorshift64*: small, and the same everywhere. */
struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t x = rng->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    rng->state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* A number below n. */
static inline unsigned rng_below(struct rng *rng, unsigned n)
{
    return (unsigned)(((rng_next(rng) >> 32) * n) >> 32);
}

static inline bool rng_chance(struct rng *rng, unsigned one_in)
{
    return rng_below(rng, one_in) == 0;
}

/* A value as programs have them: often small, often at an edge. */
uint64_t rng_value(struct rng *rng);
/* The bits of a float or a double, also of zeros, denormals, infinities and NaNs; `wide` says double. */
uint64_t rng_float(struct rng *rng, bool wide);

/* Code being written. Branches go forward to a statement that is not written yet; `pending` holds the places to fill in. */
struct code {
    uint8_t *start, *at;
    struct rng *rng;
    int level;       /* 1: the base instruction set; 2: with later extensions */
    unsigned index;  /* the current statement */
    struct pending {
        uint8_t *place;
        unsigned target;
    } pending[64];
    unsigned n_pending;
    uint8_t *loop;     /* the head of the loop that we are in, or NULL */
    unsigned loop_end; /* the statement before which it ends */
};

/* The registers before and after a block. */
struct state;
extern struct state state;

/* Writes one statement (an instruction, or a few that belong together). */
void arch_statement(struct code *code);
/* Makes the pending branch at `place` go to the current end of the code. */
void arch_patch(struct code *code, uint8_t *place);
/* Opens and closes a loop of a few rounds; closes the block. */
void arch_loop_begin(struct code *code);
void arch_loop_end(struct code *code);
void arch_end(struct code *code);

void arch_randomise(struct rng *rng);
/* Runs the code with the registers in `state`, which then holds what they are after it. */
void arch_run(const void *code);
/* Takes the registers from a signal's context into `state`. */
void arch_caught(ucontext_t *context);
uintptr_t arch_pc(ucontext_t *context);
/* Lets the signal's handler return to the end of arch_run. */
void arch_leave(ucontext_t *context);
/* Steps over an instruction that the machine does not know; false: leave the block. */
bool arch_skip(ucontext_t *context);
/* The bytes of `state` that count. */
const void *arch_visible(size_t *size);
void arch_print(void);

#endif
