/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jumps to an address that is only known at run time: returns, indirect calls,
 * and all that leaves its page. TCG asks the helper lookup_tb_ptr for the block
 * there. Compiled code looks into the vCPU's jump cache itself first.
 *
 * It finds blocks for the same state of the CPU only (flags, cs_base, cflags)
 * as the block that it comes from. All else is the helper's: blocks that are
 * not in the cache, changes of the state, breakpoints (where one is set, blocks
 * have other cflags, and setting it empties the cache).
 */

#include "qemu/osdep.h"
#include "accel/tcg/cpu-ops.h"
#include "accel/tcg/tb-state-layout.h"
#include "accel/tcg/tb-hash.h"
#include "exec/helper-head.h.inc"
#include "exec/helper-proto-common.h"
#include "hw/core/cpu.h"
#include "wasm-engine.h"
#include "wasm-translate.h"

static const TBStateLayout *state_layout(void)
{
    return current_cpu->cc->tcg_ops->tb_state_layout;
}

bool wasm_is_lookup(const uint32_t *pos)
{
    const uintptr_t *pool = (const void *)wasm_insn_target(pos);

    return extract32(pos[0], 0, 8) == INDEX_op_call &&
           extract32(pos[1], 0, 8) == INDEX_op_goto_ptr &&
           pool[0] == (uintptr_t)helper_lookup_tb_ptr;
}

bool wasm_lookup_inlined(const TranslationBlock *tb)
{
    const TBStateLayout *layout = state_layout();

    return layout && (tb->flags & layout->mask) == layout->value &&
           !(tb_cflags(tb) & (CF_COUNT_MASK | CF_INVALID)) &&
           (tb_cflags(tb) & CF_PCREL);
}

static void load_env(WasmCompiler *c, WasmOpcode op, int offset)
{
    wasm_op_u32(&c->code, WASM_local_get, LOCAL_BASE);
    wasm_memory_op(&c->code, op, WASM_ENV_BIAS + offset);
}

/* The program counter: its local may be newer than env. */
static void get_pc(WasmCompiler *c, const TBStateLayout *layout)
{
    int global = wasm_globals_dirty(c, layout->pc);

    if (global < 0) {
        load_env(c, WASM_i64_load, layout->pc);
    } else {
        wasm_op_u32(&c->code, WASM_local_get, wasm_global_local(c, global));
    }
}

/* Leaves on the stack, as i32, 16 times tb_jmp_cache_hash_func(pc). */
static void jump_cache_offset(WasmCompiler *c, int pc)
{
    WasmBuffer *b = &c->code;
    const int shift = TARGET_PAGE_BITS - TB_JMP_PAGE_BITS;
    const int log_size = ctz32(sizeof(((CPUJumpCache *)0)->array[0]));

    wasm_op_u32(b, WASM_local_get, pc);
    wasm_op_u32(b, WASM_local_get, pc);
    wasm_i64_const(b, shift);
    wasm_op(b, WASM_i64_shr_u);
    wasm_op(b, WASM_i64_xor);
    wasm_op(b, WASM_i32_wrap_i64);
    wasm_op_u32(b, WASM_local_tee, LOCAL_STATE);
    wasm_i32_const(b, shift - log_size);
    wasm_op(b, WASM_i32_shr_u);
    wasm_i32_const(b, TB_JMP_PAGE_MASK << log_size);
    wasm_op(b, WASM_i32_and);
    wasm_op_u32(b, WASM_local_get, LOCAL_STATE);
    wasm_i32_const(b, log_size);
    wasm_op(b, WASM_i32_shl);
    wasm_i32_const(b, TB_JMP_ADDR_MASK << log_size);
    wasm_op(b, WASM_i32_and);
    wasm_op(b, WASM_i32_or);
}

/* Leaves on the stack, as i64, zero if the state of the CPU is @tb's. */
static void state_differs(WasmCompiler *c, const TBStateLayout *layout)
{
    WasmBuffer *b = &c->code;

    load_env(c, WASM_i64_load32_u, layout->flags);
    if (layout->more_mask) {
        load_env(c, WASM_i64_load32_u, layout->more_flags);
        wasm_i64_const(b, layout->more_mask);
        wasm_op(b, WASM_i64_and);
        wasm_op(b, WASM_i64_or);
    }
    wasm_i64_const(b, c->tb->flags);
    wasm_op(b, WASM_i64_xor);
    if (layout->zero >= 0) {
        load_env(c, WASM_i64_load32_u, layout->zero);
        wasm_op(b, WASM_i64_or);
    }
    if (layout->cs_base >= 0) {
        load_env(c, WASM_i64_load, layout->cs_base);
        wasm_i64_const(b, c->tb->cs_base);
        wasm_op(b, WASM_i64_xor);
        wasm_op(b, WASM_i64_or);
    }
}

/* Asks the helper, and leaves the address on the stack, as i32. */
static void call_lookup(WasmCompiler *c)
{
    wasm_globals_flush(c);
    wasm_op_u32(&c->code, WASM_local_get, LOCAL_ENV);
    wasm_call(c, helper_lookup_tb_ptr,
              (WasmSignature) { .n_params = 1, .mask = 1,
                                .result = WASM_I64 });
    wasm_op(&c->code, WASM_i32_wrap_i64);
}

void wasm_lookup(WasmCompiler *c)
{
    const TBStateLayout *layout = state_layout();
    WasmBuffer *b = &c->code;
    const int pc = wasm_temp(c);
    const int cache = (void *)&current_cpu->tb_jmp_cache -
                      (void *)cpu_env(current_cpu);

    QEMU_BUILD_BUG_ON(offsetof(TranslationBlock, cflags) !=
                      offsetof(TranslationBlock, flags) + 4);
    g_assert(cache >= -WASM_ENV_BIAS);

    if (!wasm_lookup_inlined(c->tb)) {
        call_lookup(c);
        wasm_op_u32(b, WASM_local_set, LOCAL_NEXT);
        return;
    }

    get_pc(c, layout);
    wasm_op_u32(b, WASM_local_set, pc);
    load_env(c, WASM_i32_load, cache);
    jump_cache_offset(c, pc);
    wasm_op(b, WASM_i32_add);
    wasm_op_u32(b, WASM_local_tee, LOCAL_TLB);
    wasm_memory_op(b, WASM_i32_load, offsetof(CPUJumpCache, array[0].tb));
    wasm_op_u32(b, WASM_local_set, LOCAL_NEXT);

    /* An empty entry gives the cflags at address 0, which are none. */
    wasm_op_u32(b, WASM_local_get, LOCAL_TLB);
    wasm_memory_op(b, WASM_i64_load, offsetof(CPUJumpCache, array[0].pc));
    wasm_op_u32(b, WASM_local_get, pc);
    wasm_op(b, WASM_i64_xor);
    wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
    wasm_memory_op(b, WASM_i64_load, offsetof(TranslationBlock, flags));
    wasm_i64_const(b, (uint64_t)tb_cflags(c->tb) << 32 | c->tb->flags);
    wasm_op(b, WASM_i64_xor);
    wasm_op(b, WASM_i64_or);
    if (layout->cs_base >= 0) {
        wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
        wasm_memory_op(b, WASM_i64_load, offsetof(TranslationBlock, cs_base));
        wasm_i64_const(b, c->tb->cs_base);
        wasm_op(b, WASM_i64_xor);
        wasm_op(b, WASM_i64_or);
    }
    state_differs(c, layout);
    wasm_op(b, WASM_i64_or);
    wasm_op(b, WASM_i64_eqz);
    wasm_hint(c, true);
    wasm_op(b, WASM_if);
    wasm_byte(b, WASM_I32);
    wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
    wasm_i32_const(b, (uintptr_t)c->tb->tc.ptr - (uintptr_t)c->tb);
    wasm_op(b, WASM_i32_add);
    wasm_op(b, WASM_else);
    call_lookup(c);
    wasm_op(b, WASM_end);
    wasm_op_u32(b, WASM_local_set, LOCAL_NEXT);
}
