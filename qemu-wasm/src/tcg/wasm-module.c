/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A module: its types, what it imports, its functions, and hints which branches
 * are rare (WebAssembly core specification, chapter 5.5, and the branch hinting
 * proposal).
 */

#include "qemu/osdep.h"
#include "wasm-translate.h"

static int type_index(WasmCompiler *c, WasmSignature signature)
{
    int i;

    for (i = 0; i < c->n_types; i++) {
        if (c->types[i].n_params == signature.n_params &&
            c->types[i].mask == signature.mask &&
            c->types[i].result == signature.result) {
            return i;
        }
    }
    if (c->n_types == WASM_MAX_TYPES) {
        c->failure = "too many function types";
        return 0;
    }
    c->types[c->n_types++] = signature;
    return i;
}

void wasm_call(WasmCompiler *c, const void *func, WasmSignature signature)
{
    const uint32_t index = (uintptr_t)func;
    int i;

    for (i = 0; i < c->n_imports && c->imports[i] != index; i++) {
    }
    if (i == c->n_imports) {
        if (i == WASM_MAX_IMPORTS) {
            c->failure = "too many helpers";
            return;
        }
        c->imports[i] = index;
        c->import_types[i] = type_index(c, signature);
        c->n_imports++;
    }
    wasm_op_u32(&c->code, WASM_call, i);
}

void wasm_hint(WasmCompiler *c, bool likely)
{
    if (c->n_hints < WASM_MAX_HINTS) {
        c->hints[c->n_hints++] = (WasmHint) {
            .function = c->n_functions, .offset = c->code.len, .likely = likely,
        };
    }
}

void wasm_module_begin(WasmCompiler *c)
{
    c->functions.len = 0;
    c->n_functions = c->n_types = c->n_imports = 0;
    c->n_hints = c->first_hint = 0;
    /* Type 0 is that of regions. */
    type_index(c, (WasmSignature) { .n_params = 2, .mask = 1,
                                    .result = WASM_I64 });
}

void wasm_module_next(WasmCompiler *c)
{
    c->n_hints = c->first_hint;
}

static void local_group(WasmBuffer *b, int n, WasmType type)
{
    wasm_u32(b, n);
    wasm_byte(b, type);
}

void wasm_module_add(WasmCompiler *c)
{
    WasmBuffer *locals = &c->scratch;

    locals->len = 0;
    wasm_u32(locals, 3);
    local_group(locals, LOCALS_I32, WASM_I32);
    local_group(locals, 1, WASM_V128);
    local_group(locals, c->n_i64, WASM_I64);
    /* Hints count from where the locals start. */
    for (int i = c->first_hint; i < c->n_hints; i++) {
        c->hints[i].offset += locals->len;
    }
    c->first_hint = c->n_hints;
    wasm_u32(&c->functions, locals->len + c->code.len);
    wasm_bytes(&c->functions, locals->data, locals->len);
    wasm_bytes(&c->functions, c->code.data, c->code.len);
    c->n_functions++;
}

static void type_section(WasmCompiler *c)
{
    WasmBuffer *s = &c->scratch;

    s->len = 0;
    wasm_u32(s, c->n_types);
    for (int i = 0; i < c->n_types; i++) {
        WasmSignature *t = &c->types[i];

        wasm_byte(s, 0x60);
        wasm_u32(s, t->n_params);
        for (int k = 0; k < t->n_params; k++) {
            wasm_byte(s, t->mask >> k & 1 ? WASM_I64 : WASM_I32);
        }
        wasm_u32(s, t->result ? 1 : 0);
        if (t->result) {
            wasm_byte(s, t->result);
        }
    }
    wasm_section(&c->module, 1, s);
}

/* Memory, function table, the constants of the thread, and C functions. */
static void import_section(WasmCompiler *c)
{
    static const char *const globals[] = {
        [GLOBAL_RA] = "a", [GLOBAL_RESULT] = "r"
    };
    WasmBuffer *s = &c->scratch;

    s->len = 0;
    wasm_u32(s, 2 + ARRAY_SIZE(globals) + c->n_imports);
    wasm_name(s, "e");
    wasm_name(s, "m");
    wasm_bytes(s, "\x02\x03\x00", 3);  /* shared memory, from 0 */
    wasm_u32(s, 65536);                /* to 65536 pages at most */
    wasm_name(s, "e");
    wasm_name(s, "t");
    wasm_bytes(s, "\x01\x70\x00\x00", 4);
    for (int i = 0; i < ARRAY_SIZE(globals); i++) {
        wasm_name(s, "e");
        wasm_name(s, globals[i]);
        wasm_byte(s, 3);
        wasm_byte(s, WASM_I32);
        wasm_byte(s, 0);
    }
    for (int i = 0; i < c->n_imports; i++) {
        char name[12];

        snprintf(name, sizeof(name), "%u", c->imports[i]);
        wasm_name(s, "f");
        wasm_name(s, name);
        wasm_byte(s, 0);
        wasm_u32(s, c->import_types[i]);
    }
    wasm_section(&c->module, 2, s);
}

static void function_section(WasmCompiler *c)
{
    WasmBuffer *s = &c->scratch;

    s->len = 0;
    wasm_u32(s, c->n_functions);
    for (int i = 0; i < c->n_functions; i++) {
        wasm_byte(s, 0);
    }
    wasm_section(&c->module, 3, s);
}

static void export_section(WasmCompiler *c)
{
    WasmBuffer *s = &c->scratch;

    s->len = 0;
    wasm_u32(s, c->n_functions);
    for (int i = 0; i < c->n_functions; i++) {
        char name[12];

        snprintf(name, sizeof(name), "%d", i);
        wasm_name(s, name);
        wasm_byte(s, 0);
        wasm_u32(s, c->n_imports + i);
    }
    wasm_section(&c->module, 7, s);
}

static void hint_section(WasmCompiler *c)
{
    WasmBuffer *s = &c->scratch;
    int functions = 0;

    s->len = 0;
    wasm_name(s, "metadata.code.branch_hint");
    for (int i = 0; i < c->n_hints; i++) {
        functions += i == 0 || c->hints[i].function != c->hints[i - 1].function;
    }
    wasm_u32(s, functions);
    for (int i = 0, next; i < c->n_hints; i = next) {
        for (next = i; next < c->n_hints &&
             c->hints[next].function == c->hints[i].function; next++) {
        }
        wasm_u32(s, c->n_imports + c->hints[i].function);
        wasm_u32(s, next - i);
        for (int k = i; k < next; k++) {
            wasm_u32(s, c->hints[k].offset);
            wasm_u32(s, 1);
            wasm_byte(s, c->hints[k].likely);
        }
    }
    wasm_section(&c->module, 0, s);
}

void wasm_module_end(WasmCompiler *c)
{
    WasmBuffer *m = &c->module, *s = &c->scratch;

    m->len = 0;
    wasm_bytes(m, "\0asm\x01\0\0\0", 8);
    type_section(c);
    import_section(c);
    function_section(c);
    export_section(c);
    hint_section(c);

    s->len = 0;
    wasm_u32(s, c->n_functions);
    wasm_bytes(s, c->functions.data, c->functions.len);
    wasm_section(m, 10, s);
}
