/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes WebAssembly binaries. See wasm-encoder.h.
 */

#include "qemu/osdep.h"
#include "wasm-encoder.h"

void wasm_buffer_grow(WasmBuffer *b, size_t more)
{
    b->size = MAX(MAX(b->size * 2, b->len + more), 1024);
    b->data = g_realloc(b->data, b->size);
}

void wasm_u32(WasmBuffer *b, uint32_t value)
{
    while (value >= 0x80) {
        wasm_byte(b, value | 0x80);
        value >>= 7;
    }
    wasm_byte(b, value);
}

void wasm_s64(WasmBuffer *b, int64_t value)
{
    while (value < -0x40 || value >= 0x40) {
        wasm_byte(b, value | 0x80);
        value >>= 7;
    }
    wasm_byte(b, value & 0x7f);
}

void wasm_bytes(WasmBuffer *b, const void *data, size_t len)
{
    if (b->size - b->len < len) {
        wasm_buffer_grow(b, len);
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

void wasm_name(WasmBuffer *b, const char *name)
{
    wasm_u32(b, strlen(name));
    wasm_bytes(b, name, strlen(name));
}

void wasm_section(WasmBuffer *b, uint8_t id, const WasmBuffer *content)
{
    wasm_byte(b, id);
    wasm_u32(b, content->len);
    wasm_bytes(b, content->data, content->len);
}
