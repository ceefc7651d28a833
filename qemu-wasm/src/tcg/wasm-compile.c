/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a WebAssembly function of a region: the graph of its nodes becomes
 * nested blocks and loops, as in Norman Ramsey, "Beyond Relooper: recursive
 * translation of unstructured control flow to structured control flow" (ICFP
 * 2022). A node's code is inside that of its immediate dominator. Nodes that
 * several edges go forward to ("merges") follow a block that those edges leave.
 */

#include "qemu/osdep.h"
#include "wasm-engine.h"
#include "wasm-translate.h"

/* The block that all of a region's code is in, and its exits leave. */
enum { EXIT_DEPTH = WASM_FAIL_DEPTH + 1 };

static void open_block(WasmCompiler *c, WasmOpcode op)
{
    wasm_op(&c->code, op);
    wasm_byte(&c->code, WASM_EMPTY);
    c->depth++;
}

static void close_block(WasmCompiler *c)
{
    wasm_op(&c->code, WASM_end);
    c->depth--;
}

/*
 * The end of the function, where all exits meet: goes on at the bytecode address
 * in LOCAL_NEXT, in another region if there is one, else in the interpreter.
 */
static void emit_exit(WasmCompiler *c)
{
    WasmBuffer *b = &c->code;

    wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
    wasm_memory_op(b, WASM_i32_load, WASM_STATE_OFFSET);
    wasm_op_u32(b, WASM_local_tee, LOCAL_STATE);
    wasm_i32_const(b, WASM_STATE_NEVER);
    wasm_op(b, WASM_i32_gt_u);
    open_block(c, WASM_if);
    wasm_op_u32(b, WASM_local_get, LOCAL_ENV);
    wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
    wasm_op_u32(b, WASM_local_get, LOCAL_STATE);
    wasm_op_u32(b, WASM_return_call_indirect, 0);
    wasm_byte(b, 0);
    close_block(c);
    wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
    wasm_op(b, WASM_i64_extend_i32_u);
    wasm_i64_const(b, WASM_CONTINUE);
    wasm_op(b, WASM_i64_or);
    wasm_op(b, WASM_return);
}

static void leave_to_next(WasmCompiler *c)
{
    wasm_globals_flush(c);
    wasm_op_u32(&c->code, WASM_br, c->depth - EXIT_DEPTH);
}

/* The same if the condition on the stack holds. */
static void leave_to_next_if(WasmCompiler *c)
{
    if (c->dirty) {
        open_block(c, WASM_if);
        leave_to_next(c);
        close_block(c);
    } else {
        wasm_op_u32(&c->code, WASM_br_if, c->depth - EXIT_DEPTH);
    }
}

static void emit_node(WasmCompiler *c, int i);

static bool is_merge(const WasmNode *node)
{
    return node->forward_preds > 1;
}

/* Whether the edge becomes a br instruction rather than code in place. */
static bool is_jump(WasmCompiler *c, int from, int to)
{
    const WasmNode *nodes = c->region->nodes;

    return nodes[to].order <= nodes[from].order || is_merge(&nodes[to]);
}

static void emit_edge(WasmCompiler *c, int from, int to)
{
    if (is_jump(c, from, to)) {
        wasm_op_u32(&c->code, WASM_br, c->depth - c->node_depth[to]);
    } else {
        emit_node(c, to);
    }
}

/* Goes to one of two nodes; the condition for @yes lies on the stack. */
static void emit_branch(WasmCompiler *c, int from, int yes, int no)
{
    WasmBuffer *b = &c->code;

    if (is_jump(c, from, yes)) {
        wasm_op_u32(b, WASM_br_if, c->depth - c->node_depth[yes]);
        emit_edge(c, from, no);
    } else if (is_jump(c, from, no)) {
        wasm_op(b, WASM_i32_eqz);
        wasm_op_u32(b, WASM_br_if, c->depth - c->node_depth[no]);
        emit_edge(c, from, yes);
    } else {
        open_block(c, WASM_if);
        emit_edge(c, from, yes);
        wasm_op(b, WASM_else);
        emit_edge(c, from, no);
        close_block(c);
    }
}

/* Goes to node @to, which starts a block, if that is where LOCAL_NEXT points. */
static void emit_if_next(WasmCompiler *c, int from, int to)
{
    WasmBuffer *b = &c->code;
    const WasmNode *nodes = c->region->nodes;

    if (to == WASM_NO_NODE) {
        return;
    }
    wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
    wasm_i32_const(b, (uintptr_t)(nodes[to].start - WASM_HEADER_WORDS));
    wasm_op(b, WASM_i32_eq);
    if (is_jump(c, from, to)) {
        wasm_op_u32(b, WASM_br_if, c->depth - c->node_depth[to]);
    } else {
        open_block(c, WASM_if);
        emit_edge(c, from, to);
        close_block(c);
    }
}

/*
 * A link to a block that is not in the region, or to none as yet. Its slot holds
 * the address of that block's code, or of the instruction after goto_tb while
 * there is no link.
 */
static void emit_goto_tb(WasmCompiler *c, int from, const WasmNode *node)
{
    WasmBuffer *b = &c->code;
    const uint32_t *insn = node->end - 1;

    wasm_i32_const(b, (uintptr_t)wasm_insn_target(insn));
    wasm_memory_op(b, WASM_i32_load, 0);
    wasm_op_u32(b, WASM_local_tee, LOCAL_NEXT);
    wasm_i32_const(b, (uintptr_t)(insn + 1));
    wasm_op(b, WASM_i32_ne);
    leave_to_next_if(c);
    emit_edge(c, from, node->succ[1]);
}

/* A jump to an address that was found at run time. */
static void emit_goto_ptr(WasmCompiler *c, int from, const WasmNode *node)
{
    WasmBuffer *b = &c->code;
    const uint32_t *insn = node->end - 1;
    uint64_t dirty = c->dirty;

    if (insn > node->start && wasm_is_lookup(insn - 1)) {
        wasm_lookup(c);
    } else {
        wasm_get_reg(c, extract32(*insn, 8, 4));
        wasm_op(b, WASM_i32_wrap_i64);
        wasm_op_u32(b, WASM_local_set, LOCAL_NEXT);
    }
    emit_if_next(c, from, node->succ[0]);
    c->dirty = dirty;
    /* No block there: the loop around us makes one. */
    wasm_op_u32(b, WASM_local_get, LOCAL_NEXT);
    leave_to_next_if(c);
    wasm_globals_flush(c);
    wasm_i64_const(b, 0);
    wasm_op(b, WASM_return);
}

static void emit_leave(WasmCompiler *c, const WasmNode *node)
{
    WasmBuffer *b = &c->code;
    const uint32_t *insn = node->end - 1;

    switch (extract32(*insn, 0, 8)) {
    case INDEX_op_exit_tb:
        wasm_globals_flush(c);
        wasm_i64_const(b, extract32(*insn, 12, 20) ?
                       (uintptr_t)wasm_insn_target(insn) : 0);
        wasm_op(b, WASM_return);
        break;
    default: /* a helper that does not return */
        wasm_op(b, WASM_unreachable);
        break;
    }
}

/*
 * What a block does first: it returns if somebody asked for that, and notes
 * whether its first instruction may do I/O.
 */
static void emit_block_start(WasmCompiler *c)
{
    WasmBuffer *b = &c->code;
    const int neg = WASM_ENV_BIAS - (int)sizeof(CPUNegativeOffsetState);
    uint32_t start = *(const uint32_t *)c->tb->tc.ptr >> 8;

    if (start & TB_START_CHECK) {
        wasm_op_u32(b, WASM_local_get, LOCAL_BASE);
        wasm_memory_op(b, WASM_i32_load,
                       neg + offsetof(CPUNegativeOffsetState, icount_decr.u32));
        wasm_i32_const(b, 0);
        wasm_op(b, WASM_i32_lt_s);
        wasm_hint(c, false);
        open_block(c, WASM_if);
        wasm_globals_flush(c);
        wasm_i64_const(b, (uintptr_t)c->tb | TB_EXIT_REQUESTED);
        wasm_op(b, WASM_return);
        close_block(c);
    }
    wasm_op_u32(b, WASM_local_get, LOCAL_BASE);
    wasm_i32_const(b, (start & TB_START_IO) != 0);
    wasm_memory_op(b, WASM_i32_store8,
                   neg + offsetof(CPUNegativeOffsetState, can_do_io));
}

static void emit_code(WasmCompiler *c, int i)
{
    const WasmNode *node = &c->region->nodes[i];

    c->tb = c->region->tbs[node->tb];
    c->dirty = c->dirty_in[i];
    if (i == c->region->tb_node[node->tb]) {
        emit_block_start(c);
    }
    wasm_node_body(c, i);
    switch (node->kind) {
    case WASM_END_FALL:
        emit_edge(c, i, node->succ[0]);
        break;
    case WASM_END_COND:
        wasm_node_condition(c, node);
        emit_branch(c, i, node->succ[0], node->succ[1]);
        break;
    case WASM_END_GOTO_TB:
        if (node->succ[0] != WASM_NO_NODE) {
            emit_edge(c, i, node->succ[0]);
        } else {
            emit_goto_tb(c, i, node);
        }
        break;
    case WASM_END_GOTO_PTR:
        emit_goto_ptr(c, i, node);
        break;
    case WASM_END_LEAVE:
        emit_leave(c, node);
        break;
    }
}

/* The blocks around node @i's code that merges from @child on follow. */
static void emit_within(WasmCompiler *c, int i, int child)
{
    const WasmNode *nodes = c->region->nodes;

    while (child != WASM_NO_NODE && !is_merge(&nodes[child])) {
        child = nodes[child].next_sibling;
    }
    if (child == WASM_NO_NODE) {
        emit_code(c, i);
        return;
    }
    open_block(c, WASM_block);
    c->node_depth[child] = c->depth;
    emit_within(c, i, nodes[child].next_sibling);
    close_block(c);
    emit_node(c, child);
}

static void emit_node(WasmCompiler *c, int i)
{
    const WasmNode *node = &c->region->nodes[i];

    if (node->loop_header) {
        open_block(c, WASM_loop);
        c->node_depth[i] = c->depth;
    }
    emit_within(c, i, node->first_child);
    if (node->loop_header) {
        close_block(c);
    }
}

/*
 * Counts the runs in the header's third word, down from where the region was
 * made. At zero the region is worth more effort.
 */
static void emit_countdown(WasmCompiler *c)
{
    WasmBuffer *b = &c->code;
    uint32_t header = (uintptr_t)c->region->tbs[0]->tc.ptr;

    wasm_i32_const(b, header);
    wasm_i32_const(b, header);
    wasm_memory_op(b, WASM_i32_load, WASM_RUNS_OFFSET);
    wasm_i32_const(b, -1);
    wasm_op(b, WASM_i32_add);
    wasm_op_u32(b, WASM_local_tee, LOCAL_STATE);
    wasm_memory_op(b, WASM_i32_store, WASM_RUNS_OFFSET);
    wasm_op_u32(b, WASM_local_get, LOCAL_STATE);
    wasm_i32_const(b, 0);
    wasm_op(b, WASM_i32_le_s);
    wasm_hint(c, false);
    wasm_op(b, WASM_if);
    wasm_byte(b, WASM_EMPTY);
    wasm_i32_const(b, header);
    wasm_call(c, wasm_engine_optimize, (WasmSignature) { .n_params = 1 });
    wasm_op(b, WASM_end);
}

static bool has_loop(const WasmRegion *r)
{
    for (int i = 0; i < r->n_order; i++) {
        if (r->nodes[r->order[i]].loop_header) {
            return true;
        }
    }
    return false;
}

bool wasm_compile_region(WasmCompiler *c, const WasmRegion *r, bool optimized)
{
    WasmBuffer *b = &c->code;

    b->len = 0;
    wasm_module_next(c);
    c->n_i64 = 0;
    memset(c->reg_local, 0, sizeof(c->reg_local));
    memset(c->stack_local, 0, sizeof(c->stack_local));
    c->carry_local = c->temp_local = 0;
    c->region = r;
    c->failure = NULL;
    c->depth = 0;
    /* A loop may run for long, uncounted. */
    c->optimized = optimized || has_loop(r);

    wasm_op_u32(b, WASM_local_get, LOCAL_ENV);
    wasm_op(b, WASM_i32_wrap_i64);
    wasm_i32_const(b, -WASM_ENV_BIAS);
    wasm_op(b, WASM_i32_add);
    wasm_op_u32(b, WASM_local_set, LOCAL_BASE);
    wasm_globals_analyse(c);
    if (!optimized) {
        emit_countdown(c);
    }
    wasm_globals_enter_region(c);
    open_block(c, WASM_block);
    g_assert(c->depth == WASM_FAIL_DEPTH);
    open_block(c, WASM_block);
    g_assert(c->depth == EXIT_DEPTH);
    emit_node(c, 0);
    wasm_op(b, WASM_unreachable);
    close_block(c);
    emit_exit(c);
    close_block(c);
    wasm_i64_const(b, 0);
    wasm_op(b, WASM_end);
    if (c->failure) {
        return false;
    }

    wasm_module_add(c);
    return true;
}
