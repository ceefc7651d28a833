/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chooses the translation blocks of a region, splits their bytecode into basic
 * blocks ("nodes"), and computes what WebAssembly's structured control flow
 * needs to know of the graph: reverse postorder, dominators, loop headers.
 *
 * The only entry is the head's first instruction. An edge into the middle of a
 * loop (which makes the graph irreducible) is cut: it leaves the region.
 */

#include "qemu/osdep.h"
#include "tcg/tcg.h"
#include "tcg/helper-info.h"
#include "wasm-engine.h"
#include "wasm-region.h"

/* Marks of a word of a block's bytecode. */
enum { SEEN = 1, LEADER = 2 };

/*
 * A block that ran seldom stays out, as do those that are stale or of another
 * kind than the head, and those that cannot be compiled.
 */
static bool is_warm(const TranslationBlock *tb, const TranslationBlock *head)
{
    uint32_t state = qatomic_read((uint32_t *)tb->tc.ptr + 1);

    return tb_cflags(tb) == tb_cflags(head) && state >= WASM_HOT_RUNS / 4 && state != WASM_STATE_NEVER;
}

/* Whether a block is the head of a region itself. */
static bool is_head(const TranslationBlock *tb)
{
    return qatomic_read((uint32_t *)tb->tc.ptr + 1) > WASM_STATE_NEVER;
}

static int find_tb(const WasmRegion *r, const TranslationBlock *tb)
{
    for (int i = 0; i < r->n_tbs; i++) {
        if (r->tbs[i] == tb) {
            return i;
        }
    }
    return WASM_NO_NODE;
}

/* The block that a goto_tb instruction is linked to, or NULL. */
static const TranslationBlock *linked_tb(const uint32_t *insn)
{
    const uintptr_t *slot = (const void *)wasm_insn_target(insn);
    const void *target = (const void *)qatomic_read(slot);

    return target == insn + 1 ? NULL : wasm_tb_of_code(target);
}

/*
 * The block that a goto_ptr instruction went to when it was last interpreted,
 * if code of @from finds such a block without the helper, else NULL.
 */
static const TranslationBlock *last_tb(const TranslationBlock *from,
                                       const uint32_t *insn)
{
    uint32_t code = qatomic_read(insn + 1);
    const TranslationBlock *tb;

    if (!code) {
        return NULL;
    }
    tb = wasm_tb_of_code((const void *)(uintptr_t)code);
    return tb->flags == from->flags && tb->cs_base == from->cs_base &&
           tb_cflags(tb) == tb_cflags(from) ? tb : NULL;
}

static bool call_returns(const uint32_t *insn)
{
    const uintptr_t *pool = (const void *)wasm_insn_target(insn);
    const TCGHelperInfo *info = (const void *)pool[1];

    return !(info->flags & TCG_CALL_NO_RETURN);
}

/*
 * Marks the instructions of @tb that can be reached, and those that start a
 * node. Returns false for code that is too long or makes no sense.
 */
static bool scan_tb(const TranslationBlock *tb, uint8_t *marks)
{
    const uint32_t *code = tb->tc.ptr;
    int n = tb->tc.size / 4, depth = 0, at = WASM_HEADER_WORDS;
    uint16_t stack[WASM_REGION_NODES];

    memset(marks, 0, n);
    marks[at] = LEADER;
    for (;;) {
        bool go_on = true;

        if (at >= n) {
            return false;
        }
        if (marks[at] & SEEN) {
            go_on = false;
        } else {
            const uint32_t *insn = code + at;
            ptrdiff_t target = wasm_insn_target(insn) - code;

            marks[at++] |= SEEN;
            switch (extract32(*insn, 0, 8)) {
            case INDEX_op_br:
                go_on = false;
                /* fall through */
            case INDEX_op_brcond:
                if (target <= WASM_HEADER_WORDS || target >= n ||
                    depth == ARRAY_SIZE(stack)) {
                    return false;
                }
                marks[target] |= LEADER;
                stack[depth++] = target;
                if (go_on && at < n) {
                    marks[at] |= LEADER;
                }
                break;
            case INDEX_op_goto_tb:
                if (at < n) {
                    marks[at] |= LEADER;
                }
                break;
            case INDEX_op_call:
                go_on = call_returns(insn);
                break;
            case INDEX_op_exit_tb:
            case INDEX_op_goto_ptr:
                go_on = false;
                break;
            }
        }
        if (!go_on) {
            if (depth == 0) {
                return true;
            }
            at = stack[--depth];
        }
    }
}

/* Makes the nodes of block number @index; their successors come later. */
static bool add_nodes(WasmRegion *r, int index, const uint8_t *marks)
{
    const TranslationBlock *tb = r->tbs[index];
    const uint32_t *code = tb->tc.ptr;
    int n = tb->tc.size / 4;

    r->tb_node[index] = r->n_nodes;
    for (int at = WASM_HEADER_WORDS; at < n; ) {
        WasmNode *node = &r->nodes[r->n_nodes];
        bool ended = false;

        if ((marks[at] & (SEEN | LEADER)) != (SEEN | LEADER)) {
            at++;
            continue;
        }
        if (r->n_nodes == WASM_REGION_NODES) {
            return false;
        }
        r->n_nodes++;
        *node = (WasmNode) {
            .start = code + at, .tb = index, .kind = WASM_END_FALL,
        };
        while (!ended) {
            const uint32_t *insn = code + at++;

            switch (extract32(*insn, 0, 8)) {
            case INDEX_op_br:
                ended = true;
                break;
            case INDEX_op_brcond:
                node->kind = WASM_END_COND;
                ended = true;
                break;
            case INDEX_op_goto_tb:
                node->kind = WASM_END_GOTO_TB;
                ended = true;
                break;
            case INDEX_op_goto_ptr:
                node->kind = WASM_END_GOTO_PTR;
                ended = true;
                break;
            case INDEX_op_exit_tb:
                node->kind = WASM_END_LEAVE;
                ended = true;
                break;
            case INDEX_op_call:
                if (!call_returns(insn)) {
                    node->kind = WASM_END_LEAVE;
                    ended = true;
                }
                break;
            }
            ended |= at >= n || (marks[at] & LEADER);
        }
        node->end = code + at;
    }
    return true;
}

/* The node that starts at @start, in the same block as @node. */
static int node_at(const WasmRegion *r, const WasmNode *node,
                   const uint32_t *start)
{
    int i = r->tb_node[node->tb];

    while (r->nodes[i].start != start) {
        i++;
    }
    return i;
}

/* The other block that @node goes to, as far as that is known, or NULL. */
static const TranslationBlock *next_tb(const TranslationBlock *tb,
                                       const WasmNode *node)
{
    switch (node->kind) {
    case WASM_END_GOTO_TB:
        return linked_tb(node->end - 1);
    case WASM_END_GOTO_PTR:
        return wasm_lookup_inlined(tb) ? last_tb(tb, node->end - 1) : NULL;
    default:
        return NULL;
    }
}

static void connect_nodes(WasmRegion *r)
{
    for (int i = 0; i < r->n_nodes; i++) {
        WasmNode *node = &r->nodes[i];
        const uint32_t *last = node->end - 1;
        int tb;

        node->succ[0] = node->succ[1] = WASM_NO_NODE;
        switch (node->kind) {
        case WASM_END_FALL:
            node->succ[0] = node_at(r, node,
                                    extract32(*last, 0, 8) == INDEX_op_br ?
                                    wasm_insn_target(last) : node->end);
            break;
        case WASM_END_COND:
            node->succ[0] = node_at(r, node, wasm_insn_target(last));
            node->succ[1] = node_at(r, node, node->end);
            break;
        case WASM_END_GOTO_TB:
            tb = find_tb(r, node->next);
            if (tb != WASM_NO_NODE) {
                node->succ[0] = r->tb_node[tb];
            } else {
                node->succ[1] = node_at(r, node, node->end);
            }
            break;
        case WASM_END_GOTO_PTR:
            tb = find_tb(r, node->next);
            if (tb != WASM_NO_NODE) {
                node->succ[0] = r->tb_node[tb];
            }
            break;
        case WASM_END_LEAVE:
            break;
        }
    }
}

static void visit(WasmRegion *r, int i, int *next)
{
    WasmNode *node = &r->nodes[i];

    node->order = 0;
    for (int k = 1; k >= 0; k--) {
        int s = node->succ[k];

        if (s != WASM_NO_NODE && r->nodes[s].order == WASM_NO_NODE) {
            visit(r, s, next);
        }
    }
    r->order[--*next] = i;
}

/* Reverse postorder of what can be reached from the head. */
static void order_nodes(WasmRegion *r)
{
    int next = r->n_nodes;

    for (int i = 0; i < r->n_nodes; i++) {
        r->nodes[i].order = WASM_NO_NODE;
    }
    visit(r, 0, &next);
    r->n_order = r->n_nodes - next;
    memmove(r->order, r->order + next, r->n_order * sizeof(r->order[0]));
    for (int i = 0; i < r->n_order; i++) {
        r->nodes[r->order[i]].order = i;
    }
}

static int common_dominator(const WasmRegion *r, int a, int b)
{
    while (a != b) {
        while (r->nodes[a].order > r->nodes[b].order) {
            a = r->nodes[a].idom;
        }
        while (r->nodes[b].order > r->nodes[a].order) {
            b = r->nodes[b].idom;
        }
    }
    return a;
}

/* Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm". */
static void find_dominators(WasmRegion *r)
{
    bool changed = true;

    for (int i = 0; i < r->n_order; i++) {
        r->nodes[r->order[i]].idom = WASM_NO_NODE;
    }
    r->nodes[0].idom = 0;
    while (changed) {
        changed = false;
        for (int i = 0; i < r->n_order; i++) {
            int from = r->order[i];

            for (int k = 0; k < 2; k++) {
                int to = r->nodes[from].succ[k], idom;

                if (to == WASM_NO_NODE || to == 0) {
                    continue;
                }
                idom = r->nodes[to].idom;
                idom = idom == WASM_NO_NODE ? from :
                       common_dominator(r, idom, from);
                if (idom != r->nodes[to].idom) {
                    r->nodes[to].idom = idom;
                    changed = true;
                }
            }
        }
    }
}

static bool dominates(const WasmRegion *r, int a, int b)
{
    while (r->nodes[b].order > r->nodes[a].order) {
        b = r->nodes[b].idom;
    }
    return a == b;
}

/*
 * Classifies the edges. An edge back to a node that does not dominate its
 * source is cut if it is a link between blocks. Returns 1 if some were cut
 * (the graph is another then), and -1 if one could not be.
 */
static int find_loops(WasmRegion *r)
{
    int cut = 0;

    for (int i = 0; i < r->n_order; i++) {
        WasmNode *node = &r->nodes[r->order[i]];

        node->forward_preds = 0;
        node->loop_header = false;
        node->first_child = node->next_sibling = WASM_NO_NODE;
    }
    for (int i = 0; i < r->n_order; i++) {
        WasmNode *node = &r->nodes[r->order[i]];

        for (int k = 0; k < 2; k++) {
            int to = node->succ[k];

            if (to == WASM_NO_NODE) {
                continue;
            }
            if (r->nodes[to].order > i) {
                r->nodes[to].forward_preds++;
            } else if (dominates(r, to, r->order[i])) {
                r->nodes[to].loop_header = true;
            } else if (node->next && k == 0) {
                node->succ[0] = WASM_NO_NODE;
                if (node->kind == WASM_END_GOTO_TB) {
                    node->succ[1] = node_at(r, node, node->end);
                }
                cut = 1;
                break; /* the rest is for the new graph */
            } else {
                return -1;
            }
        }
        if (i > 0) {
            node->next_sibling = r->nodes[node->idom].first_child;
            r->nodes[node->idom].first_child = r->order[i];
        }
    }
    return cut;
}

bool wasm_region_choose(WasmRegion *r, const TranslationBlock *head,
                        bool optimize)
{
    uint8_t marks[UINT16_MAX / 4 + WASM_REGION_WORDS];
    int n_pointers = optimize ? WASM_REGION_POINTERS : 0, cut;

    if (tb_cflags(head) & (CF_INVALID | CF_NOIRQ)) {
        return false;
    }
    r->n_tbs = 1;
    r->n_nodes = r->n_words = 0;
    r->tbs[0] = head;
    for (int i = 0; i < r->n_tbs; i++) {
        const TranslationBlock *tb = r->tbs[i];
        int n_words = tb->tc.size / 4, n_nodes = r->n_nodes;

        if ((i > 0 && r->n_words + n_words > WASM_REGION_WORDS) ||
            n_words >= sizeof(marks) ||
            !scan_tb(tb, marks) || !add_nodes(r, i, marks)) {
            if (i == 0) {
                return false;
            }
            r->n_nodes = n_nodes;
            r->tbs[i--] = r->tbs[--r->n_tbs];
            continue;
        }
        r->n_words += n_words;

        for (int k = n_nodes; k < r->n_nodes; k++) {
            const TranslationBlock *next = next_tb(tb, &r->nodes[k]);

            r->nodes[k].next = next;
            if (!next || r->n_tbs == WASM_REGION_TBS || !is_warm(next, head) ||
                find_tb(r, next) != WASM_NO_NODE) {
                continue;
            }
            if (r->nodes[k].kind == WASM_END_GOTO_PTR) {
                if (n_pointers == 0 || !is_head(next)) {
                    continue;
                }
                n_pointers--;
            }
            r->tbs[r->n_tbs++] = next;
        }
    }

    connect_nodes(r);
    do {
        order_nodes(r);
        find_dominators(r);
        cut = find_loops(r);
    } while (cut > 0);
    return cut == 0;
}
