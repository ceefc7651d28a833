/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Rows about control flow: how translated blocks follow one another. */
#include "bench.h"

#include <stddef.h>

static uint64_t hot_block(uint64_t n)
{
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < n; i++) {
        x = mix(x);
        OPAQUE(x);
    }
    return x;
}

/* A branch that is taken about half of the time, and that the compiler can't make a conditional move of. */
static uint64_t two_blocks(uint64_t n)
{
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < n; i++) {
        x = mix(x);
        if (x & 1) {
            x += i;
            OPAQUE(x);
        }
    }
    return x;
}

static uint64_t four_blocks(uint64_t n)
{
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < n; i++) {
        x = mix(x);
        switch (x & 6) {
        case 0:
            x += i;
            OPAQUE(x);
            break;
        case 2:
            x ^= i;
            OPAQUE(x);
            break;
        case 4:
            x -= i;
            OPAQUE(x);
            break;
        default:
            OPAQUE(x);
        }
    }
    return x;
}

static __attribute__((noinline, noclone)) uint64_t callee(uint64_t x)
{
    OPAQUE(x);
    return x * 5 + 1;
}

static __attribute__((noinline, noclone)) uint64_t caller(uint64_t x)
{
    return callee(x) + 3 * callee(x + 1);
}

static uint64_t call_return(uint64_t n)
{
    uint64_t x = 1;
    for (uint64_t i = 0; i < n; i += 3) {
        x = caller(x);
    }
    return x;
}

#define TARGET(k) \
    static __attribute__((noinline, noclone)) uint64_t target_##k(uint64_t x) \
    { \
        OPAQUE(x); \
        return x * (2 * k + 3) + k; \
    }
TARGET(0) TARGET(1) TARGET(2) TARGET(3) TARGET(4) TARGET(5) TARGET(6) TARGET(7)

static uint64_t indirect_call(uint64_t n)
{
    static uint64_t (*const targets[])(uint64_t) = { target_0, target_1, target_2, target_3, target_4, target_5, target_6, target_7 };
    uint64_t x = 1;
    for (uint64_t i = 0; i < n; i++) {
        x = targets[x >> 61](mix(x));
    }
    return x;
}

const struct row flow_rows[] = {
    { "hot-block", 60000, hot_block },     { "blocks-2", 60000, two_blocks },           { "blocks-4", 60000, four_blocks },
    { "call-return", 30000, call_return }, { "indirect-call", 30000, indirect_call }, { NULL, 0, NULL },
};
