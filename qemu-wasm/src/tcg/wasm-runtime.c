/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns hot blocks into functions, and runs them.
 *
 * Every vCPU thread has a WebAssembly instance of QEMU of its own, and with it
 * a function table of its own, which it extends by WASM_SLOTS slots. A region
 * has the same slot in all of them. Hot blocks wait until a module is full, or
 * until one of them is much hotter. The thread that then compiles them loads the
 * module at its next entry; other threads do when they come across it. A slot
 * that is not loaded holds a function that goes back to the interpreter.
 *
 * When slots run out, or modules are too large in all, all translation blocks
 * are flushed, and with them all regions. A thread clears its own slots when it
 * next enters a region. A module's bytes are freed when all threads have it.
 */

#include "qemu/osdep.h"
#include <emscripten.h>
#include "accel/tcg/getpc.h"
#include "exec/tb-flush.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "qemu/thread.h"
#include "wasm-engine.h"
#include "wasm-translate.h"

enum {
    WASM_SLOTS = 16384,
    WASM_BATCH = 16,  /* regions of a module */
    WASM_QUEUE = 2 * WASM_BATCH,
    /* Bytes of all modules; the browser's code for them has several times that. */
    WASM_MODULES_SIZE = 48 << 20,
};

/* Headers of blocks that wait to be compiled, as one module. */
typedef struct WasmQueue {
    bool optimize;
    int n;
    uint32_t *headers[WASM_QUEUE];
} WasmQueue;

typedef struct WasmModule {
    uint8_t *bytes;
    uint32_t size;
    uint32_t *imports;  /* indices in the table of what it imports */
    uint32_t n_imports;
    uint32_t first, n;  /* its slots, counted from engine.first_slot */
    unsigned to_load;   /* vCPUs that have not loaded it */
} WasmModule;

/* Of all threads; changed under the lock. */
static struct {
    QemuMutex lock;
    uint32_t first_slot;         /* in every thread's table */
    uint32_t n_slots;            /* in use */
    uint32_t n_modules;
    size_t modules_size;
    unsigned generation;         /* raised by every flush */
    bool flush_queued;
    uint16_t slot_module[WASM_SLOTS];
    WasmModule modules[WASM_SLOTS];
    WasmQueue hot, hotter;       /* the latter has regions already */
    GHashTable *heads_of;        /* of blocks: a list of the headers of the
                                    regions that they are part of */
    WasmCompiler compiler;
    WasmRegion region;
} engine;

/* Of one vCPU thread. */
typedef struct WasmThread {
    bool ready;
    unsigned generation;
    uint64_t result[2];
    bool loaded[WASM_SLOTS];     /* modules */
} WasmThread;

static __thread WasmThread *thread;

/* Extends the table by COUNT slots that hold slot FILL's function. */
EM_JS(int, wasm_table_extend, (int count, int fill), {
    return wasmTable.grow(count, wasmTable.get(fill));
});

EM_JS(void, wasm_table_clear, (int first, int count, int fill), {
    const f = wasmTable.get(fill);
    for (let i = 0; i < count; i++) wasmTable.set(first + i, f);
});

/* Compiles a module, gives it its imports and puts its functions into slots. */
EM_JS(void, wasm_module_load, (uint32_t bytes, int size, uint32_t imports,
                               int n_imports, int first, int count,
                               int ra, int result), {
    const code = HEAPU8.slice(bytes >>> 0, (bytes >>> 0) + size);
    const f = wasmTable.asImports ??= {};
    for (let i = 0; i < n_imports; i++) {
        const index = HEAPU32[((imports >>> 0) >>> 2) + i];
        f[index] ??= wasmTable.get(index);
    }
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {
        e: { m: wasmMemory, t: wasmTable, a: ra, r: result }, f,
    });
    for (let i = 0; i < count; i++) wasmTable.set(first + i, exports[i]);
});

static uint64_t not_loaded(CPUArchState *env, uint32_t next)
{
    return WASM_CONTINUE | next;
}

static void __attribute__((constructor)) wasm_engine_init(void)
{
    qemu_mutex_init(&engine.lock);
    engine.hotter.optimize = true;
    engine.heads_of = g_hash_table_new_full(NULL, NULL, NULL,
                                            (GDestroyNotify)g_slist_free);
}

static void thread_start(void)
{
    uint32_t first = wasm_table_extend(WASM_SLOTS,
                                       (int)(uintptr_t)not_loaded);

    thread = g_new0(WasmThread, 1);
    qemu_mutex_lock(&engine.lock);
    thread->generation = engine.generation;
    if (!engine.first_slot) {
        engine.first_slot = first;
    }
    qemu_mutex_unlock(&engine.lock);
    g_assert(first == engine.first_slot && first > WASM_STATE_NEVER);
}

/* Notes which blocks the region that starts at @header consists of. */
static void note_blocks(uint32_t *header)
{
    for (int i = 0; i < engine.region.n_tbs; i++) {
        gpointer tb = (gpointer)engine.region.tbs[i], heads = NULL;

        g_hash_table_steal_extended(engine.heads_of, tb, NULL, &heads);
        g_hash_table_insert(engine.heads_of, tb, g_slist_prepend(heads, header));
    }
}

/*
 * A block that became hot together with the head of a region that it is part
 * of will be entered there. To be a head itself it has to become hot again, by
 * being entered otherwise.
 */
static bool has_region(uint32_t *header)
{
    if (header[2] || !g_hash_table_lookup(engine.heads_of,
                                          wasm_tb_of_code(header))) {
        return false;
    }
    header[1] = WASM_HOT_RUNS / 2;
    header[2] = 1;
    return true;
}

/*
 * Compiles the regions of the blocks in @queue, as one module, and gives the
 * blocks their slots.
 */
static void compile(WasmQueue *queue)
{
    WasmCompiler *c = &engine.compiler;
    WasmModule *module = &engine.modules[engine.n_modules];
    uint32_t *heads[WASM_QUEUE];

    wasm_module_begin(c);
    for (int i = 0; i < queue->n; i++) {
        uint32_t *header = queue->headers[i];

        if (!queue->optimize && has_region(header)) {
            continue;
        }
        if (wasm_region_choose(&engine.region, wasm_tb_of_code(header),
                               queue->optimize) &&
            wasm_compile_region(c, &engine.region, queue->optimize)) {
            heads[c->n_functions - 1] = header;
            note_blocks(header);
        } else if (!queue->optimize) {
            header[1] = WASM_STATE_NEVER;
        }
    }
    queue->n = 0;
    if (c->n_functions == 0) {
        return;
    }
    wasm_module_end(c);
    module->size = c->module.len;
    module->bytes = g_memdup2(c->module.data, c->module.len);
    module->n_imports = c->n_imports;
    module->imports = g_memdup2(c->imports, c->n_imports * sizeof(uint32_t));
    module->first = engine.n_slots;
    module->n = c->n_functions;
    module->to_load = current_machine->smp.max_cpus;
    engine.modules_size += module->size;
    for (int i = 0; i < module->n; i++) {
        engine.slot_module[engine.n_slots] = engine.n_modules;
        heads[i][2] = queue->optimize ? INT32_MAX : WASM_OPTIMIZE_RUNS;
        qatomic_store_release(&heads[i][1],
                              engine.first_slot + engine.n_slots++);
    }
    engine.n_modules++;
}

/* Half of the blocks that become hot are then part of regions of others. */
static bool is_full(const WasmQueue *queue)
{
    return queue->n >= (queue->optimize ? WASM_BATCH : WASM_QUEUE);
}

/*
 * Puts a block into @queue, which is compiled when it is full or when a block
 * came a second time. Flushes all blocks when there is no room for more regions.
 */
static void enqueue(WasmQueue *queue, uint32_t *header, bool at_once)
{
    bool waits = false;

    for (int i = 0; i < queue->n; i++) {
        waits |= queue->headers[i] == header;
    }
    if (engine.n_slots + WASM_QUEUE > WASM_SLOTS ||
        engine.modules_size > WASM_MODULES_SIZE) {
        if (!engine.flush_queued) {
            engine.flush_queued = true;
            queue_tb_flush(current_cpu);
        }
        return;
    }
    if (!waits) {
        queue->headers[queue->n++] = header;
    }
    if (is_full(queue) || at_once || (queue->optimize && waits)) {
        compile(queue);
    }
}

/* A block became hot, or ran often since. Returns its state. */
static uint32_t compile_soon(uint32_t *header)
{
    uint32_t state;

    qemu_mutex_lock(&engine.lock);
    state = header[1];
    if (state < WASM_STATE_NEVER) {
        header[1] = MIN(state + 1, WASM_HOTTER_RUNS);
        enqueue(&engine.hot, header, state >= WASM_HOTTER_RUNS);
        state = header[1];
    }
    qemu_mutex_unlock(&engine.lock);
    return state;
}

void wasm_engine_optimize(uint32_t at)
{
    uint32_t *header = (uint32_t *)(uintptr_t)at;

    qemu_mutex_lock(&engine.lock);
    if (header[1] > WASM_STATE_NEVER) {
        header[2] = WASM_OPTIMIZE_RUNS;
        enqueue(&engine.hotter, header, false);
    }
    qemu_mutex_unlock(&engine.lock);
}

void wasm_engine_invalidate(const TranslationBlock *tb)
{
    GSList *heads;
    CPUState *cpu;

    qemu_mutex_lock(&engine.lock);
    heads = g_hash_table_lookup(engine.heads_of, tb);
    if (heads) {
        for (GSList *head = heads; head; head = head->next) {
            uint32_t *header = head->data;

            if (header[1] > WASM_STATE_NEVER) {
                qatomic_set(&header[1], 0);
            }
        }
        g_hash_table_remove(engine.heads_of, tb);
        /* Every block of a region looks there at its start. */
        CPU_FOREACH(cpu) {
            qatomic_set(&cpu->neg.icount_decr.u16.high, -1);
        }
    }
    qemu_mutex_unlock(&engine.lock);
}

static void free_contents(WasmModule *module)
{
    g_free(module->bytes);
    g_free(module->imports);
    module->bytes = NULL;
    module->imports = NULL;
}

static void load(uint32_t index)
{
    WasmModule *module = &engine.modules[index];

    wasm_module_load((uintptr_t)module->bytes, module->size,
                     (uintptr_t)module->imports, module->n_imports,
                     engine.first_slot + module->first, module->n,
                     (uintptr_t)&tci_tb_ptr, (uintptr_t)thread->result);
    thread->loaded[index] = true;

    qemu_mutex_lock(&engine.lock);
    if (--module->to_load == 0) {
        free_contents(module);
    }
    qemu_mutex_unlock(&engine.lock);
}

uint64_t wasm_engine_enter(CPUArchState *env, uint32_t *header)
{
    uint32_t state = qatomic_load_acquire(&header[1]), module;

    if (unlikely(!thread)) {
        thread_start();
    }
    if (unlikely(thread->generation != qatomic_read(&engine.generation))) {
        wasm_table_clear(engine.first_slot, WASM_SLOTS,
                         (int)(uintptr_t)not_loaded);
        memset(thread->loaded, 0, sizeof(thread->loaded));
        thread->generation = engine.generation;
    }
    if (state < WASM_STATE_NEVER) {
        state = compile_soon(header);
    }
    if (state <= WASM_STATE_NEVER) {
        return WASM_CONTINUE | (uintptr_t)(header + WASM_HEADER_WORDS);
    }
    module = engine.slot_module[state - engine.first_slot];
    if (unlikely(!thread->loaded[module])) {
        load(module);
    }
    return ((WasmRegionFunc *)(uintptr_t)state)(env, (uintptr_t)header);
}

void wasm_engine_flush(void)
{
    qemu_mutex_lock(&engine.lock);
    for (uint32_t i = 0; i < engine.n_modules; i++) {
        free_contents(&engine.modules[i]);
    }
    engine.n_modules = engine.n_slots = 0;
    engine.modules_size = 0;
    engine.hot.n = engine.hotter.n = 0;
    g_hash_table_remove_all(engine.heads_of);
    engine.flush_queued = false;
    qatomic_set(&engine.generation, engine.generation + 1);
    qemu_mutex_unlock(&engine.lock);
}
