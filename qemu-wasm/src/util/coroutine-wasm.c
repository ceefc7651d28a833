/*
 * Coroutines for WebAssembly: one pool thread per live coroutine.
 *
 * WebAssembly has no way to switch stacks, so each coroutine runs on a thread
 * of its own, and exactly one thread of those that make up "the current
 * thread" holds the baton and runs. The others sleep on a futex.
 *
 * A coroutine must see the thread-local variables of the thread that entered
 * it, and be that thread to whoever asks. Both are WebAssembly globals of the
 * thread's module instance: the base of the thread-local block (__tls_base)
 * and the pthread pointer. They are handed over with the baton. As a pool
 * thread never runs with an identity while that identity's thread runs, this
 * is not visible to anyone.
 *
 * A thread is taken from the pool when a coroutine is first entered and
 * goes back when it terminates, so the objects that qemu-coroutine.c keeps for
 * later cost nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/coroutine_int.h"
#include "qemu/coroutine-tls.h"
#include "qemu/futex.h"
#include "qemu/queue.h"
#include "qemu/thread.h"

#include <pthread.h>

/* Who a thread is: what its thread-local variables and pthread_self() are. */
typedef struct Identity {
    uintptr_t tls_base;
    pthread_t self;
} Identity;

typedef struct CoroutineWasm CoroutineWasm;

typedef struct PoolThread {
    uint32_t baton;                 /* 1: run */
    CoroutineWasm *co;              /* what to run */
    QSLIST_ENTRY(PoolThread) next;  /* while idle */
} PoolThread;

struct CoroutineWasm {
    Coroutine base;
    CoroutineAction action;         /* how it was resumed */
    Identity identity;              /* as whom it is resumed */
    uint32_t *baton;                /* NULL: no thread yet */
    uint32_t leader_baton;          /* the baton of a leader, which is not
                                       of the pool: a thread's own code */
};

static QemuMutex pool_lock;
static QSLIST_HEAD(, PoolThread) idle_threads =
    QSLIST_HEAD_INITIALIZER(idle_threads);

QEMU_DEFINE_STATIC_CO_TLS(Coroutine *, current);
QEMU_DEFINE_STATIC_CO_TLS(CoroutineWasm *, leader);

/*
 * Identity. The compiler may keep the base of the thread-local block in a
 * local variable throughout a function, so these must not be inlined, and the
 * functions below may use thread-local variables through calls only.
 */

/* In Emscripten's emscripten_thread_state.S. */
extern void __set_thread_state(pthread_t self, int is_main_thread,
                               int is_runtime_thread, int can_wait);

static __attribute__((noinline)) uintptr_t get_tls_base(void)
{
    uintptr_t base;

    asm volatile(".globaltype __tls_base, i64\n"
                 "global.get __tls_base\n"
                 "local.set %0" : "=r"(base));
    return base;
}

static __attribute__((noinline)) void set_tls_base(uintptr_t base)
{
    asm volatile("local.get %0\n"
                 "global.set __tls_base" : : "r"(base) : "memory");
}

static __attribute__((noinline)) Identity get_identity(void)
{
    return (Identity) { get_tls_base(), pthread_self() };
}

static __attribute__((noinline)) void set_identity(Identity id)
{
    set_tls_base(id.tls_base);
    __set_thread_state(id.self, 0, 0, 1);
}

/* The baton. Neither function may touch thread-local variables. */

static void baton_pass(uint32_t *baton)
{
    qatomic_store_release(baton, 1);
    qemu_futex_wake_single(baton);
}

static void baton_wait(uint32_t *baton)
{
    while (!qatomic_xchg(baton, 0)) {
        qemu_futex_wait(baton, 0);
    }
}

/* Lets @to run as the calling thread; the caller must then sleep. */
static void resume(Coroutine *to_, CoroutineAction action)
{
    CoroutineWasm *to = DO_UPCAST(CoroutineWasm, base, to_);

    set_current(to_);
    to->action = action;
    to->identity = get_identity();
    baton_pass(to->baton);
}

static void *pool_thread(void *opaque)
{
    PoolThread *thread = opaque;

    while (true) {
        CoroutineWasm *co;

        baton_wait(&thread->baton);
        co = thread->co;
        set_identity(co->identity);
        co->base.entry(co->base.entry_arg);

        /*
         * As soon as its caller runs, the coroutine may be freed or entered
         * anew, and this thread be given another one.
         */
        co->baton = NULL;
        qemu_mutex_lock(&pool_lock);
        QSLIST_INSERT_HEAD(&idle_threads, thread, next);
        qemu_mutex_unlock(&pool_lock);
        resume(co->base.caller, COROUTINE_TERMINATE);
    }
    return NULL;
}

static PoolThread *pool_thread_new(void)
{
    PoolThread *thread = g_new0(PoolThread, 1);
    pthread_attr_t attr;
    pthread_t id;
    int err;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, COROUTINE_STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    err = pthread_create(&id, &attr, pool_thread, thread);
    if (err) {
        fprintf(stderr, "qemu: cannot start a thread for a coroutine: %s\n",
                strerror(err));
        abort();
    }
    pthread_attr_destroy(&attr);
    return thread;
}

static void take_pool_thread(CoroutineWasm *co)
{
    PoolThread *thread;

    qemu_mutex_lock(&pool_lock);
    thread = QSLIST_FIRST(&idle_threads);
    if (thread) {
        QSLIST_REMOVE_HEAD(&idle_threads, next);
    }
    qemu_mutex_unlock(&pool_lock);

    if (!thread) {
        thread = pool_thread_new();
    }
    thread->co = co;
    co->baton = &thread->baton;
}

Coroutine *qemu_coroutine_new(void)
{
    CoroutineWasm *co = g_new0(CoroutineWasm, 1);

    return &co->base;
}

void qemu_coroutine_delete(Coroutine *co_)
{
    g_free(DO_UPCAST(CoroutineWasm, base, co_));
}

CoroutineAction qemu_coroutine_switch(Coroutine *from_, Coroutine *to_,
                                      CoroutineAction action)
{
    CoroutineWasm *from = DO_UPCAST(CoroutineWasm, base, from_);
    CoroutineWasm *to = DO_UPCAST(CoroutineWasm, base, to_);

    if (!to->baton) {
        take_pool_thread(to);
    }
    resume(to_, action);
    baton_wait(from->baton);
    set_identity(from->identity);
    return from->action;
}

Coroutine *qemu_coroutine_self(void)
{
    if (!get_current()) {
        CoroutineWasm *leader = get_leader();

        if (!leader) {
            leader = g_new0(CoroutineWasm, 1);
            leader->baton = &leader->leader_baton;
            set_leader(leader);
        }
        set_current(&leader->base);
    }
    return get_current();
}

bool qemu_in_coroutine(void)
{
    Coroutine *self = get_current();

    return self && self->caller;
}

static void __attribute__((constructor)) coroutine_pool_init(void)
{
    qemu_mutex_init(&pool_lock);
}
