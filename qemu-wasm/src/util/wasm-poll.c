/*
 * Waiting under Emscripten. Its poll() returns at once, and its pipes are
 * calls to the thread that loaded the module, so that a main loop built on
 * them burns a core. Here every wake-up is a store, an addition to the one
 * event sequence, and a futex wake.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/timer.h"
#include "qemu/wasm-host.h"
#include "qemu/wasm-poll.h"

/* Above any descriptor that Emscripten's file system gives out. */
#define FIRST_EVENT (1 << 20)
#define MAX_EVENTS  4096

/* How long to wait between two looks at ordinary descriptors. */
#define FD_SLICE_NS (10 * SCALE_MS)

enum { EVENT_FREE, EVENT_CLEAR, EVENT_SET };

static uint32_t event_state[MAX_EVENTS];
static QemuWebRing *event_ring[MAX_EVENTS];

static bool is_event(int fd)
{
    return fd >= FIRST_EVENT && fd < FIRST_EVENT + MAX_EVENTS;
}

int wasm_event_new(void)
{
    for (int i = 0; i < MAX_EVENTS; i++) {
        if (qatomic_read(&event_state[i]) == EVENT_FREE &&
            qatomic_cmpxchg(&event_state[i],
                            EVENT_FREE, EVENT_CLEAR) == EVENT_FREE) {
            return FIRST_EVENT + i;
        }
    }
    fprintf(stderr, "qemu: more than %d event notifiers\n", MAX_EVENTS);
    abort();
}

int wasm_event_new_for(QemuWebRing *ring)
{
    int fd = wasm_event_new();

    qatomic_set(&event_ring[fd - FIRST_EVENT], ring);
    return fd;
}

void wasm_event_free(int fd)
{
    qatomic_set(&event_ring[fd - FIRST_EVENT], NULL);
    qatomic_set(&event_state[fd - FIRST_EVENT], EVENT_FREE);
}

void wasm_poll_notify(void)
{
    qatomic_inc(&qemuweb_directory_data.wake);
    __builtin_wasm_memory_atomic_notify((int *)&qemuweb_directory_data.wake,
                                        INT_MAX);
}

void wasm_event_set(int fd)
{
    if (qatomic_xchg(&event_state[fd - FIRST_EVENT], EVENT_SET) != EVENT_SET) {
        wasm_poll_notify();
    }
}

int wasm_event_clear(int fd)
{
    return qatomic_cmpxchg(&event_state[fd - FIRST_EVENT],
                           EVENT_SET, EVENT_CLEAR) == EVENT_SET;
}

static bool event_is_set(int fd)
{
    QemuWebRing *ring = qatomic_read(&event_ring[fd - FIRST_EVENT]);

    if (ring) {
        uint32_t used = qatomic_load_acquire(&ring->head) -
                        qatomic_read(&ring->tail);

        /* A ring that claims more than fits is not used, nor waited for. */
        return used && used <= ring->capacity;
    }
    return qatomic_read(&event_state[fd - FIRST_EVENT]) == EVENT_SET;
}

/* Fills in revents; returns the number of ready descriptors. */
static int look(struct pollfd *fds, unsigned nfds, bool *ordinary)
{
    int ready = 0;

    for (unsigned i = 0; i < nfds; i++) {
        struct pollfd *p = &fds[i];

        p->revents = 0;
        if (p->fd < 0) {
            continue;
        } else if (is_event(p->fd)) {
            if (event_is_set(p->fd)) {
                p->revents = p->events & POLLIN;
            }
        } else {
            *ordinary = true;
            poll(p, 1, 0);
        }
        ready += p->revents != 0;
    }
    return ready;
}

/*
 * The event sequence when this thread last looked. A source without a
 * descriptor is looked at by its loop before and after a poll, so whatever
 * happened since the end of the last poll may have been missed: the next one
 * must not sleep over it.
 */
static __thread uint32_t last_seen;

int wasm_poll(struct pollfd *fds, unsigned nfds, int64_t timeout_ns)
{
    int64_t deadline = timeout_ns > 0 ? get_clock() + timeout_ns : 0;

    while (true) {
        bool ordinary = false;
        uint32_t seen = qatomic_load_acquire(&qemuweb_directory_data.wake);
        bool changed = seen != last_seen;
        int ready = look(fds, nfds, &ordinary);
        int64_t wait_ns = -1;

        last_seen = seen;
        if (ready || changed || timeout_ns == 0) {
            return ready;
        }
        if (timeout_ns > 0) {
            wait_ns = deadline - get_clock();
            if (wait_ns <= 0) {
                return 0;
            }
        }
        if (ordinary) {
            wait_ns = wait_ns < 0 ? FD_SLICE_NS : MIN(wait_ns, FD_SLICE_NS);
        }
        __builtin_wasm_memory_atomic_wait32(
            (int *)&qemuweb_directory_data.wake, seen, wait_ns);
    }
}
