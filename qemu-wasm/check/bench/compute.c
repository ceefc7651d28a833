/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Rows that compute: floating point, vectors, atomics, SHA-256, and a mix like CoreMark's (lists, matrices, states, CRC). */
#include "bench.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static uint64_t floating_point(uint64_t n)
{
    double x = 1.5, y = 0.25, z = 3;
    for (uint64_t i = 0; i < n; i++) {
        x = x * 1.0000001 + y;
        y = y * 0.999 - x * 0.001;
        z = sqrt(z + x * x) / (1 + y * y);
    }
    uint64_t bits;
    x += y + z;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

typedef float floats __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16)));

/* SSE or NEON: one operation is four multiplications and additions of floats and four of integers. */
static uint64_t vector(uint64_t n)
{
    floats a = { 1, 2, 3, 4 }, b = { 0.5f, 0.25f, 0.125f, 2 };
    words c = { 1, 2, 3, 4 }, d = { 5, 6, 7, 8 };
    for (uint64_t i = 0; i < n; i++) {
        a = a * 0.999f + b;
        b = b * 0.5f + 0.25f;
        c = (c << 5 | c >> 27) + d;
        d ^= c;
    }
    words bits;
    memcpy(&bits, &a, sizeof(bits));
    bits ^= c + d;
    return (uint64_t)(bits[0] ^ bits[2]) << 32 | (bits[1] ^ bits[3]);
}

static uint64_t atomics(uint64_t n)
{
    static uint64_t counter, cell;
    counter = cell = 0;
    for (uint64_t i = 0; i < n; i += 2) {
        uint64_t old = __atomic_fetch_add(&counter, i | 1, __ATOMIC_SEQ_CST), expected = cell;
        __atomic_compare_exchange_n(&cell, &expected, old ^ expected, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    return counter ^ cell;
}

/* ---- SHA-256 (FIPS 180-4); the message is n bytes, a multiple of 64, without padding ---- */

static uint32_t rotated(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

/* The first 32 bits of the fractional parts of a root of the first primes. */
static void constants(uint32_t *to, int count, double root)
{
    for (int prime = 2, i = 0; i < count; prime++) {
        int divisor = 2;
        while (divisor * divisor <= prime && prime % divisor) {
            divisor++;
        }
        if (divisor * divisor > prime) {
            double value = root == 2 ? sqrt(prime) : cbrt(prime);
            to[i++] = (uint32_t)((value - floor(value)) * 4294967296.0);
        }
    }
}

static uint64_t sha256(uint64_t n)
{
    static uint32_t k[64], start[8];
    static unsigned char message[4096];
    if (!k[0]) {
        constants(k, 64, 3);
        constants(start, 8, 2);
        for (unsigned i = 0; i < sizeof(message); i++) {
            message[i] = (unsigned char)(i * 13);
        }
    }
    uint32_t state[8];
    memcpy(state, start, sizeof(state));
    for (uint64_t done = 0; done < n; done += 64) {
        const unsigned char *block = message + done % sizeof(message);
        uint32_t w[64];
        for (int i = 0; i < 16; i++) {
            w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
        }
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) + w[i - 7] + (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
        }
        uint32_t s[8];
        memcpy(s, state, sizeof(s));
        for (int i = 0; i < 64; i++) {
            uint32_t one = s[7] + (rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
                           k[i] + w[i];
            uint32_t two = (rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)) +
                           ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof(s[0]));
            s[4] += one;
            s[0] = one + two;
        }
        for (int i = 0; i < 8; i++) {
            state[i] += s[i];
        }
    }
    return (uint64_t)state[0] << 32 | state[7];
}

/* ---- a mix like CoreMark's ---- */

struct node {
    struct node *next;
    int value, index;
};

static struct node *merge_sorted(struct node *a, struct node *b)
{
    struct node head, *tail = &head;
    while (a && b) {
        struct node **less = a->value <= b->value ? &a : &b;
        tail->next = *less;
        tail = *less;
        *less = (*less)->next;
    }
    tail->next = a ? a : b;
    return head.next;
}

static struct node *sorted(struct node *list)
{
    if (!list || !list->next) {
        return list;
    }
    struct node *slow = list, *fast = list->next;
    while (fast && fast->next) {
        slow = slow->next;
        fast = fast->next->next;
    }
    struct node *second = slow->next;
    slow->next = NULL;
    return merge_sorted(sorted(list), sorted(second));
}

static uint16_t crc16(uint16_t crc, uint16_t value)
{
    for (int i = 0; i < 16; i++) {
        crc = (uint16_t)((crc ^ value) & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
        value >>= 1;
    }
    return crc;
}

/* Counts the tokens of a text that are integers, fractions, or neither. */
static void states(const char *text, uint32_t counts[3])
{
    enum { START, INTEGER, FRACTION, OTHER } state = START;
    for (; *text; text++) {
        if (*text == ',') {
            counts[state == INTEGER ? 0 : state == FRACTION ? 1 : 2]++;
            state = START;
        } else if (*text >= '0' && *text <= '9') {
            state = state == START ? INTEGER : state;
        } else if (*text == '.') {
            state = state == START || state == INTEGER ? FRACTION : OTHER;
        } else if (*text == '-' || *text == '+') {
            state = state == START ? INTEGER : OTHER;
        } else {
            state = OTHER;
        }
    }
}

static uint64_t coremark_like(uint64_t n)
{
    static struct node nodes[96];
    static int16_t a[10][10], b[10][10];
    uint16_t crc = 0xffff;
    for (uint64_t round = 0; round < n; round++) {
        for (int i = 0; i < 96; i++) {
            nodes[i] = (struct node){ i < 95 ? &nodes[i + 1] : NULL, (int)((round + 1) * (unsigned)(i + 7) * 2654435761u >> 20 & 0xfff), i };
        }
        int place = 0;
        for (struct node *node = sorted(nodes); node; node = node->next) {
            crc = crc16(crc, (uint16_t)(node->value + place++ * node->index));
        }
        for (int i = 0; i < 100; i++) {
            a[i / 10][i % 10] = (int16_t)(i * 3 + (int)round);
            b[i / 10][i % 10] = (int16_t)(i * 5 - (int)round);
        }
        for (int i = 0; i < 10; i++) {
            for (int j = 0; j < 10; j++) {
                int32_t sum = 0;
                for (int k = 0; k < 10; k++) {
                    sum += a[i][k] * b[k][j];
                }
                crc = crc16(crc, (uint16_t)(sum >> 3));
            }
        }
        uint32_t counts[3] = { 0, 0, 0 };
        states("512,-874,+122,.123,-110.5,T0.3e-1F,-5+3,1.2.3,+7.4,12,x9,33.,0,", counts);
        crc = crc16(crc, (uint16_t)(counts[0] << 8 | counts[1] << 4 | counts[2]));
    }
    return crc;
}

const struct row compute_rows[] = {
    { "floating-point", 6000, floating_point }, { "vector", 20000, vector },             { "atomics", 20000, atomics },
    { "sha256-byte", 16384, sha256 },           { "coremark-like", 10, coremark_like }, { NULL, 0, NULL },
};
