/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arithmetic, logic, shifts and bit fields: the instructions that work on
 * TCG's registers alone.
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "wasm-translate.h"

/* reg0 = reg1 OP reg2, on 64-bit words */
static void binary(WasmCompiler *c, uint32_t insn, WasmOpcode op)
{
    wasm_get_reg(c, extract32(insn, 12, 4));
    wasm_get_reg(c, extract32(insn, 16, 4));
    wasm_op(&c->code, op);
    wasm_set_reg(c, extract32(insn, 8, 4));
}

/* reg0 = reg1 OP constant, on 64-bit words */
static void binary_constant(WasmCompiler *c, uint32_t insn, WasmOpcode op)
{
    wasm_get_reg(c, extract32(insn, 12, 4));
    wasm_i64_const(&c->code, sextract32(insn, 16, 16));
    wasm_op(&c->code, op);
    wasm_set_reg(c, extract32(insn, 8, 4));
}

/* reg0 = reg1 OP reg2, with the second operand or the result inverted. */
static void binary_not(WasmCompiler *c, uint32_t insn, WasmOpcode op,
                       bool operand, bool result)
{
    WasmBuffer *b = &c->code;

    wasm_get_reg(c, extract32(insn, 12, 4));
    wasm_get_reg(c, extract32(insn, 16, 4));
    if (operand) {
        wasm_i64_const(b, -1);
        wasm_op(b, WASM_i64_xor);
    }
    wasm_op(b, op);
    if (result) {
        wasm_i64_const(b, -1);
        wasm_op(b, WASM_i64_xor);
    }
    wasm_set_reg(c, extract32(insn, 8, 4));
}

/* reg0 = reg1 OP reg2, on 32-bit words */
static void binary32(WasmCompiler *c, uint32_t insn, WasmOpcode op)
{
    wasm_get_reg32(c, extract32(insn, 12, 4));
    wasm_get_reg32(c, extract32(insn, 16, 4));
    wasm_op(&c->code, op);
    wasm_op(&c->code, WASM_i64_extend_i32_u);
    wasm_set_reg(c, extract32(insn, 8, 4));
}

static void unary(WasmCompiler *c, uint32_t insn, WasmOpcode op)
{
    wasm_get_reg(c, extract32(insn, 12, 4));
    wasm_op(&c->code, op);
    wasm_set_reg(c, extract32(insn, 8, 4));
}

/* reg0 = reg1 != 0 ? OP(reg1) : reg2 */
static void count_zeros(WasmCompiler *c, uint32_t insn, WasmOpcode op, bool is32)
{
    WasmBuffer *b = &c->code;
    unsigned r1 = extract32(insn, 12, 4);

    (is32 ? wasm_get_reg32 : wasm_get_reg)(c, r1);
    wasm_op(b, op);
    if (is32) {
        wasm_op(b, WASM_i64_extend_i32_u);
    }
    wasm_get_reg(c, extract32(insn, 16, 4));
    (is32 ? wasm_get_reg32 : wasm_get_reg)(c, r1);
    wasm_op(b, is32 ? WASM_i32_eqz : WASM_i64_eqz);
    wasm_op(b, WASM_i32_eqz);
    wasm_op(b, WASM_select);
    wasm_set_reg(c, extract32(insn, 8, 4));
}

/* reg0 = bits [pos, pos + len) of reg1 */
static void extract(WasmCompiler *c, uint32_t insn, bool is_signed)
{
    WasmBuffer *b = &c->code;
    unsigned pos = extract32(insn, 16, 6), len = extract32(insn, 22, 6);

    wasm_get_reg(c, extract32(insn, 12, 4));
    if (is_signed && pos == 0 && (len == 8 || len == 16 || len == 32)) {
        wasm_op(b, len == 8 ? WASM_i64_extend8_s :
                   len == 16 ? WASM_i64_extend16_s : WASM_i64_extend32_s);
    } else if (is_signed) {
        wasm_i64_const(b, 64 - pos - len);
        wasm_op(b, WASM_i64_shl);
        wasm_i64_const(b, 64 - len);
        wasm_op(b, WASM_i64_shr_s);
    } else {
        if (pos) {
            wasm_i64_const(b, pos);
            wasm_op(b, WASM_i64_shr_u);
        }
        if (pos + len < 64) {
            wasm_i64_const(b, MAKE_64BIT_MASK(0, len));
            wasm_op(b, WASM_i64_and);
        }
    }
    wasm_set_reg(c, extract32(insn, 8, 4));
}

/* reg0 = reg1 with the low bits of reg2 at [pos, pos + len) */
static void deposit(WasmCompiler *c, uint32_t insn)
{
    WasmBuffer *b = &c->code;
    unsigned pos = extract32(insn, 20, 6), len = extract32(insn, 26, 6);

    wasm_get_reg(c, extract32(insn, 12, 4));
    wasm_i64_const(b, ~MAKE_64BIT_MASK(pos, len));
    wasm_op(b, WASM_i64_and);
    wasm_get_reg(c, extract32(insn, 16, 4));
    wasm_i64_const(b, MAKE_64BIT_MASK(0, len));
    wasm_op(b, WASM_i64_and);
    wasm_i64_const(b, pos);
    wasm_op(b, WASM_i64_shl);
    wasm_op(b, WASM_i64_or);
    wasm_set_reg(c, extract32(insn, 8, 4));
}

static void byte_swap(WasmCompiler *c, uint32_t insn, unsigned bytes)
{
    WasmBuffer *b = &c->code;
    int from = wasm_temp(c);

    wasm_get_reg(c, extract32(insn, 12, 4));
    wasm_op_u32(b, WASM_local_set, from);
    for (unsigned i = 0; i < bytes; i++) {
        int up = 8 * (bytes - 1) - 16 * i; /* how far byte i moves */

        wasm_op_u32(b, WASM_local_get, from);
        wasm_i64_const(b, 0xffull << (8 * i));
        wasm_op(b, WASM_i64_and);
        wasm_i64_const(b, up < 0 ? -up : up);
        wasm_op(b, up < 0 ? WASM_i64_shr_u : WASM_i64_shl);
        if (i > 0) {
            wasm_op(b, WASM_i64_or);
        }
    }
    wasm_set_reg(c, extract32(insn, 8, 4));
}

/*
 * reg0 = reg1 +- reg2 +- carry, which is 0 or 1. The carry out is that of
 * either of two steps.
 */
static void add_sub_carry(WasmCompiler *c, uint32_t insn, bool sub, bool in,
                          bool out)
{
    WasmBuffer *b = &c->code;
    WasmOpcode op = sub ? WASM_i64_sub : WASM_i64_add;
    unsigned r1 = extract32(insn, 12, 4), r2 = extract32(insn, 16, 4);
    int carry = wasm_carry(c), t = wasm_temp(c);

    wasm_get_reg(c, r1);
    wasm_get_reg(c, r2);
    wasm_op(b, op);
    wasm_op_u32(b, WASM_local_set, t);
    if (out) {
        /* Step one: sum < r1, or r1 < r2. */
        if (sub) {
            wasm_get_reg(c, r1);
            wasm_get_reg(c, r2);
        } else {
            wasm_op_u32(b, WASM_local_get, t);
            wasm_get_reg(c, r1);
        }
        wasm_op(b, WASM_i64_lt_u);
        wasm_op(b, WASM_i64_extend_i32_u);
    }
    /* Step two, with the first step's carry on the stack. */
    wasm_op_u32(b, WASM_local_get, t);
    if (in) {
        wasm_op_u32(b, WASM_local_get, carry);
        wasm_op(b, op);
    }
    wasm_set_reg(c, extract32(insn, 8, 4));
    if (out && in) {
        if (sub) {
            wasm_op_u32(b, WASM_local_get, t);
            wasm_op_u32(b, WASM_local_get, carry);
        } else {
            wasm_get_reg(c, extract32(insn, 8, 4));
            wasm_op_u32(b, WASM_local_get, carry);
        }
        wasm_op(b, WASM_i64_lt_u);
        wasm_op(b, WASM_i64_extend_i32_u);
        wasm_op(b, WASM_i64_or);
    }
    if (out) {
        wasm_op_u32(b, WASM_local_set, carry);
    }
}

static uint64_t high_unsigned(uint64_t a, uint64_t b)
{
    return ((unsigned __int128)a * b) >> 64;
}

static uint64_t high_signed(uint64_t a, uint64_t b)
{
    return ((__int128)(int64_t)a * (int64_t)b) >> 64;
}

/* (reg1:reg0) = reg2 * reg3 */
static void multiply_long(WasmCompiler *c, uint32_t insn, const void *high)
{
    WasmBuffer *b = &c->code;
    unsigned r2 = extract32(insn, 16, 4), r3 = extract32(insn, 20, 4);

    wasm_get_reg(c, r2);
    wasm_get_reg(c, r3);
    wasm_op(b, WASM_i64_mul);
    wasm_get_reg(c, r2);
    wasm_get_reg(c, r3);
    wasm_call(c, high, (WasmSignature) { .n_params = 2, .mask = 3,
                                         .result = WASM_I64 });
    wasm_set_reg(c, extract32(insn, 12, 4));
    wasm_set_reg(c, extract32(insn, 8, 4));
}

bool wasm_arithmetic(WasmCompiler *c, uint32_t insn)
{
    WasmBuffer *b = &c->code;
    unsigned r0 = extract32(insn, 8, 4), r1 = extract32(insn, 12, 4);

    switch (extract32(insn, 0, 8)) {
    case INDEX_op_add:
        binary(c, insn, WASM_i64_add);
        break;
    case INDEX_op_sub:
        binary(c, insn, WASM_i64_sub);
        break;
    case INDEX_op_mul:
        binary(c, insn, WASM_i64_mul);
        break;
    case INDEX_op_and:
        binary(c, insn, WASM_i64_and);
        break;
    case INDEX_op_or:
        binary(c, insn, WASM_i64_or);
        break;
    case INDEX_op_xor:
        binary(c, insn, WASM_i64_xor);
        break;
    case INDEX_op_tci_addi:
        binary_constant(c, insn, WASM_i64_add);
        break;
    case INDEX_op_tci_andi:
        binary_constant(c, insn, WASM_i64_and);
        break;
    case INDEX_op_tci_ori:
        binary_constant(c, insn, WASM_i64_or);
        break;
    case INDEX_op_tci_xori:
        binary_constant(c, insn, WASM_i64_xor);
        break;
    case INDEX_op_tci_shli:
        binary_constant(c, insn, WASM_i64_shl);
        break;
    case INDEX_op_andc:
        binary_not(c, insn, WASM_i64_and, true, false);
        break;
    case INDEX_op_orc:
        binary_not(c, insn, WASM_i64_or, true, false);
        break;
    case INDEX_op_eqv:
        binary_not(c, insn, WASM_i64_xor, false, true);
        break;
    case INDEX_op_nand:
        binary_not(c, insn, WASM_i64_and, false, true);
        break;
    case INDEX_op_nor:
        binary_not(c, insn, WASM_i64_or, false, true);
        break;
    case INDEX_op_neg:
        wasm_i64_const(b, 0);
        wasm_get_reg(c, r1);
        wasm_op(b, WASM_i64_sub);
        wasm_set_reg(c, r0);
        break;
    case INDEX_op_not:
        wasm_get_reg(c, r1);
        wasm_i64_const(b, -1);
        wasm_op(b, WASM_i64_xor);
        wasm_set_reg(c, r0);
        break;
    case INDEX_op_ctpop:
        unary(c, insn, WASM_i64_popcnt);
        break;
    case INDEX_op_addco:
        add_sub_carry(c, insn, false, false, true);
        break;
    case INDEX_op_addci:
        add_sub_carry(c, insn, false, true, false);
        break;
    case INDEX_op_addcio:
        add_sub_carry(c, insn, false, true, true);
        break;
    case INDEX_op_subbo:
        add_sub_carry(c, insn, true, false, true);
        break;
    case INDEX_op_subbi:
        add_sub_carry(c, insn, true, true, false);
        break;
    case INDEX_op_subbio:
        add_sub_carry(c, insn, true, true, true);
        break;
    case INDEX_op_muls2:
        multiply_long(c, insn, high_signed);
        break;
    case INDEX_op_mulu2:
        multiply_long(c, insn, high_unsigned);
        break;

    case INDEX_op_divs:
        binary(c, insn, WASM_i64_div_s);
        break;
    case INDEX_op_divu:
        binary(c, insn, WASM_i64_div_u);
        break;
    case INDEX_op_rems:
        binary(c, insn, WASM_i64_rem_s);
        break;
    case INDEX_op_remu:
        binary(c, insn, WASM_i64_rem_u);
        break;
    case INDEX_op_tci_divs32:
        binary32(c, insn, WASM_i32_div_s);
        break;
    case INDEX_op_tci_divu32:
        binary32(c, insn, WASM_i32_div_u);
        break;
    case INDEX_op_tci_rems32:
        binary32(c, insn, WASM_i32_rem_s);
        break;
    case INDEX_op_tci_remu32:
        binary32(c, insn, WASM_i32_rem_u);
        break;
    case INDEX_op_clz:
        count_zeros(c, insn, WASM_i64_clz, false);
        break;
    case INDEX_op_ctz:
        count_zeros(c, insn, WASM_i64_ctz, false);
        break;
    case INDEX_op_tci_clz32:
        count_zeros(c, insn, WASM_i32_clz, true);
        break;
    case INDEX_op_tci_ctz32:
        count_zeros(c, insn, WASM_i32_ctz, true);
        break;

    case INDEX_op_shl:
        binary(c, insn, WASM_i64_shl);
        break;
    case INDEX_op_shr:
        binary(c, insn, WASM_i64_shr_u);
        break;
    case INDEX_op_sar:
        binary(c, insn, WASM_i64_shr_s);
        break;
    case INDEX_op_rotl:
        binary(c, insn, WASM_i64_rotl);
        break;
    case INDEX_op_rotr:
        binary(c, insn, WASM_i64_rotr);
        break;
    case INDEX_op_tci_rotl32:
        binary32(c, insn, WASM_i32_rotl);
        break;
    case INDEX_op_tci_rotr32:
        binary32(c, insn, WASM_i32_rotr);
        break;
    case INDEX_op_deposit:
        deposit(c, insn);
        break;
    case INDEX_op_extract:
        extract(c, insn, false);
        break;
    case INDEX_op_sextract:
        extract(c, insn, true);
        break;
    case INDEX_op_bswap16:
        byte_swap(c, insn, 2);
        break;
    case INDEX_op_bswap32:
        byte_swap(c, insn, 4);
        break;
    case INDEX_op_bswap64:
        byte_swap(c, insn, 8);
        break;
    case INDEX_op_ext_i32_i64:
        unary(c, insn, WASM_i64_extend32_s);
        break;
    case INDEX_op_extu_i32_i64:
        wasm_get_reg32(c, r1);
        wasm_op(b, WASM_i64_extend_i32_u);
        wasm_set_reg(c, r0);
        break;
    default:
        return false;
    }
    return true;
}
