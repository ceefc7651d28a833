/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest loads and stores: the hit in QEMU's software TLB is inlined, all else
 * is a call of the helper that the interpreter uses.
 */

#include "qemu/osdep.h"
#include "exec/memopidx.h"
#include "exec/target_page.h"
#include "exec/tlb-common.h"
#include "exec/tlb-flags.h"
#include "hw/core/cpu.h"
#include "tcg/tcg.h"
#include "tcg/tcg-ldst.h"
#include "wasm-translate.h"

/* Of an access: the low address bits that must be zero on the fast path. */
static unsigned alignment_mask(WasmCompiler *c, MemOp mop)
{
    unsigned bits = memop_alignment_bits(mop);

    if (tb_cflags(c->tb) & CF_PARALLEL) {
        switch (mop & MO_ATOM_MASK) {
        case MO_ATOM_WITHIN16:
        case MO_ATOM_WITHIN16_PAIR:
        case MO_ATOM_SUBALIGN:
            /* Parts of an unaligned access have to be atomic. */
            bits = MAX(bits, mop & MO_SIZE);
            break;
        default:
            break;
        }
    }
    return (1u << bits) - 1;
}

/*
 * Leaves on the stack whether the access hits in the TLB, and the address of
 * the entry in LOCAL_TLB.
 */
static void test_tlb(WasmCompiler *c, unsigned addr, MemOpIdx oi,
                     uint32_t comparator)
{
    WasmBuffer *b = &c->code;
    unsigned align = alignment_mask(c, get_memop(oi));
    unsigned size = memop_size(get_memop(oi)) - 1;
    uint32_t fast = WASM_ENV_BIAS - sizeof(CPUNegativeOffsetState) +
        offsetof(CPUNegativeOffsetState,
                 tlb.f[mmuidx_to_fast_index(get_mmuidx(oi))]);

    wasm_get_reg(c, addr);
    wasm_i64_const(b, TARGET_PAGE_BITS - CPU_TLB_ENTRY_BITS);
    wasm_op(b, WASM_i64_shr_u);
    wasm_op(b, WASM_i32_wrap_i64);
    wasm_op_u32(b, WASM_local_get, LOCAL_BASE);
    wasm_memory_op(b, WASM_i32_load, fast + offsetof(CPUTLBDescFast, mask));
    wasm_op(b, WASM_i32_and);
    wasm_op_u32(b, WASM_local_get, LOCAL_BASE);
    wasm_memory_op(b, WASM_i32_load, fast + offsetof(CPUTLBDescFast, table));
    wasm_op(b, WASM_i32_add);
    wasm_op_u32(b, WASM_local_tee, LOCAL_TLB);
    wasm_memory_op(b, WASM_i64_load, comparator);

    /* The page of the access, and what spoils its alignment. */
    wasm_get_reg(c, addr);
    if (align < size) {
        wasm_i64_const(b, size - align); /* the last byte's page */
        wasm_op(b, WASM_i64_add);
    }
    wasm_i64_const(b, (int64_t)TARGET_PAGE_MASK | align);
    wasm_op(b, WASM_i64_and);
    wasm_op(b, WASM_i64_eq);
}

static void host_address(WasmCompiler *c, unsigned addr)
{
    WasmBuffer *b = &c->code;

    wasm_get_reg(c, addr);
    wasm_op(b, WASM_i32_wrap_i64);
    wasm_op_u32(b, WASM_local_get, LOCAL_TLB);
    wasm_memory_op(b, WASM_i32_load, offsetof(CPUTLBEntry, addend));
    wasm_op(b, WASM_i32_add);
}

void wasm_guest_load(WasmCompiler *c, unsigned rd, unsigned ra, MemOpIdx oi,
                     const uint32_t *pos)
{
    static const struct {
        void *slow;
        WasmOpcode fast;
    } loads[] = {
        [MO_UB] = { helper_ldub_mmu, WASM_i64_load8_u },
        [MO_SB] = { helper_ldsb_mmu, WASM_i64_load8_s },
        [MO_UW] = { helper_lduw_mmu, WASM_i64_load16_u },
        [MO_SW] = { helper_ldsw_mmu, WASM_i64_load16_s },
        [MO_UL] = { helper_ldul_mmu, WASM_i64_load32_u },
        [MO_SL] = { helper_ldsl_mmu, WASM_i64_load32_s },
        [MO_UQ] = { helper_ldq_mmu, WASM_i64_load },
    };
    WasmBuffer *b = &c->code;
    MemOp mop = get_memop(oi);
    bool inlined = !(mop & MO_BSWAP);

    if (inlined) {
        test_tlb(c, ra, oi, offsetof(CPUTLBEntry, addr_read));
        wasm_op(b, WASM_if);
        wasm_byte(b, WASM_I64);
        host_address(c, ra);
        wasm_memory_op(b, loads[mop & MO_SSIZE].fast, 0);
        wasm_op(b, WASM_else);
    }
    wasm_globals_flush(c);
    wasm_op_u32(b, WASM_local_get, LOCAL_ENV);
    wasm_get_reg(c, ra);
    wasm_i32_const(b, oi);
    wasm_i64_const(b, (uintptr_t)pos);
    wasm_call(c, loads[mop & MO_SSIZE].slow,
              (WasmSignature) { .n_params = 4, .mask = 0xb,
                                .result = WASM_I64 });
    if (inlined) {
        wasm_op(b, WASM_end);
    }
    wasm_set_reg(c, rd);
}

void wasm_guest_store(WasmCompiler *c, unsigned rd, unsigned ra, MemOpIdx oi,
                      const uint32_t *pos)
{
    static const struct {
        void *slow;
        WasmOpcode fast;
    } stores[] = {
        [MO_8] = { helper_stb_mmu, WASM_i64_store8 },
        [MO_16] = { helper_stw_mmu, WASM_i64_store16 },
        [MO_32] = { helper_stl_mmu, WASM_i64_store32 },
        [MO_64] = { helper_stq_mmu, WASM_i64_store },
    };
    WasmBuffer *b = &c->code;
    MemOp mop = get_memop(oi), size = mop & MO_SIZE;
    bool inlined = !(mop & MO_BSWAP);

    if (inlined) {
        test_tlb(c, ra, oi, offsetof(CPUTLBEntry, addr_write));
        wasm_op(b, WASM_if);
        wasm_byte(b, WASM_EMPTY);
        host_address(c, ra);
        wasm_get_reg(c, rd);
        wasm_memory_op(b, stores[size].fast, 0);
        wasm_op(b, WASM_else);
    }
    wasm_globals_flush(c);
    wasm_op_u32(b, WASM_local_get, LOCAL_ENV);
    wasm_get_reg(c, ra);
    wasm_get_reg(c, rd);
    if (size != MO_64) {
        wasm_op(b, WASM_i32_wrap_i64);
    }
    wasm_i32_const(b, oi);
    wasm_i64_const(b, (uintptr_t)pos);
    wasm_call(c, stores[size].slow,
              (WasmSignature) { .n_params = 5,
                                .mask = size == MO_64 ? 0x17 : 0x13 });
    if (inlined) {
        wasm_op(b, WASM_end);
    }
}
