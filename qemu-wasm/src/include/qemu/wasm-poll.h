/*
 * Waiting under Emscripten, without system calls: virtual descriptors, which
 * are flags in memory, and a poll that sleeps on the event sequence.
 *
 * GLib is built to use these functions too (for GWakeup and g_poll).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef QEMU_WASM_POLL_H
#define QEMU_WASM_POLL_H

#include <poll.h>

struct QemuWebRing;

/* A virtual descriptor, not set. Aborts if there are too many. */
int wasm_event_new(void);
/*
 * A virtual descriptor that is readable while the ring has bytes: whoever
 * writes to it only has to add to the event sequence.
 */
int wasm_event_new_for(struct QemuWebRing *ring);
void wasm_event_free(int fd);

/* Makes the descriptor readable and wakes whoever polls. */
void wasm_event_set(int fd);

/* Returns whether the descriptor was set. */
int wasm_event_clear(int fd);

/* Wakes whoever polls, to look at what no descriptor stands for. */
void wasm_poll_notify(void);

/*
 * Like ppoll(), for virtual and ordinary descriptors. May return 0 before the
 * time is up, when something happened that is not one of @fds: sources that
 * are ready without a descriptor (the host's rings) are then looked at.
 */
int wasm_poll(struct pollfd *fds, unsigned nfds, int64_t timeout_ns);

#endif
