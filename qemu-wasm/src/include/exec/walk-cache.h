/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vCPU's page table walks found on the way: tables of the lower levels,
 * by the addresses that they are for. Processors have such caches, too (Intel
 * SDM, volume 3A, "Caches for Paging Structures"), and guests invalidate them
 * with their TLB: every flush of the TLB, also of a single page, empties it.
 */

#ifndef EXEC_WALK_CACHE_H
#define EXEC_WALK_CACHE_H

#include "hw/core/cpu.h"

enum { WALK_CACHE_BITS = 7 };

typedef struct WalkCacheEntry {
    uint64_t generation; /* of CPUTLBCommon */
    uint64_t root;       /* the register that the walk started from */
    uint64_t area;       /* see walk_cache_area() */
    uint64_t table;      /* the table's address */
    uint64_t attrs;      /* what the levels above have to say */
} WalkCacheEntry;

typedef struct WalkCache {
    WalkCacheEntry entries[1 << WALK_CACHE_BITS];
} WalkCache;

/* The addresses that a table is for which maps 2^@bits bytes. */
static inline uint64_t walk_cache_area(uint64_t addr, int bits)
{
    return addr >> bits << bits | bits;
}

static inline WalkCacheEntry *walk_cache_slot(WalkCache *cache, uint64_t area)
{
    return &cache->entries[area * 0x9e3779b97f4a7c15ull >>
                           (64 - WALK_CACHE_BITS)];
}

/* The entry for @area, or NULL. */
static inline const WalkCacheEntry *walk_cache_find(CPUState *cpu,
                                                    WalkCache *cache,
                                                    uint64_t root,
                                                    uint64_t area)
{
    const WalkCacheEntry *entry = walk_cache_slot(cache, area);

    return entry->area == area && entry->root == root &&
           entry->generation == cpu->neg.tlb.c.walk_generation ? entry : NULL;
}

static inline void walk_cache_add(CPUState *cpu, WalkCache *cache,
                                  uint64_t root, uint64_t area,
                                  uint64_t table, uint64_t attrs)
{
    *walk_cache_slot(cache, area) = (WalkCacheEntry) {
        .generation = cpu->neg.tlb.c.walk_generation,
        .root = root,
        .area = area,
        .table = table,
        .attrs = attrs,
    };
}

#endif
