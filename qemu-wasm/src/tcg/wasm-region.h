/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Regions: hot translation blocks and the control flow between them.
 */

#ifndef WASM_REGION_H
#define WASM_REGION_H

#include "exec/translation-block.h"

enum {
    WASM_REGION_TBS = 32,       /* translation blocks at most */
    WASM_REGION_POINTERS = 8, /* of them over goto_ptr, if optimized */
    WASM_REGION_WORDS = 6000,   /* of bytecode, with constants */
    WASM_REGION_NODES = 400,
    WASM_NO_NODE = -1,
};

typedef enum WasmNodeEnd {
    WASM_END_FALL,     /* goes to succ[0] */
    WASM_END_COND,     /* to succ[0] if the condition holds, or to succ[1] */
    WASM_END_GOTO_TB,  /* to succ[0], or if that is none to the block that it is
                          linked to, or without a link to succ[1] */
    WASM_END_GOTO_PTR, /* to succ[0] if that is the address, else it leaves */
    WASM_END_LEAVE,    /* exit_tb, a helper that does not return */
} WasmNodeEnd;

/* A basic block of bytecode; the last instruction decides how it ends. */
typedef struct WasmNode {
    const uint32_t *start, *end;
    int tb;             /* number of the block that it is part of */
    WasmNodeEnd kind;
    const TranslationBlock *next; /* that it ends with a jump to, or NULL */
    int succ[2];

    int order;          /* position in reverse postorder, or WASM_NO_NODE */
    int idom;           /* immediate dominator */
    int forward_preds;  /* edges from nodes before it in that order */
    bool loop_header;
    int first_child, next_sibling; /* dominator tree, last in order first */
} WasmNode;

typedef struct WasmRegion {
    int n_tbs, n_words, n_nodes, n_order;
    const TranslationBlock *tbs[WASM_REGION_TBS];
    int tb_node[WASM_REGION_TBS];  /* the node that a block starts with */
    WasmNode nodes[WASM_REGION_NODES];
    int order[WASM_REGION_NODES];  /* nodes in reverse postorder */
} WasmRegion;

/*
 * Fills @r with the blocks that are worth compiling with @head, if @optimize is
 * set also those that are reached over calls and returns. Returns false if
 * @head cannot be compiled.
 */
bool wasm_region_choose(WasmRegion *r, const TranslationBlock *head,
                        bool optimize);

/*
 * Whether code of @tb can look into the jump cache for the next block: see
 * wasm-lookup.c.
 */
bool wasm_lookup_inlined(const TranslationBlock *tb);

/* Decoding of instructions that change the flow of control. */
static inline const uint32_t *wasm_insn_target(const uint32_t *insn)
{
    return (const void *)(insn + 1) + sextract32(*insn, 12, 20);
}

#endif
