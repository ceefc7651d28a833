/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The software TLB's hit, for the interpreter. Compiled code has the same in
 * wasm-memory.c.
 */

#ifndef WASM_TLB_H
#define WASM_TLB_H

#include "exec/memopidx.h"
#include "exec/target_page.h"
#include "exec/tlb-common.h"
#include "hw/core/cpu.h"

/*
 * Where in our memory the guest's @addr is, or NULL if the access @oi has to
 * take the slow path: no entry, a device, a watchpoint, unaligned, or bytes in
 * the other order. @comparator is the field of CPUTLBEntry that decides.
 */
static inline void *wasm_tlb_hit(CPUArchState *env, uint64_t addr, MemOpIdx oi,
                                 size_t comparator)
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

    if (*(const uint64_t *)((const char *)entry + comparator) !=
        (addr & (TARGET_PAGE_MASK | unaligned)) ||
        (get_memop(oi) & MO_BSWAP)) {
        return NULL;
    }
    return (void *)(uintptr_t)(addr + entry->addend);
}

#endif
