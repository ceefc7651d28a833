/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which order the processor under the browser keeps between memory accesses.
 *
 * WebAssembly's plain loads and stores are the processor's own, and browsers'
 * compilers do not reorder them. On x86 only a load may pass an earlier store,
 * so that nearly all barriers of guest code are superfluous there; a fence
 * before every guest access made guest code five times slower. WebAssembly has
 * no way to ask for the processor, but lets its floating-point unit show
 * through: x86 makes NaNs that are negative, Arm and RISC-V positive ones.
 */

#include "qemu/osdep.h"
#include "tcg/tcg-mo.h"
#include "qemu/atomic.h"

int wasm_host_memory_order;

/* For smp_mb(). */
__thread uint32_t wasm_fence_cell;

static void __attribute__((constructor)) find_host_order(void)
{
    volatile double infinity = INFINITY;
    double nan = infinity - infinity;
    uint64_t bits;

    memcpy(&bits, &nan, sizeof(bits));
    if (bits >> 63) {
        wasm_host_memory_order = TCG_MO_ALL & ~TCG_MO_ST_LD;
    }
}
