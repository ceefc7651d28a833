/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeps guest registers in locals across the blocks of a region.
 *
 * TCG keeps its globals (the guest's registers and flags) in env between
 * translation blocks. Inside a region each global that the bytecode touches
 * has a local instead. Two analyses over the region's nodes say when that
 * differs from env:
 *
 *   dirty   (forward)  globals that may be newer in their locals than in env.
 *                      They are written back ("flushed") where somebody else
 *                      can see env: at exits, before helpers, and on the slow
 *                      path of guest memory accesses, which may fault.
 *                      In code that is not optimized all writes go to env at
 *                      once, which takes less room, and nothing is dirty.
 *   needed  (backward) globals whose locals have to hold the value: those that
 *                      are read before they are written, and those that are
 *                      dirty on one of several paths. They are loaded at the
 *                      region's entry and after helpers that write globals.
 */

#include "qemu/osdep.h"
#include "tcg/helper-info.h"
#include "wasm-engine.h"
#include "wasm-translate.h"

typedef enum Event {
    EVENT_NONE,
    EVENT_READ,    /* of one global */
    EVENT_WRITE,   /* of one global */
    EVENT_SEEN,    /* env is read */
    EVENT_CHANGED, /* env is read and written */
} Event;

static int access_size(uint8_t op)
{
    switch (op) {
    case INDEX_op_ld8u:
    case INDEX_op_ld8s:
    case INDEX_op_st8:
        return 1;
    case INDEX_op_ld16u:
    case INDEX_op_ld16s:
    case INDEX_op_st16:
        return 2;
    case INDEX_op_ld32u:
    case INDEX_op_ld32s:
    case INDEX_op_st32:
        return 4;
    case INDEX_op_ld:
    case INDEX_op_st:
        return 8;
    default:
        return 0;
    }
}

/* The number of the global at [offset, offset + size) of env. */
static int find_global(const WasmCompiler *c, int offset, int size, bool *exact)
{
    if (offset < 0 || offset + size > 4 * (int)ARRAY_SIZE(c->global_of)) {
        return -1;
    }
    for (int word = offset / 4; word * 4 < offset + size; word++) {
        if (c->global_of[word]) {
            const WasmGlobal *g = &c->globals[c->global_of[word] - 1];

            *exact = offset == g->offset && size == g->size;
            return c->global_of[word] - 1;
        }
    }
    return -1;
}

/* Gives the global that an access overlaps a number. */
static void add_global(WasmCompiler *c, int offset, int size)
{
    bool exact;

    if (c->n_globals == WASM_MAX_GLOBALS ||
        find_global(c, offset, size, &exact) >= 0) {
        return;
    }
    for (int i = 0; i < tcg_ctx->nb_globals; i++) {
        const TCGTemp *t = &tcg_ctx->temps[i];
        int t_size = t->type == TCG_TYPE_I32 ? 4 : 8;

        if (t->kind == TEMP_GLOBAL && t->mem_base &&
            t->mem_base->kind == TEMP_FIXED &&
            t->mem_base->reg == TCG_AREG0 && t->type <= TCG_TYPE_I64 &&
            offset < t->mem_offset + t_size && offset + size > t->mem_offset) {
            /* Only those that lie where find_global() looks. */
            if (t->mem_offset < 0 || t->mem_offset % 4 ||
                t->mem_offset + t_size > 4 * ARRAY_SIZE(c->global_of)) {
                return;
            }
            c->globals[c->n_globals++] = (WasmGlobal) {
                .offset = t->mem_offset, .size = t_size,
            };
            for (int k = 0; k < t_size; k += 4) {
                c->global_of[(t->mem_offset + k) / 4] = c->n_globals;
            }
            return;
        }
    }
}

static bool is_env_access(uint32_t insn, int *offset, int *size)
{
    *size = access_size(insn);
    *offset = sextract32(insn, 16, 16);
    return *size && extract32(insn, 12, 4) == TCG_AREG0;
}

static Event event(const WasmCompiler *c, const uint32_t *pos, int *global)
{
    int offset, size;
    bool exact;

    if (is_env_access(*pos, &offset, &size)) {
        *global = find_global(c, offset, size, &exact);
        if (*global < 0) {
            return EVENT_NONE;
        }
        if (!exact) {
            return EVENT_CHANGED;
        }
        switch (extract32(*pos, 0, 8)) {
        case INDEX_op_st:
        case INDEX_op_st32:
            return EVENT_WRITE;
        default:
            return EVENT_READ;
        }
    }
    if (wasm_is_lookup(pos)) {
        return EVENT_NONE; /* flushes on its own slow path */
    }
    if (extract32(*pos, 0, 8) == INDEX_op_call) {
        const uintptr_t *pool = (const void *)wasm_insn_target(pos);
        const TCGHelperInfo *info = (const void *)pool[1];

        return info->flags & TCG_CALL_NO_READ_GLOBALS ? EVENT_NONE :
               info->flags & TCG_CALL_NO_WRITE_GLOBALS ? EVENT_SEEN :
               EVENT_CHANGED;
    }
    return EVENT_NONE;
}

static uint64_t dirty_after(const WasmCompiler *c, const uint32_t *pos,
                            uint64_t dirty)
{
    int g;

    switch (event(c, pos, &g)) {
    case EVENT_WRITE:
        return c->optimized ? dirty | 1ull << g : 0;
    case EVENT_SEEN:
    case EVENT_CHANGED:
        return 0;
    default:
        return dirty;
    }
}

/* What is needed before the instructions [from, node's end). */
static uint64_t needed_before(const WasmCompiler *c, int node,
                              const uint32_t *from)
{
    const WasmNode *n = &c->region->nodes[node];
    uint64_t needed = 0;

    for (int k = 0; k < 2; k++) {
        if (n->succ[k] != WASM_NO_NODE) {
            needed |= c->needed[n->succ[k]];
        }
    }
    for (const uint32_t *pos = n->end - 1; pos >= from; pos--) {
        int g;

        switch (event(c, pos, &g)) {
        case EVENT_READ:
            needed |= 1ull << g;
            break;
        case EVENT_WRITE:
            needed &= ~(1ull << g);
            break;
        case EVENT_CHANGED:
            needed = 0; /* they are loaded afterwards */
            break;
        default:
            break;
        }
    }
    return needed;
}

static void find_globals(WasmCompiler *c)
{
    const WasmRegion *r = c->region;

    c->n_globals = 0;
    memset(c->global_of, 0, sizeof(c->global_of));
    for (int i = 0; i < r->n_order; i++) {
        const WasmNode *node = &r->nodes[r->order[i]];

        for (const uint32_t *pos = node->start; pos < node->end; pos++) {
            int offset, size;

            if (is_env_access(*pos, &offset, &size)) {
                add_global(c, offset, size);
            }
        }
    }
}

void wasm_globals_analyse(WasmCompiler *c)
{
    const WasmRegion *r = c->region;
    bool changed;

    find_globals(c);
    memset(c->dirty_in, 0, r->n_nodes * sizeof(c->dirty_in[0]));
    do {
        changed = false;
        for (int i = 0; i < r->n_order; i++) {
            const WasmNode *node = &r->nodes[r->order[i]];
            uint64_t dirty = c->dirty_in[r->order[i]];

            for (const uint32_t *pos = node->start; pos < node->end; pos++) {
                dirty = dirty_after(c, pos, dirty);
            }
            for (int k = 0; k < 2; k++) {
                int to = node->succ[k];

                if (to != WASM_NO_NODE && (dirty & ~c->dirty_in[to])) {
                    c->dirty_in[to] |= dirty;
                    changed = true;
                }
            }
        }
    } while (changed);

    memset(c->needed, 0, r->n_nodes * sizeof(c->needed[0]));
    do {
        changed = false;
        for (int i = r->n_order - 1; i >= 0; i--) {
            int n = r->order[i];
            uint64_t needed = c->dirty_in[n] |
                              needed_before(c, n, r->nodes[n].start);

            changed |= needed != c->needed[n];
            c->needed[n] = needed;
        }
    } while (changed);
}

void wasm_globals_flush(WasmCompiler *c)
{
    WasmBuffer *b = &c->code;

    for (int i = 0; i < c->n_globals; i++) {
        const WasmGlobal *g = &c->globals[i];

        if (c->dirty >> i & 1) {
            wasm_op_u32(b, WASM_local_get, LOCAL_BASE);
            wasm_op_u32(b, WASM_local_get, wasm_global_local(c, i));
            wasm_memory_op(b, g->size == 4 ? WASM_i64_store32 : WASM_i64_store,
                           WASM_ENV_BIAS + g->offset);
        }
    }
}

static void load_globals(WasmCompiler *c, uint64_t which)
{
    WasmBuffer *b = &c->code;

    for (int i = 0; i < c->n_globals; i++) {
        const WasmGlobal *g = &c->globals[i];

        if (which >> i & 1) {
            wasm_op_u32(b, WASM_local_get, LOCAL_BASE);
            wasm_memory_op(b, g->size == 4 ? WASM_i64_load32_u : WASM_i64_load,
                           WASM_ENV_BIAS + g->offset);
            wasm_op_u32(b, WASM_local_set, wasm_global_local(c, i));
        }
    }
}

void wasm_globals_enter_region(WasmCompiler *c)
{
    load_globals(c, c->needed[0]);
}

void wasm_globals_before(WasmCompiler *c, const uint32_t *pos)
{
    int g;
    Event e = event(c, pos, &g);

    if (e == EVENT_SEEN || e == EVENT_CHANGED) {
        wasm_globals_flush(c);
    }
}

void wasm_globals_after(WasmCompiler *c, int node, const uint32_t *pos)
{
    int g;

    c->dirty = dirty_after(c, pos, c->dirty);
    if (event(c, pos, &g) == EVENT_CHANGED) {
        load_globals(c, needed_before(c, node, pos + 1));
    }
}

int wasm_globals_dirty(const WasmCompiler *c, int offset)
{
    bool exact;
    int g = find_global(c, offset, 1, &exact);

    return g >= 0 && (c->dirty >> g & 1) ? g : -1;
}

int wasm_globals_find(WasmCompiler *c, uint32_t insn)
{
    int offset, size, g;
    bool exact;

    if (!is_env_access(insn, &offset, &size)) {
        return -1;
    }
    g = find_global(c, offset, size, &exact);
    return g >= 0 && exact ? g : -1;
}
