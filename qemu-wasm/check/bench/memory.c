/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Rows about memory: hits and misses of the translation lookaside buffer, and copies. */
#include "bench.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t tlb_hit(uint64_t n)
{
    static uint64_t words[2048];
    uint64_t sum = 0;
    memset(words, 0, sizeof(words));
    for (uint64_t i = 0; i < n; i++) {
        uint64_t *word = &words[i * 9 % 2048];
        *word += i;
        sum ^= *word;
    }
    return sum;
}

/*
 * Addresses 8 GiB apart: QEMU's TLB is mapped directly by the low bits of the page's number, at most 22 of them, so they all
 * fall on the same entry, and they are more than its victim TLB holds.
 */
enum { FAR_PAGES = 24 };
#define FAR_APART (8ul << 30)

static uint64_t tlb_miss(uint64_t n)
{
    static volatile uint64_t *pages[FAR_PAGES];
    if (!pages[0]) {
        char *room = mmap(NULL, FAR_APART * FAR_PAGES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (room == MAP_FAILED) {
            give_up("mmap");
        }
        for (int i = 0; i < FAR_PAGES; i++) {
            if (mprotect(room + FAR_APART * i, 4096, PROT_READ | PROT_WRITE)) {
                give_up("mprotect");
            }
            pages[i] = (volatile uint64_t *)(room + FAR_APART * i);
        }
    }
    uint64_t sum = 0;
    for (int i = 0; i < FAR_PAGES; i++) {
        *pages[i] = i;
    }
    for (uint64_t i = 0, at = 0; i < n; i++) {
        sum = sum * 3 + *pages[at];
        at = at == FAR_PAGES - 1 ? 0 : at + 1;
    }
    return sum;
}

static uint64_t copy(uint64_t n)
{
    static unsigned char from[8192], to[8192];
    for (unsigned i = 0; i < sizeof(from); i++) {
        from[i] = (unsigned char)(i * 7);
    }
    for (uint64_t i = 0; i < n; i += 4096) {
        const unsigned char *source = from + i / 4096 % 64;
        unsigned char *target = to + i / 4096 % 16;
#ifdef __x86_64__
        uint64_t count = 4096;
        __asm__ volatile("rep movsb" : "+S"(source), "+D"(target), "+c"(count) : : "memory");
#else
        memcpy(target, source, 4096);
        __asm__ volatile("" : : "r"(target) : "memory");
#endif
    }
    uint64_t sum = 0;
    for (unsigned i = 0; i < sizeof(to); i += 61) {
        sum = sum * 31 + to[i];
    }
    return sum;
}

const struct row memory_rows[] = {
    { "memory-tlb-hit", 60000, tlb_hit },
    { "memory-tlb-miss", 6000, tlb_miss },
    { "memcpy-byte", 64 * 4096, copy },
    { NULL, 0, NULL },
};
