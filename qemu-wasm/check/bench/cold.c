/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Rows about code that is new: 2048 functions of some blocks each, written at run time, so that no engine can have seen them.
 * Timed are the first call of each, the second, and calls after 200 of each.
 */
#include "bench.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

enum { FUNCTIONS = 2048, ROOM = 256, ROUNDS = 200 };

typedef uint64_t function(uint64_t);

#ifdef __x86_64__
static unsigned char *emit(unsigned char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* rax = rdi; then six times: add, xor and rotate; and skip a subtraction when some bit is clear. */
static void write_function(unsigned char *at, uint64_t x)
{
    at = emit(at, "\x48\x89\xf8", 3);
    for (int i = 0; i < 6; i++) {
        uint32_t value = (uint32_t)(x = mix(x));
        at = emit(at, "\x48\x05", 2); /* add rax, value */
        at = emit(at, &value, 4);
        value ^= 0x5bd1e995;
        at = emit(at, "\x48\x35", 2); /* xor rax, value */
        at = emit(at, &value, 4);
        at = emit(at, "\x48\xc1\xc0", 3); /* rol rax, n */
        *at++ = (unsigned char)(1 + x % 60);
        at = emit(at, "\xa8", 1); /* test al, bit; jz over */
        *at++ = (unsigned char)(1 << (x >> 32 & 7));
        at = emit(at, "\x74\x06\x48\x2d", 4); /* sub rax, value */
        at = emit(at, &value, 4);
    }
    *at = 0xc3;
}
#else
/* Six times: add, exclusive or with itself rotated; and skip a subtraction when some bit is clear. */
static void write_function(unsigned char *bytes, uint64_t x)
{
    uint32_t code[6 * 5 + 1], *at = code;
    for (int i = 0; i < 6; i++) {
        x = mix(x);
        uint32_t value = (uint32_t)(x & 0xfff), by = (uint32_t)(1 + (x >> 12) % 60), bit = (uint32_t)(x >> 32 & 7);
        *at++ = 0x91000000 | value << 10;         /* add x0, x0, #value */
        *at++ = 0xcac00000 | by << 10;            /* eor x0, x0, x0, ror #by */
        *at++ = 0x91400000 | (value ^ 0x5a) << 10; /* add x0, x0, #value, lsl #12 */
        *at++ = 0x36000040 | bit << 19;           /* tbz w0, #bit, over */
        *at++ = 0xd1000000 | (value ^ 0xa5) << 10; /* sub x0, x0, #value */
    }
    *at = 0xd65f03c0;
    memcpy(bytes, code, sizeof(code));
}
#endif

static uint64_t round_of_calls(unsigned char *code, uint64_t x)
{
    for (int i = 0; i < FUNCTIONS; i++) {
        x = ((function *)(code + i * ROOM))(x);
    }
    return x;
}

void cold_rows(int wanted(const char *name))
{
    if (!wanted("cold-first") && !wanted("cold-second") && !wanted("functions-2048")) {
        return;
    }
    unsigned char *code = mmap(NULL, FUNCTIONS * ROOM, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) {
        give_up("mmap");
    }
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < FUNCTIONS; i++) {
        write_function(code + i * ROOM, x = mix(x));
    }
    __builtin___clear_cache((char *)code, (char *)code + FUNCTIONS * ROOM);

    double start = now();
    uint64_t sum = round_of_calls(code, 1);
    double first = now() - start;
    if (wanted("cold-first")) {
        report("cold-first", first / FUNCTIONS, sum);
    }
    start = now();
    sum = round_of_calls(code, sum);
    double second = now() - start;
    if (wanted("cold-second")) {
        report("cold-second", second / FUNCTIONS, sum);
    }
    if (wanted("functions-2048")) {
        for (int i = 2; i < ROUNDS; i++) {
            sum = round_of_calls(code, sum);
        }
        start = now();
        for (int i = 0; i < 10; i++) {
            sum = round_of_calls(code, sum);
        }
        report("functions-2048", (now() - start) / FUNCTIONS / 10, sum);
    }
    munmap(code, FUNCTIONS * ROOM);
}
