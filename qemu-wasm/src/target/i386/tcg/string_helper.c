/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rep movs and rep stos in bulk: as many elements at once as lie in the page
 * where each operand is, if that is RAM which the TLB knows. What remains is
 * left to the instruction's ordinary code: faults, devices, watchpoints, pages
 * with translated code in them, elements across a page's border.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "accel/tcg/cpu-ldst.h"
#include "accel/tcg/probe.h"
#include "exec/helper-proto.h"
#include "exec/memopidx.h"
#include "exec/target_page.h"
#include "helper-tcg.h"

/* One operand: where its first element is in our memory. */
typedef struct Operand {
    uint8_t *host;
    size_t count;   /* of elements from there to the page's border */
} Operand;

/* @step is the size of an element, negative where addresses go down. */
static Operand find(CPUX86State *env, target_ulong addr, MMUAccessType type,
                    int mmu_idx, int step)
{
    size_t size = abs(step), offset = addr & ~TARGET_PAGE_MASK;
    size_t room = step > 0 ? TARGET_PAGE_SIZE - offset : offset + size;
    Operand operand = { .count = room / size };

    if (offset + size > TARGET_PAGE_SIZE) {
        operand.count = 0;
    } else {
        operand.host = tlb_vaddr_to_host(env, addr, type, mmu_idx);
    }
    return operand;
}

/* One element after the other: each may be made of what was just written. */
#define COPY_ELEMENTS(type)                                             \
    for (size_t i = 0; i < count; i++, to += step, from += step) {      \
        type element;                                                   \
        memcpy(&element, from, sizeof(element));                        \
        memcpy(to, &element, sizeof(element));                          \
    }

static void copy(uint8_t *to, const uint8_t *from, size_t count, int step)
{
    /* The direction in which memmove() gives the same. */
    if (step > 0 ? to <= from || to >= from + count * step :
                   to >= from || to <= from + count * step) {
        size_t size = count * abs(step), before = step > 0 ? 0 : size + step;

        memmove(to - before, from - before, size);
        return;
    }
    switch (abs(step)) {
    case 1:
        COPY_ELEMENTS(uint8_t)
        break;
    case 2:
        COPY_ELEMENTS(uint16_t)
        break;
    case 4:
        COPY_ELEMENTS(uint32_t)
        break;
    default:
        COPY_ELEMENTS(uint64_t)
        break;
    }
}

#define FILL_ELEMENTS(type)                                             \
    for (size_t i = 0; i < count; i++, to += step) {                    \
        type element = value;                                           \
        memcpy(to, &element, sizeof(element));                          \
    }

static void fill(uint8_t *to, uint64_t value, size_t count, int step)
{
    size_t size = count * abs(step), before = step > 0 ? 0 : size + step;
    uint64_t mask = MAKE_64BIT_MASK(0, 8 * abs(step));
    uint64_t same = (value & 0xff) * 0x0101010101010101ull;

    /* All bytes are the same: 0, most of the time. */
    if (((value ^ same) & mask) == 0) {
        memset(to - before, value, size);
        return;
    }
    switch (abs(step)) {
    case 2:
        FILL_ELEMENTS(uint16_t)
        break;
    case 4:
        FILL_ELEMENTS(uint32_t)
        break;
    default:
        FILL_ELEMENTS(uint64_t)
        break;
    }
}

void helper_rep_movs(CPUX86State *env, target_ulong from, target_ulong to,
                     uint32_t oi)
{
    int mmu_idx = get_mmuidx(oi), step = env->df * (int)memop_size(get_memop(oi));
    Operand source, target;
    size_t count;

    if (!env->regs[R_ECX]) {
        return;
    }
    source = find(env, from, MMU_DATA_LOAD, mmu_idx, step);
    if (!source.host) {
        return;
    }
    target = find(env, to, MMU_DATA_STORE, mmu_idx, step);
    if (!target.host) {
        return;
    }
    count = MIN(env->regs[R_ECX], MIN(source.count, target.count));
    copy(target.host, source.host, count, step);
    env->regs[R_ECX] -= count;
    env->regs[R_ESI] += (target_long)count * step;
    env->regs[R_EDI] += (target_long)count * step;
}

void helper_rep_stos(CPUX86State *env, target_ulong to, uint32_t oi)
{
    int step = env->df * (int)memop_size(get_memop(oi));
    Operand target;
    size_t count;

    if (!env->regs[R_ECX]) {
        return;
    }
    target = find(env, to, MMU_DATA_STORE, get_mmuidx(oi), step);
    if (!target.host) {
        return;
    }
    count = MIN(env->regs[R_ECX], target.count);
    fill(target.host, env->regs[R_EAX], count, step);
    env->regs[R_ECX] -= count;
    env->regs[R_EDI] += (target_long)count * step;
}
