/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translates the bytecode of basic blocks to WebAssembly, instruction by
 * instruction, as tcg/tci.c interprets it. TCG's registers and the slots of
 * its stack frame become locals. See wasm-compile.c for what is around it.
 */

#include "qemu/osdep.h"
#include "exec/helper-head.h.inc"
#include "tcg/helper-info.h"
#include "wasm-translate.h"

static void fail(WasmCompiler *c, const char *why)
{
    if (!c->failure) {
        c->failure = why;
    }
}

static int new_i64(WasmCompiler *c)
{
    return LOCAL_FIRST_I64 + c->n_i64++;
}

static int local_for(WasmCompiler *c, uint16_t *local)
{
    if (!*local) {
        *local = new_i64(c);
    }
    return *local;
}

int wasm_temp(WasmCompiler *c)
{
    return local_for(c, &c->temp_local);
}

int wasm_carry(WasmCompiler *c)
{
    return local_for(c, &c->carry_local);
}

static int reg_local(WasmCompiler *c, unsigned reg)
{
    if (reg == TCG_REG_CALL_STACK) {
        fail(c, "the stack's address is used");
    }
    return reg == TCG_AREG0 ? LOCAL_ENV : local_for(c, &c->reg_local[reg]);
}

void wasm_get_reg(WasmCompiler *c, unsigned reg)
{
    wasm_op_u32(&c->code, WASM_local_get, reg_local(c, reg));
}

void wasm_set_reg(WasmCompiler *c, unsigned reg)
{
    if (reg == TCG_AREG0) {
        fail(c, "env is written");
    }
    wasm_op_u32(&c->code, WASM_local_set, reg_local(c, reg));
}

void wasm_get_reg32(WasmCompiler *c, unsigned reg)
{
    wasm_get_reg(c, reg);
    wasm_op(&c->code, WASM_i32_wrap_i64);
}

/* Leaves on the stack, as i32, how the two values there compare. */
static void compare(WasmCompiler *c, TCGCond cond, bool is32)
{
    static const struct {
        uint8_t op32, op64;
    } ops[16] = {
        [TCG_COND_EQ] = { WASM_i32_eq, WASM_i64_eq },
        [TCG_COND_NE] = { WASM_i32_ne, WASM_i64_ne },
        [TCG_COND_LT] = { WASM_i32_lt_s, WASM_i64_lt_s },
        [TCG_COND_GE] = { WASM_i32_ge_s, WASM_i64_ge_s },
        [TCG_COND_LE] = { WASM_i32_le_s, WASM_i64_le_s },
        [TCG_COND_GT] = { WASM_i32_gt_s, WASM_i64_gt_s },
        [TCG_COND_LTU] = { WASM_i32_lt_u, WASM_i64_lt_u },
        [TCG_COND_GEU] = { WASM_i32_ge_u, WASM_i64_ge_u },
        [TCG_COND_LEU] = { WASM_i32_le_u, WASM_i64_le_u },
        [TCG_COND_GTU] = { WASM_i32_gt_u, WASM_i64_gt_u },
    };
    WasmBuffer *b = &c->code;

    if (is_tst_cond(cond)) {
        wasm_op(b, is32 ? WASM_i32_and : WASM_i64_and);
        wasm_op(b, is32 ? WASM_i32_eqz : WASM_i64_eqz);
        if (cond == TCG_COND_TSTNE) {
            wasm_op(b, WASM_i32_eqz);
        }
    } else if (ops[cond].op32) {
        wasm_op(b, is32 ? ops[cond].op32 : ops[cond].op64);
    } else {
        fail(c, "a condition that is none");
    }
}

static bool is_setcond(uint32_t insn)
{
    uint8_t op = insn;

    return op == INDEX_op_setcond || op == INDEX_op_tci_setcond32 ||
           op == INDEX_op_tci_setcondi || op == INDEX_op_tci_setcondi32;
}

/* Leaves on the stack, as i32, whether the condition of @insn holds. */
static void insn_condition(WasmCompiler *c, uint32_t insn)
{
    uint8_t op = insn;
    bool is32 = op == INDEX_op_tci_setcond32 || op == INDEX_op_tci_setcondi32 ||
                op == INDEX_op_tci_movcond32;
    bool constant = op == INDEX_op_tci_setcondi || op == INDEX_op_tci_setcondi32;
    int cond_pos = constant ? 16 : is_setcond(insn) ? 20 : 28;

    (is32 ? wasm_get_reg32 : wasm_get_reg)(c, extract32(insn, 12, 4));
    if (!constant) {
        (is32 ? wasm_get_reg32 : wasm_get_reg)(c, extract32(insn, 16, 4));
    } else if (is32) {
        wasm_i32_const(&c->code, sextract32(insn, 20, 12));
    } else {
        wasm_i64_const(&c->code, sextract32(insn, 20, 12));
    }
    compare(c, extract32(insn, cond_pos, 4), is32);
}

void wasm_node_condition(WasmCompiler *c, const WasmNode *node)
{
    const uint32_t *branch = node->end - 1;
    unsigned reg = extract32(*branch, 8, 4);

    if (reg == TCG_REG_TMP && branch > node->start && is_setcond(branch[-1]) &&
        extract32(branch[-1], 8, 4) == reg) {
        insn_condition(c, branch[-1]); /* was left out: see wasm_node() */
    } else {
        wasm_get_reg(c, reg);
        wasm_i64_const(&c->code, 0);
        wasm_op(&c->code, WASM_i64_ne);
    }
}

static void movcond(WasmCompiler *c, uint32_t insn)
{
    wasm_get_reg(c, extract32(insn, 20, 4));
    wasm_get_reg(c, extract32(insn, 24, 4));
    insn_condition(c, insn);
    wasm_op(&c->code, WASM_select);
    wasm_set_reg(c, extract32(insn, 8, 4));
}

int wasm_global_local(WasmCompiler *c, int global)
{
    return local_for(c, &c->globals[global].local);
}

static int stack_local(WasmCompiler *c, int offset)
{
    if (offset < 0 || offset % 4 || offset / 4 >= WASM_STACK_SLOTS) {
        fail(c, "a stack slot that is none");
        return LOCAL_FIRST_I64;
    }
    return local_for(c, &c->stack_local[offset / 4]);
}

/* Pushes the address of a host load or store; returns the constant offset. */
static uint32_t host_address(WasmCompiler *c, uint32_t insn)
{
    unsigned base = extract32(insn, 12, 4);
    int offset = sextract32(insn, 16, 16);

    if (base == TCG_AREG0) {
        wasm_op_u32(&c->code, WASM_local_get, LOCAL_BASE);
        return offset + WASM_ENV_BIAS;
    }
    wasm_get_reg32(c, base);
    if (offset < 0) {
        wasm_i32_const(&c->code, offset);
        wasm_op(&c->code, WASM_i32_add);
        return 0;
    }
    return offset;
}

static void load(WasmCompiler *c, uint32_t insn, WasmOpcode op)
{
    WasmBuffer *b = &c->code;
    int global = wasm_globals_find(c, insn);

    if (global >= 0 || extract32(insn, 12, 4) == TCG_REG_CALL_STACK) {
        wasm_op_u32(b, WASM_local_get, global >= 0 ?
                    wasm_global_local(c, global) :
                    stack_local(c, sextract32(insn, 16, 16)));
        if (op == WASM_i64_load32_s) {
            wasm_op(b, WASM_i64_extend32_s);
        } else if (op == WASM_i64_load32_u) {
            wasm_op(b, WASM_i32_wrap_i64);
            wasm_op(b, WASM_i64_extend_i32_u);
        } else if (op != WASM_i64_load) {
            fail(c, "part of a stack slot is read");
        }
    } else {
        wasm_memory_op(b, op, host_address(c, insn));
    }
    wasm_set_reg(c, extract32(insn, 8, 4));
}

static void store(WasmCompiler *c, uint32_t insn, WasmOpcode op)
{
    WasmBuffer *b = &c->code;
    int global = wasm_globals_find(c, insn);

    if (global >= 0) {
        wasm_get_reg(c, extract32(insn, 8, 4));
        wasm_op_u32(b, WASM_local_set, wasm_global_local(c, global));
    }
    if (global >= 0 && c->optimized) {
        return; /* flushed when somebody can see env */
    }
    if (extract32(insn, 12, 4) == TCG_REG_CALL_STACK) {
        if (op != WASM_i64_store && op != WASM_i64_store32) {
            fail(c, "part of a stack slot is written");
        }
        wasm_get_reg(c, extract32(insn, 8, 4));
        wasm_op_u32(b, WASM_local_set,
                    stack_local(c, sextract32(insn, 16, 16)));
    } else {
        uint32_t offset = host_address(c, insn);

        wasm_get_reg(c, extract32(insn, 8, 4));
        wasm_memory_op(b, op, offset);
    }
}

int wasm_argument(WasmCompiler *c, int n)
{
    return stack_local(c, 8 * n);
}

/* Calls a helper. Its arguments lie in the first slots of the stack frame. */
static void call_helper(WasmCompiler *c, const uint32_t *pos)
{
    WasmBuffer *b = &c->code;
    const uintptr_t *pool = (const void *)wasm_insn_target(pos);
    const TCGHelperInfo *info = (const void *)pool[1];
    const struct HardFloatHelper *hard_float =
        c->optimized ? wasm_float_helper((const void *)pool[0]) : NULL;
    WasmSignature signature = { 0 };
    unsigned result = info->typemask & 7;
    int words = 0;

    if (hard_float) {
        wasm_float_begin(c, hard_float);
    }
    if (!(info->flags & TCG_CALL_NO_SE)) {
        /* Where the helper was called, for GETPC(). */
        wasm_op_u32(b, WASM_global_get, GLOBAL_RA);
        wasm_i64_const(b, (uintptr_t)(pos + 1));
        wasm_memory_op(b, WASM_i64_store, 0);
    }
    if (result == dh_typecode_i128) {
        wasm_op_u32(b, WASM_global_get, GLOBAL_RESULT);
        wasm_op(b, WASM_i64_extend_i32_u);
        signature.mask |= 1 << signature.n_params++;
    }
    for (unsigned types = info->typemask >> 3; types; types >>= 3) {
        int n = (types & 7) == dh_typecode_i128 ? 2 : 1;
        bool is32 = (types & 7) == dh_typecode_i32 ||
                    (types & 7) == dh_typecode_s32;

        while (n--) {
            wasm_op_u32(b, WASM_local_get, wasm_argument(c, words++));
            if (is32) {
                wasm_op(b, WASM_i32_wrap_i64);
            } else {
                signature.mask |= 1 << signature.n_params;
            }
            signature.n_params++;
        }
    }
    switch (result) {
    case dh_typecode_void:
    case dh_typecode_i128:
        break;
    case dh_typecode_i32:
    case dh_typecode_s32:
        signature.result = WASM_I32;
        break;
    default:
        signature.result = WASM_I64;
        break;
    }
    wasm_call(c, (const void *)pool[0], signature);

    if (signature.result == WASM_I32) {
        wasm_op(b, WASM_i64_extend_i32_u);
    }
    if (signature.result) {
        wasm_set_reg(c, TCG_REG_R0);
    } else if (result == dh_typecode_i128) {
        for (int i = 0; i < 2; i++) {
            wasm_op_u32(b, WASM_global_get, GLOBAL_RESULT);
            wasm_memory_op(b, WASM_i64_load, 8 * i);
            wasm_set_reg(c, TCG_REG_R0 + i);
        }
    }
    if (hard_float) {
        wasm_op(b, WASM_end);
    }
}

/* The constant that the instruction before @pos loads to register @reg. */
static uint32_t loaded_constant(WasmCompiler *c, const uint32_t *pos,
                                unsigned reg)
{
    uint32_t insn = *--pos;

    if (extract32(insn, 8, 4) == reg) {
        switch (extract32(insn, 0, 8)) {
        case INDEX_op_tci_movi:
            return sextract32(insn, 12, 20);
        case INDEX_op_tci_movl:
            return *(const uint64_t *)wasm_insn_target(pos);
        }
    }
    fail(c, "a memory operation that is not constant");
    return 0;
}

/*
 * A full barrier. On x86, a browser's sequentially consistent store is xchg,
 * which takes a fraction of the time that its fence, mfence, does.
 */
static void fence(WasmCompiler *c)
{
    WasmBuffer *b = &c->code;

    if (wasm_host_memory_order) {
        wasm_op_u32(b, WASM_global_get, GLOBAL_RESULT);
        wasm_i32_const(b, 0);
        wasm_bytes(b, "\xfe\x17\x02\x00", 4); /* i32.atomic.store */
    } else {
        wasm_bytes(b, "\xfe\x03\x00", 3); /* atomic.fence */
    }
}

static void instruction(WasmCompiler *c, const uint32_t *pos)
{
    WasmBuffer *b = &c->code;
    uint32_t insn = *pos;
    unsigned r0 = extract32(insn, 8, 4), r1 = extract32(insn, 12, 4);

    switch (extract32(insn, 0, 8)) {
    case INDEX_op_call:
        call_helper(c, pos);
        break;
    case INDEX_op_setcond:
    case INDEX_op_tci_setcond32:
    case INDEX_op_tci_setcondi:
    case INDEX_op_tci_setcondi32:
        insn_condition(c, insn);
        wasm_op(b, WASM_i64_extend_i32_u);
        wasm_set_reg(c, r0);
        break;
    case INDEX_op_movcond:
    case INDEX_op_tci_movcond32:
        movcond(c, insn);
        break;
    case INDEX_op_mov:
        wasm_get_reg(c, r1);
        wasm_set_reg(c, r0);
        break;
    case INDEX_op_tci_movi:
        wasm_i64_const(b, sextract32(insn, 12, 20));
        wasm_set_reg(c, r0);
        break;
    case INDEX_op_tci_movl:
        wasm_i64_const(b, *(const uint64_t *)wasm_insn_target(pos));
        wasm_set_reg(c, r0);
        break;
    case INDEX_op_tci_setcarry:
        wasm_i64_const(b, 1);
        wasm_op_u32(b, WASM_local_set, wasm_carry(c));
        break;

    case INDEX_op_ld8u:
        load(c, insn, WASM_i64_load8_u);
        break;
    case INDEX_op_ld8s:
        load(c, insn, WASM_i64_load8_s);
        break;
    case INDEX_op_ld16u:
        load(c, insn, WASM_i64_load16_u);
        break;
    case INDEX_op_ld16s:
        load(c, insn, WASM_i64_load16_s);
        break;
    case INDEX_op_ld32u:
        load(c, insn, WASM_i64_load32_u);
        break;
    case INDEX_op_ld32s:
        load(c, insn, WASM_i64_load32_s);
        break;
    case INDEX_op_ld:
        load(c, insn, WASM_i64_load);
        break;
    case INDEX_op_st8:
        store(c, insn, WASM_i64_store8);
        break;
    case INDEX_op_st16:
        store(c, insn, WASM_i64_store16);
        break;
    case INDEX_op_st32:
        store(c, insn, WASM_i64_store32);
        break;
    case INDEX_op_st:
        store(c, insn, WASM_i64_store);
        break;

    case INDEX_op_qemu_ld:
        wasm_guest_load(c, r0, r1, extract32(insn, 16, 16), pos + 1);
        break;
    case INDEX_op_qemu_st:
        wasm_guest_store(c, r0, r1, extract32(insn, 16, 16), pos + 1);
        break;
    case INDEX_op_tci_qemu_ld_rrr:
        wasm_guest_load(c, r0, r1,
                        loaded_constant(c, pos, extract32(insn, 16, 4)),
                        pos + 1);
        break;
    case INDEX_op_tci_qemu_st_rrr:
        wasm_guest_store(c, r0, r1,
                         loaded_constant(c, pos, extract32(insn, 16, 4)),
                         pos + 1);
        break;
    case INDEX_op_mb:
        fence(c);
        break;
    default:
        if (!wasm_arithmetic(c, insn)) {
            fail(c, "an instruction that is not known");
        }
        break;
    }
}

void wasm_node_body(WasmCompiler *c, int n)
{
    const WasmNode *node = &c->region->nodes[n];
    const uint32_t *end = node->end;

    /* The last instruction of most nodes is where the node goes. */
    switch (extract32(end[-1], 0, 8)) {
    case INDEX_op_brcond:
        end--;
        if (extract32(*end, 8, 4) == TCG_REG_TMP && end > node->start &&
            is_setcond(end[-1]) && extract32(end[-1], 8, 4) == TCG_REG_TMP) {
            end--; /* TMP lives no longer than that */
        }
        break;
    case INDEX_op_goto_ptr:
        end--;
        if (end > node->start && wasm_is_lookup(end - 1)) {
            end--;
        }
        break;
    case INDEX_op_br:
    case INDEX_op_goto_tb:
    case INDEX_op_exit_tb:
        end--;
        break;
    default:
        break;
    }
    for (const uint32_t *pos = node->start; pos < end; pos++) {
        wasm_globals_before(c, pos);
        instruction(c, pos);
        wasm_globals_after(c, n, pos);
    }
}
