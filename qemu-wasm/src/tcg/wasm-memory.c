/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest loads and stores: in optimized code the hit in QEMU's software TLB is
 * inlined, all else is a call.
 */

#include "qemu/osdep.h"
#include "exec/memopidx.h"
#include "exec/target_page.h"
#include "exec/tlb-common.h"
#include "exec/tlb-flags.h"
#include "hw/core/cpu.h"
#include "tcg/tcg.h"
#include "tcg/tcg-ldst.h"
#include "wasm-tlb.h"
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

/*
 * Accesses that are not inlined, or miss in the TLB: what the interpreter does,
 * as functions of the helpers' types. They may leave neg.leave_tb set.
 */
#define LOAD(name, type, result, slow)                                  \
    static result name(CPUArchState *env, uint64_t addr, MemOpIdx oi,   \
                       uintptr_t ra)                                    \
    {                                                                   \
        void *host;                                                     \
                                                                        \
        if (!wasm_tlb_access(env, addr, oi, MMU_DATA_LOAD, ra, &host)) { \
            return 0;                                                   \
        }                                                               \
        return likely(host) ? *(type *)host : slow(env, addr, oi, ra);  \
    }

LOAD(load_u8, uint8_t, tcg_target_ulong, helper_ldub_mmu)
LOAD(load_s8, int8_t, tcg_target_ulong, helper_ldsb_mmu)
LOAD(load_u16, uint16_t, tcg_target_ulong, helper_lduw_mmu)
LOAD(load_s16, int16_t, tcg_target_ulong, helper_ldsw_mmu)
LOAD(load_u32, uint32_t, tcg_target_ulong, helper_ldul_mmu)
LOAD(load_s32, int32_t, tcg_target_ulong, helper_ldsl_mmu)
LOAD(load_u64, uint64_t, uint64_t, helper_ldq_mmu)

#define STORE(name, type, argument, slow)                               \
    static void name(CPUArchState *env, uint64_t addr, argument value,  \
                     MemOpIdx oi, uintptr_t ra)                         \
    {                                                                   \
        void *host;                                                     \
                                                                        \
        if (!wasm_tlb_access(env, addr, oi, MMU_DATA_STORE, ra, &host)) { \
            return;                                                     \
        }                                                               \
        if (likely(host)) {                                             \
            *(type *)host = value;                                      \
        } else {                                                        \
            slow(env, addr, value, oi, ra);                             \
        }                                                               \
    }

STORE(store_8, uint8_t, uint32_t, helper_stb_mmu)
STORE(store_16, uint16_t, uint32_t, helper_stw_mmu)
STORE(store_32, uint32_t, uint32_t, helper_stl_mmu)
STORE(store_64, uint64_t, uint64_t, helper_stq_mmu)

/* Leaves the function if the access before could not be made. */
static void leave_if_failed(WasmCompiler *c, bool inlined)
{
    uint32_t leave_tb = WASM_ENV_BIAS - sizeof(CPUNegativeOffsetState) +
        offsetof(CPUNegativeOffsetState, leave_tb);

    wasm_op_u32(&c->code, WASM_local_get, LOCAL_BASE);
    wasm_memory_op(&c->code, WASM_i32_load8_u, leave_tb);
    wasm_hint(c, false);
    wasm_op_u32(&c->code, WASM_br_if, c->depth + inlined - WASM_FAIL_DEPTH);
}

void wasm_guest_load(WasmCompiler *c, unsigned rd, unsigned ra, MemOpIdx oi,
                     const uint32_t *pos)
{
    static const struct {
        void *call;
        WasmOpcode fast;
    } loads[] = {
        [MO_UB] = { load_u8, WASM_i64_load8_u },
        [MO_SB] = { load_s8, WASM_i64_load8_s },
        [MO_UW] = { load_u16, WASM_i64_load16_u },
        [MO_SW] = { load_s16, WASM_i64_load16_s },
        [MO_UL] = { load_u32, WASM_i64_load32_u },
        [MO_SL] = { load_s32, WASM_i64_load32_s },
        [MO_UQ] = { load_u64, WASM_i64_load },
    };
    WasmBuffer *b = &c->code;
    MemOp mop = get_memop(oi);
    bool inlined = c->optimized && !(mop & MO_BSWAP);

    if (inlined) {
        test_tlb(c, ra, oi, offsetof(CPUTLBEntry, addr_read));
        wasm_hint(c, true);
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
    wasm_call(c, loads[mop & MO_SSIZE].call,
              (WasmSignature) { .n_params = 4, .mask = 0xb,
                                .result = WASM_I64 });
    leave_if_failed(c, inlined);
    if (inlined) {
        wasm_op(b, WASM_end);
    }
    wasm_set_reg(c, rd);
}

void wasm_guest_store(WasmCompiler *c, unsigned rd, unsigned ra, MemOpIdx oi,
                      const uint32_t *pos)
{
    static const struct {
        void *call;
        WasmOpcode fast;
    } stores[] = {
        [MO_8] = { store_8, WASM_i64_store8 },
        [MO_16] = { store_16, WASM_i64_store16 },
        [MO_32] = { store_32, WASM_i64_store32 },
        [MO_64] = { store_64, WASM_i64_store },
    };
    WasmBuffer *b = &c->code;
    MemOp mop = get_memop(oi), size = mop & MO_SIZE;
    bool inlined = c->optimized && !(mop & MO_BSWAP);

    if (inlined) {
        test_tlb(c, ra, oi, offsetof(CPUTLBEntry, addr_write));
        wasm_hint(c, true);
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
    wasm_call(c, stores[size].call,
              (WasmSignature) { .n_params = 5,
                                .mask = size == MO_64 ? 0x17 : 0x13 });
    leave_if_failed(c, inlined);
    if (inlined) {
        wasm_op(b, WASM_end);
    }
}
