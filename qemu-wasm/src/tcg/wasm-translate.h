/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of one compilation, and what the files of the compiler share.
 */

#ifndef WASM_TRANSLATE_H
#define WASM_TRANSLATE_H

#include "tcg/tcg.h"
#include "wasm-encoder.h"
#include "wasm-region.h"

/*
 * Locals of a region's function. The parameters come first; the 64-bit ones
 * that the code turns out to need follow: TCG's registers, then stack slots.
 */
enum {
    LOCAL_ENV,        /* i64 parameter: env */
    LOCAL_NEXT,       /* i32 parameter: where the caller wanted to go */
    LOCAL_BASE,       /* i32: env - WASM_ENV_BIAS */
    LOCAL_TLB,        /* i32: address of a TLB entry */
    LOCAL_STATE,      /* i32: a block's state */
    LOCAL_VECTOR,     /* v128: the result of an operation */
    LOCAL_FIRST_I64,
    LOCALS_I32 = LOCAL_VECTOR - LOCAL_BASE,
};

/*
 * The outermost block of a region's function, at whose end it returns because a
 * guest memory access could not be made.
 */
enum { WASM_FAIL_DEPTH = 1 };

/* Fields lie on both sides of env, but WebAssembly's offsets are unsigned. */
#define WASM_ENV_BIAS 32768

/* Imported globals, constant in each thread. */
enum {
    GLOBAL_RA,        /* address of the thread's tci_tb_ptr */
    GLOBAL_RESULT,    /* address of 16 bytes for a helper's 128-bit result */
};

enum {
    WASM_MAX_TYPES = 128,
    WASM_MAX_IMPORTS = 512,
    WASM_MAX_HINTS = 8192,
    WASM_MAX_GLOBALS = 64,
    WASM_STACK_SLOTS = (TCG_STATIC_CALL_ARGS_SIZE + TCG_STATIC_FRAME_SIZE) / 4,
};

/* A function type: parameters, i64 where MASK has a bit, and a result. */
typedef struct WasmSignature {
    uint8_t n_params, result; /* 0 for none, or a WasmType */
    uint16_t mask;
} WasmSignature;

/* A TCG global that has a local in the region. */
typedef struct WasmGlobal {
    int16_t offset;  /* in env */
    uint8_t size;
    uint16_t local;
} WasmGlobal;

/* Whether the branch at OFFSET of a function's body is likely to be taken. */
typedef struct WasmHint {
    uint32_t function, offset;
    bool likely;
} WasmHint;

typedef struct WasmCompiler {
    WasmBuffer code;      /* of the function that is being written */
    WasmBuffer functions; /* bodies of the module's finished functions */
    WasmBuffer module, scratch;
    int n_functions;

    int n_types, n_imports, n_hints;
    int first_hint;       /* of the function that is being written */
    WasmSignature types[WASM_MAX_TYPES];
    uint32_t imports[WASM_MAX_IMPORTS]; /* C functions, by table index */
    uint8_t import_types[WASM_MAX_IMPORTS];
    WasmHint hints[WASM_MAX_HINTS];

    int n_i64;
    uint16_t reg_local[TCG_TARGET_NB_REGS];
    uint16_t stack_local[WASM_STACK_SLOTS];
    uint16_t carry_local, temp_local;

    /* Globals, as bit masks by their number: see wasm-globals.c. */
    int n_globals;
    WasmGlobal globals[WASM_MAX_GLOBALS];
    uint8_t global_of[512]; /* for words of env: 1 + the number, or 0 */
    uint64_t dirty_in[WASM_REGION_NODES], needed[WASM_REGION_NODES];
    uint64_t dirty;       /* at the current instruction */
    bool optimized;       /* for speed, else for size */

    const WasmRegion *region;
    const TranslationBlock *tb; /* of the current instruction */
    const char *failure;  /* why the region cannot be compiled, or NULL */

    int depth;            /* of open WebAssembly blocks */
    int node_depth[WASM_REGION_NODES]; /* of the block that a jump there names */
} WasmCompiler;

/* Starts a module. */
void wasm_module_begin(WasmCompiler *c);

/* Starts and adds the function in c->code. */
void wasm_module_next(WasmCompiler *c);
void wasm_module_add(WasmCompiler *c);

/*
 * Adds a region's function; unless it is the @optimized one, it counts its runs
 * and asks for that. Returns false, and why in c->failure. */
bool wasm_compile_region(WasmCompiler *c, const WasmRegion *r, bool optimized);

/*
 * The finished module, in c->module: it exports its functions by number, and
 * imports those in c->imports by their index in the table.
 */
void wasm_module_end(WasmCompiler *c);

/* A node's instructions, but for the one that decides where it goes. */
void wasm_node_body(WasmCompiler *c, int node);

/* Leaves on the stack, as i32, whether a conditional branch is taken. */
void wasm_node_condition(WasmCompiler *c, const WasmNode *node);

/* Calls the C function FUNC; its arguments lie on the stack. */
void wasm_call(WasmCompiler *c, const void *func, WasmSignature signature);

/* The next instruction, an if or a br_if, is likely to be taken, or unlikely. */
void wasm_hint(WasmCompiler *c, bool likely);

/* TCG's registers; env is one of them. */
void wasm_get_reg(WasmCompiler *c, unsigned reg);
void wasm_get_reg32(WasmCompiler *c, unsigned reg); /* the low half, as i32 */
void wasm_set_reg(WasmCompiler *c, unsigned reg);

/* A 64-bit local for one instruction's use; that of the carry. */
int wasm_temp(WasmCompiler *c);
int wasm_carry(WasmCompiler *c);

/* Returns false if @insn is none that wasm-arithmetic.c knows. */
bool wasm_arithmetic(WasmCompiler *c, uint32_t insn);

/* Finds out where globals are dirty, and where they are needed. */
void wasm_globals_analyse(WasmCompiler *c);

/* Writes dirty globals to env; they stay dirty for the code that follows. */
void wasm_globals_flush(WasmCompiler *c);

/* At the region's entry, before and after an instruction of a node. */
void wasm_globals_enter_region(WasmCompiler *c);
void wasm_globals_before(WasmCompiler *c, const uint32_t *pos);
void wasm_globals_after(WasmCompiler *c, int node, const uint32_t *pos);

/* The number of the global that a load or store is of, or -1. */
int wasm_globals_find(WasmCompiler *c, uint32_t insn);

/* The number of the global at OFFSET of env if its local is newer, or -1. */
int wasm_globals_dirty(const WasmCompiler *c, int offset);

/* The local of a global. */
int wasm_global_local(WasmCompiler *c, int global);

/* Whether a goto_ptr follows at @pos + 1 to where this call finds a block. */
bool wasm_is_lookup(const uint32_t *pos);

/* In place of such a call: sets LOCAL_NEXT to the address, 0 if there is none. */
void wasm_lookup(WasmCompiler *c);

/* The local of argument number @n of the helper that is called. */
int wasm_argument(WasmCompiler *c, int n);

/*
 * How the host's floating-point unit computes what the helper at @func does, or
 * NULL. wasm_float_begin() emits that, and opens an else for the helper's call.
 */
const struct HardFloatHelper *wasm_float_helper(const void *func);
void wasm_float_begin(WasmCompiler *c, const struct HardFloatHelper *h);

/* Guest memory. RA is the position for cpu_restore_state(). */
void wasm_guest_load(WasmCompiler *c, unsigned rd, unsigned ra, MemOpIdx oi,
                     const uint32_t *pos);
void wasm_guest_store(WasmCompiler *c, unsigned rd, unsigned ra, MemOpIdx oi,
                      const uint32_t *pos);

#endif
