/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software TLB, for guest accesses that are not inlined in compiled code.
 * The hit is the same there, in wasm-memory.c.
 */

#ifndef WASM_TLB_H
#define WASM_TLB_H

#include "accel/tcg/probe.h"
#include "exec/memopidx.h"
#include "exec/target_page.h"
#include "exec/tlb-common.h"
#include "hw/core/cpu.h"

/*
 * Where in our memory the guest's @addr is, or NULL if the access @oi has to
 * take the slow path: no entry, a device, a watchpoint, unaligned, or bytes in
 * the other order.
 */
static inline void *wasm_tlb_hit(CPUArchState *env, uint64_t addr, MemOpIdx oi,
                                 MMUAccessType type)
{
    const CPUNegativeOffsetState *neg = (const void *)env - sizeof(*neg);
    const CPUTLBDescFast *fast =
        &neg->tlb.f[mmuidx_to_fast_index(get_mmuidx(oi))];
    uintptr_t index = (addr >> (TARGET_PAGE_BITS - CPU_TLB_ENTRY_BITS)) &
                      fast->mask;
    const CPUTLBEntry *entry = (const void *)fast->table + index;
    /* Pieces of a vector may ask for more than their own alignment. */
    uint64_t unaligned = (memop_size(get_memop(oi)) - 1) |
                         ((1u << memop_alignment_bits(get_memop(oi))) - 1);

    if (entry->addr_idx[type] != (addr & (TARGET_PAGE_MASK | unaligned)) ||
        (get_memop(oi) & MO_BSWAP)) {
        return NULL;
    }
    return (void *)(uintptr_t)(addr + entry->addend);
}

/*
 * The same in @host, with the TLB filled if need be. Returns false if the
 * access cannot be made now: the caller returns from generated code.
 */
static inline bool wasm_tlb_access(CPUArchState *env, uint64_t addr,
                                   MemOpIdx oi, MMUAccessType type,
                                   uintptr_t ra, void **host)
{
    *host = wasm_tlb_hit(env, addr, oi, type);
    if (unlikely(!*host)) {
        if (!tlb_map_access(env, addr, oi, type, ra)) {
            return false;
        }
        *host = wasm_tlb_hit(env, addr, oi, type);
    }
    return true;
}

#endif
