/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes WebAssembly binaries: a growing byte buffer, LEB128, and the opcodes
 * that the region compiler uses (WebAssembly core specification, chapter 5).
 */

#ifndef WASM_ENCODER_H
#define WASM_ENCODER_H

typedef struct WasmBuffer {
    uint8_t *data;
    size_t len, size;
} WasmBuffer;

typedef enum WasmType {
    WASM_I32 = 0x7f,
    WASM_I64 = 0x7e,
    WASM_V128 = 0x7b,
    WASM_EMPTY = 0x40, /* as a block type */
} WasmType;

typedef enum WasmOpcode {
    WASM_unreachable = 0x00,
    WASM_block = 0x02,
    WASM_loop = 0x03,
    WASM_if = 0x04,
    WASM_else = 0x05,
    WASM_end = 0x0b,
    WASM_br = 0x0c,
    WASM_br_if = 0x0d,
    WASM_return = 0x0f,
    WASM_call = 0x10,
    WASM_return_call_indirect = 0x13,
    WASM_select = 0x1b,
    WASM_local_get = 0x20,
    WASM_local_set = 0x21,
    WASM_local_tee = 0x22,
    WASM_global_get = 0x23,
    WASM_i32_load = 0x28,
    WASM_i32_load8_u = 0x2d,
    WASM_i64_load = 0x29,
    WASM_i64_load8_s = 0x30,
    WASM_i64_load8_u = 0x31,
    WASM_i64_load16_s = 0x32,
    WASM_i64_load16_u = 0x33,
    WASM_i64_load32_s = 0x34,
    WASM_i64_load32_u = 0x35,
    WASM_i32_store = 0x36,
    WASM_i64_store = 0x37,
    WASM_i32_store8 = 0x3a,
    WASM_i64_store8 = 0x3c,
    WASM_i64_store16 = 0x3d,
    WASM_i64_store32 = 0x3e,
    WASM_i32_const = 0x41,
    WASM_i64_const = 0x42,
    WASM_f32_const = 0x43,
    WASM_f64_const = 0x44,
    WASM_i32_eqz = 0x45,
    WASM_i32_eq = 0x46,
    WASM_i32_ne = 0x47,
    WASM_i32_lt_s = 0x48,
    WASM_i32_lt_u = 0x49,
    WASM_i32_gt_s = 0x4a,
    WASM_i32_gt_u = 0x4b,
    WASM_i32_le_s = 0x4c,
    WASM_i32_le_u = 0x4d,
    WASM_i32_ge_s = 0x4e,
    WASM_i32_ge_u = 0x4f,
    WASM_i64_eqz = 0x50,
    WASM_i64_eq = 0x51,
    WASM_i64_ne = 0x52,
    WASM_i64_lt_s = 0x53,
    WASM_i64_lt_u = 0x54,
    WASM_i64_gt_s = 0x55,
    WASM_i64_gt_u = 0x56,
    WASM_i64_le_s = 0x57,
    WASM_i64_le_u = 0x58,
    WASM_i64_ge_s = 0x59,
    WASM_i64_ge_u = 0x5a,
    WASM_i32_clz = 0x67,
    WASM_i32_ctz = 0x68,
    WASM_i32_add = 0x6a,
    WASM_i32_div_s = 0x6d,
    WASM_i32_div_u = 0x6e,
    WASM_i32_rem_s = 0x6f,
    WASM_i32_rem_u = 0x70,
    WASM_i32_and = 0x71,
    WASM_i32_or = 0x72,
    WASM_i32_shl = 0x74,
    WASM_i32_shr_u = 0x76,
    WASM_i32_rotl = 0x77,
    WASM_i32_rotr = 0x78,
    WASM_i64_clz = 0x79,
    WASM_i64_ctz = 0x7a,
    WASM_i64_popcnt = 0x7b,
    WASM_i64_add = 0x7c,
    WASM_i64_sub = 0x7d,
    WASM_i64_mul = 0x7e,
    WASM_i64_div_s = 0x7f,
    WASM_i64_div_u = 0x80,
    WASM_i64_rem_s = 0x81,
    WASM_i64_rem_u = 0x82,
    WASM_i64_and = 0x83,
    WASM_i64_or = 0x84,
    WASM_i64_xor = 0x85,
    WASM_i64_shl = 0x86,
    WASM_i64_shr_s = 0x87,
    WASM_i64_shr_u = 0x88,
    WASM_i64_rotl = 0x89,
    WASM_i64_rotr = 0x8a,
    WASM_i32_wrap_i64 = 0xa7,
    WASM_i64_extend_i32_s = 0xac,
    WASM_i64_extend_i32_u = 0xad,
    WASM_i32_reinterpret_f32 = 0xbc,
    WASM_i64_reinterpret_f64 = 0xbd,
    WASM_f32_reinterpret_i32 = 0xbe,
    WASM_f64_reinterpret_i64 = 0xbf,
    WASM_i64_extend8_s = 0xc2,
    WASM_i64_extend16_s = 0xc3,
    WASM_i64_extend32_s = 0xc4,
} WasmOpcode;

void wasm_buffer_grow(WasmBuffer *b, size_t more);

static inline void wasm_byte(WasmBuffer *b, uint8_t byte)
{
    if (unlikely(b->len == b->size)) {
        wasm_buffer_grow(b, 1);
    }
    b->data[b->len++] = byte;
}

void wasm_u32(WasmBuffer *b, uint32_t value);
void wasm_s64(WasmBuffer *b, int64_t value);
void wasm_bytes(WasmBuffer *b, const void *data, size_t len);
void wasm_name(WasmBuffer *b, const char *name);

/* Appends SECTION's content to B as the section of that id. */
void wasm_section(WasmBuffer *b, uint8_t id, const WasmBuffer *content);

static inline void wasm_op(WasmBuffer *b, WasmOpcode op)
{
    wasm_byte(b, op);
}

/* Instructions with one index: locals, globals, branches. */
static inline void wasm_op_u32(WasmBuffer *b, WasmOpcode op, uint32_t index)
{
    wasm_byte(b, op);
    wasm_u32(b, index);
}

static inline void wasm_i32_const(WasmBuffer *b, uint32_t value)
{
    wasm_byte(b, WASM_i32_const);
    wasm_s64(b, (int32_t)value);
}

static inline void wasm_i64_const(WasmBuffer *b, uint64_t value)
{
    wasm_byte(b, WASM_i64_const);
    wasm_s64(b, value);
}

/* A load or store at a constant offset, with no promise of alignment. */
static inline void wasm_memory_op(WasmBuffer *b, WasmOpcode op, uint32_t offset)
{
    wasm_byte(b, op);
    wasm_byte(b, 0);
    wasm_u32(b, offset);
}

#endif
