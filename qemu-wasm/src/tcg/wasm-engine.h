/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine that turns hot guest code into WebAssembly.
 *
 * TCG's backend is the interpreter's (TCI): a translation block (TB) keeps its
 * bytecode, which is interpreted while the block is cold. Every TB starts with
 * an instruction tci_enter, whose second word holds the block's state. A block
 * that was interpreted often enough becomes the head of a *region*, a set of
 * linked blocks that is compiled into one WebAssembly function.
 *
 *   wasm-encoder.c    writes WebAssembly binaries
 *   wasm-region.c     chooses a region's blocks, and their control flow graph
 *   wasm-compile.c    a region to a function
 *   wasm-module.c     functions to a module
 *   wasm-translate.c  bytecode to WebAssembly
 *   wasm-arithmetic.c the instructions that work on registers alone
 *   wasm-memory.c     guest loads and stores
 *   wasm-tlb.h        the same for the interpreter
 *   wasm-float.c      floating point by the host's unit
 *   wasm-lookup.c     jumps to addresses that are known at run time only
 *   wasm-globals.c    guest registers in locals, across blocks
 *   wasm-runtime.c    states, modules, table slots, entering and leaving
 *
 * util/wasm-host-order.c finds out which barriers the host needs.
 *
 * A region's function runs until the guest goes where the region does not
 * reach. It then tail-calls the next region, or returns to the interpreter.
 */

#ifndef WASM_ENGINE_H
#define WASM_ENGINE_H

#include "exec/translation-block.h"
#include "qemu/cacheinfo.h"

/*
 * The first three words of a TB's code: the opcode, the state, and a number of
 * runs. States below WASM_STATE_NEVER count the runs in the interpreter, states
 * above are indices in the function table: the block is the head of a region
 * that was compiled. Then the third word says how often the region has yet to
 * run before it is compiled again, with more effort. Before, it is not zero if
 * the block became hot once and was part of another's region.
 */
enum {
    WASM_HEADER_WORDS = 3,
    WASM_STATE_OFFSET = 4,      /* in bytes, of the state */
    WASM_RUNS_OFFSET = 8,       /* in bytes, of the number of runs */
    WASM_HOT_RUNS = 240,        /* to be compiled with others */
    WASM_HOTTER_RUNS = 2000,    /* to be compiled at once */
    WASM_OPTIMIZE_RUNS = 8000,  /* of a region */
    WASM_STATE_NEVER = 4095,    /* something in it cannot be compiled */
};

/*
 * A region's function, and what it returns: the value of exit_tb, or
 * WASM_CONTINUE with the address of the bytecode to go on with.
 * @next is the address that the caller wants to go to.
 */
typedef uint64_t WasmRegionFunc(CPUArchState *env, uint32_t next);
#define WASM_CONTINUE (1ull << 32)

/* Whether a block has to be interpreted, with no need to ask the engine. */
static inline bool wasm_state_is_cold(uint32_t state)
{
    return state < WASM_HOTTER_RUNS && state != WASM_HOT_RUNS;
}

/*
 * Enters the hot block whose header is at @header: compiles it if need be and
 * runs it. Returns what the region's function does.
 */
uint64_t wasm_engine_enter(CPUArchState *env, uint32_t *header);

/* The region of the block whose header is at @header has run often. */
void wasm_engine_optimize(uint32_t header);

/*
 * @tb is stale. Regions that it is part of will not be entered again, and left
 * at the start of the next block.
 */
void wasm_engine_invalidate(const TranslationBlock *tb);

/* All translation blocks are gone. No vCPU is running. */
void wasm_engine_flush(void);

/* The block whose code starts at @code. */
static inline const TranslationBlock *wasm_tb_of_code(const void *code)
{
    return code - ROUND_UP(sizeof(TranslationBlock), qemu_icache_linesize);
}

#endif
