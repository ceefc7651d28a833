/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Floating point by the host's unit, in place of helpers that use softfloat.
 *
 * The rules are those of fpu/softfloat.c ("hardfloat"): the result is the same
 * and no exception flag changes if the inexact flag is set already, the guest
 * rounds to nearest, and neither the operands nor the result are zero,
 * denormal, infinite or NaN. In all other cases the helper is called. All of
 * that is tested without a branch, after the operation, as WebAssembly's do not
 * trap.
 *
 * Fused multiplication and addition is an instruction of "relaxed" SIMD, which
 * may also round twice. host_fuses says that it does not.
 */

#include "qemu/osdep.h"
#include <emscripten.h>
#include "accel/tcg/cpu-ops.h"
#include "accel/tcg/hard-float.h"
#include "fpu/softfloat-types.h"
#include "hw/core/cpu.h"
#include "tcg/tcg-gvec-desc.h"
#include "wasm-translate.h"

/* What differs between the types. Opcodes above 0xff have the prefix 0xfd. */
typedef struct FloatType {
    uint16_t ops[HARD_FLOAT_MULADD + 1];
    uint16_t load, store, abs, ge, gt, lt;
    uint8_t size;       /* of an element */
    bool vector;
    const char *min, *infinity; /* the least normal number; as little endian */
} FloatType;

#define SIMD(op) (0x100 + (op))
#define MIN_32 "\0\0\x80\0"
#define INFINITY_32 "\0\0\x80\x7f"
#define MIN_64 "\0\0\0\0\0\0\x10\0"
#define INFINITY_64 "\0\0\0\0\0\0\xf0\x7f"

static const FloatType types[] = {
    [HARD_FLOAT_32] = {
        { 0x92, 0x93, 0x94, 0x95, 0x91, SIMD(0x105) },
        0x2a, 0x38, 0x8b, 0x60, 0x5e, 0x5d, 4, false, MIN_32, INFINITY_32,
    },
    [HARD_FLOAT_64] = {
        { 0xa0, 0xa1, 0xa2, 0xa3, 0x9f, SIMD(0x107) },
        0x2b, 0x39, 0x99, 0x66, 0x64, 0x63, 8, false, MIN_64, INFINITY_64,
    },
    [HARD_FLOAT_32X4] = {
        { SIMD(0xe4), SIMD(0xe5), SIMD(0xe6), SIMD(0xe7), SIMD(0xe3),
          SIMD(0x105) },
        SIMD(0x00), SIMD(0x0b), SIMD(0xe0), SIMD(0x46), SIMD(0x44), SIMD(0x43),
        4, true, MIN_32, INFINITY_32,
    },
    [HARD_FLOAT_64X2] = {
        { SIMD(0xf0), SIMD(0xf1), SIMD(0xf2), SIMD(0xf3), SIMD(0xef),
          SIMD(0x107) },
        SIMD(0x00), SIMD(0x0b), SIMD(0xec), SIMD(0x4c), SIMD(0x4a), SIMD(0x49),
        8, true, MIN_64, INFINITY_64,
    },
};

enum {
    SIMD_v128_const = SIMD(0x0c),
    SIMD_f32x4_splat = SIMD(0x13),
    SIMD_f64x2_splat = SIMD(0x14),
    SIMD_f32x4_extract_lane = SIMD(0x1f),
    SIMD_f64x2_extract_lane = SIMD(0x21),
    SIMD_v128_and = SIMD(0x4e),
    SIMD_i32x4_all_true = SIMD(0xa3),
};

/*
 * Whether f32x4.relaxed_madd and f64x2.relaxed_madd exist and round once: for
 * a = 1 + 2^-12 or 1 + 2^-30, a * a - (2 * a - 1) is not zero then.
 */
EM_JS(int, wasm_host_fuses, (void), {
    /* (func (export "s" / "d") (param v128's lanes) ...), see the opcodes above. */
    const type = (t) => [0x60, 3, t, t, t, 1, t];
    const body = (splat, madd, lane) => [
        0, 0x20, 0, 0xfd, splat, 0x20, 1, 0xfd, splat, 0x20, 2, 0xfd, splat,
        0xfd, madd, 2, 0xfd, lane, 0, 0x0b];
    const s = body(0x13, 0x85, 0x1f);
    const d = body(0x14, 0x87, 0x21);
    const bytes = new Uint8Array([
        0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
        1, 15, 2, ...type(0x7d), ...type(0x7c),
        3, 3, 2, 0, 1,
        7, 9, 2, 1, 0x73, 0, 0, 1, 0x64, 0, 1,
        10, 3 + s.length + d.length, 2, s.length, ...s, d.length, ...d]);
    if (!WebAssembly.validate(bytes)) return 0;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
    const a = 1 + 2 ** -12;
    const b = 1 + 2 ** -30;
    return +(exports.s(a, a, 1 - 2 * a) !== 0 && exports.d(b, b, 1 - 2 * b) !== 0);
});

static bool host_fuses;

static void __attribute__((constructor)) find_fusing_host(void)
{
    host_fuses = wasm_host_fuses();
}

static void op(WasmBuffer *b, uint16_t opcode)
{
    if (opcode >= 0x100) {
        wasm_byte(b, 0xfd);
        wasm_u32(b, opcode - 0x100);
    } else {
        wasm_byte(b, opcode);
    }
}

static void memory_op(WasmBuffer *b, uint16_t opcode, uint32_t offset)
{
    op(b, opcode);
    wasm_byte(b, 0);
    wasm_u32(b, offset);
}

static void constant(WasmBuffer *b, const FloatType *t, const char *value)
{
    if (t->vector) {
        op(b, SIMD_v128_const);
        for (int i = 0; i < 16; i += t->size) {
            wasm_bytes(b, value, t->size);
        }
    } else {
        wasm_byte(b, t->size == 4 ? WASM_f32_const : WASM_f64_const);
        wasm_bytes(b, value, t->size);
    }
}

static int n_operands(const HardFloatHelper *h)
{
    return h->op == HARD_FLOAT_SQRT ? 1 : h->op == HARD_FLOAT_MULADD ? 3 : 2;
}

/* The number of the helper's argument that operand @i is. */
static int operand_argument(const HardFloatHelper *h, int i)
{
    switch (h->call) {
    case HARD_FLOAT_VALUES:
        return i;
    case HARD_FLOAT_GVEC:
        return i == 2 ? 0 : 1 + i;
    case HARD_FLOAT_REGISTERS:
        return 2 + i;
    case HARD_FLOAT_REGISTERS_MERGE:
        return h->op == HARD_FLOAT_SQRT ? 3 : 2 + i;
    }
    g_assert_not_reached();
}

static int status_argument(const HardFloatHelper *h)
{
    return h->call == HARD_FLOAT_GVEC ? 3 : n_operands(h);
}

static void get_address(WasmCompiler *c, int argument)
{
    wasm_op_u32(&c->code, WASM_local_get, wasm_argument(c, argument));
    wasm_op(&c->code, WASM_i32_wrap_i64);
}

/* The number in a 64-bit local. */
static void get_value(WasmCompiler *c, const FloatType *t, int local)
{
    wasm_op_u32(&c->code, WASM_local_get, local);
    if (t->size == 4) {
        wasm_op(&c->code, WASM_i32_wrap_i64);
        wasm_op(&c->code, WASM_f32_reinterpret_i32);
    } else {
        wasm_op(&c->code, WASM_f64_reinterpret_i64);
    }
}

static void get_operand(WasmCompiler *c, const HardFloatHelper *h, int i)
{
    const FloatType *t = &types[h->type];
    int argument = operand_argument(h, i);

    if (h->call == HARD_FLOAT_VALUES) {
        get_value(c, t, wasm_argument(c, argument));
    } else {
        get_address(c, argument);
        memory_op(&c->code, t->load, 0);
    }
}

static void get_result(WasmCompiler *c, const FloatType *t)
{
    if (t->vector) {
        wasm_op_u32(&c->code, WASM_local_get, LOCAL_VECTOR);
    } else {
        get_value(c, t, wasm_temp(c));
    }
}

static void set_result(WasmCompiler *c, const FloatType *t)
{
    WasmBuffer *b = &c->code;

    if (t->vector) {
        wasm_op_u32(b, WASM_local_set, LOCAL_VECTOR);
    } else {
        if (t->size == 4) {
            wasm_op(b, WASM_i32_reinterpret_f32);
            wasm_op(b, WASM_i64_extend_i32_u);
        } else {
            wasm_op(b, WASM_i64_reinterpret_f64);
        }
        wasm_op_u32(b, WASM_local_set, wasm_temp(c));
    }
}

/* Computes the result. */
static void compute(WasmCompiler *c, const HardFloatHelper *h)
{
    WasmBuffer *b = &c->code;
    const FloatType *t = &types[h->type];
    bool lanes = h->op == HARD_FLOAT_MULADD && !t->vector;

    for (int i = 0; i < n_operands(h); i++) {
        get_operand(c, h, i);
        if (lanes) {
            op(b, t->size == 4 ? SIMD_f32x4_splat : SIMD_f64x2_splat);
        }
    }
    op(b, t->ops[h->op]);
    if (lanes) {
        op(b, t->size == 4 ? SIMD_f32x4_extract_lane : SIMD_f64x2_extract_lane);
        wasm_byte(b, 0);
    }
    set_result(c, t);
}

/* Pushes the comparison of a number's absolute value, which is pushed. */
static void compare(WasmBuffer *b, const FloatType *t, uint16_t how,
                    const char *value)
{
    op(b, t->abs);
    constant(b, t, value);
    op(b, how);
}

static void both(WasmBuffer *b, const FloatType *t)
{
    op(b, t->vector ? SIMD_v128_and : WASM_i32_and);
}

/* Leaves on the stack, as i32, whether the result is what softfloat's is. */
static void result_is_right(WasmCompiler *c, const HardFloatHelper *h,
                            int status)
{
    WasmBuffer *b = &c->code;
    const FloatType *t = &types[h->type];
    /* float_exception_flags and float_rounding_mode, as one number */
    const uint32_t flags = float_flag_inexact, mask = 0xff0000 | flags;

    QEMU_BUILD_BUG_ON(offsetof(float_status, float_exception_flags) != 0);
    QEMU_BUILD_BUG_ON(offsetof(float_status, float_rounding_mode) != 2);
    QEMU_BUILD_BUG_ON(sizeof(FloatRoundMode) != 1);
    QEMU_BUILD_BUG_ON(float_round_nearest_even != 0);

    for (int i = 0; i < n_operands(h); i++) {
        get_operand(c, h, i);
        compare(b, t, t->ge, t->min);
        if (i > 0) {
            both(b, t);
        }
    }
    get_result(c, t);
    compare(b, t, t->gt, t->min);
    both(b, t);
    get_result(c, t);
    compare(b, t, t->lt, t->infinity);
    both(b, t);
    if (t->vector) {
        op(b, SIMD_i32x4_all_true);
    }

    if (h->call == HARD_FLOAT_VALUES || h->call == HARD_FLOAT_GVEC) {
        get_address(c, status_argument(h));
        wasm_memory_op(b, WASM_i32_load, 0);
    } else {
        wasm_op_u32(b, WASM_local_get, LOCAL_BASE);
        wasm_memory_op(b, WASM_i32_load, WASM_ENV_BIAS + status);
    }
    wasm_i32_const(b, mask);
    wasm_op(b, WASM_i32_and);
    wasm_i32_const(b, flags);
    wasm_op(b, WASM_i32_eq);
    wasm_op(b, WASM_i32_and);

    if (h->call == HARD_FLOAT_GVEC) {
        /* The operation is on 16 bytes, and there are no more to clear. */
        wasm_op_u32(b, WASM_local_get,
                    wasm_argument(c, status_argument(h) + 1));
        wasm_op(b, WASM_i32_wrap_i64);
        wasm_i32_const(b, simd_desc(16, 16, 0));
        wasm_op(b, WASM_i32_eq);
        wasm_op(b, WASM_i32_and);
    }
}

/* Copies bytes [@size, 16) from the register that argument @from names. */
static void copy_rest(WasmCompiler *c, int from, int size)
{
    WasmBuffer *b = &c->code;

    if (size == 4) {
        get_address(c, 1);
        get_address(c, from);
        wasm_memory_op(b, WASM_i32_load, 4);
        wasm_memory_op(b, WASM_i32_store, 4);
    }
    get_address(c, 1);
    get_address(c, from);
    wasm_memory_op(b, WASM_i64_load, 8);
    wasm_memory_op(b, WASM_i64_store, 8);
}

static void put_result(WasmCompiler *c, const HardFloatHelper *h)
{
    WasmBuffer *b = &c->code;
    const FloatType *t = &types[h->type];

    if (h->call == HARD_FLOAT_VALUES) {
        wasm_op_u32(b, WASM_local_get, wasm_temp(c));
        wasm_set_reg(c, TCG_REG_R0);
        return;
    }
    get_address(c, h->call == HARD_FLOAT_GVEC ? 0 : 1);
    get_result(c, t);
    memory_op(b, t->store, 0);
    if (h->call == HARD_FLOAT_REGISTERS_MERGE) {
        copy_rest(c, 2, t->size);
    }
}

const HardFloatHelper *wasm_float_helper(const void *func)
{
    const HardFloat *f = current_cpu->cc->tcg_ops->hard_float;

    for (int i = 0; f && i < f->n; i++) {
        if (f->helpers[i].func == func) {
            return f->helpers[i].op == HARD_FLOAT_MULADD && !host_fuses ?
                   NULL : &f->helpers[i];
        }
    }
    return NULL;
}

void wasm_float_begin(WasmCompiler *c, const HardFloatHelper *h)
{
    compute(c, h);
    result_is_right(c, h, current_cpu->cc->tcg_ops->hard_float->status);
    wasm_hint(c, true);
    wasm_op(&c->code, WASM_if);
    wasm_byte(&c->code, WASM_EMPTY);
    put_result(c, h);
    wasm_op(&c->code, WASM_else);
}
