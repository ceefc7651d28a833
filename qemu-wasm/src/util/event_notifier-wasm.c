/*
 * Event notifiers under Emscripten: virtual descriptors, see wasm-poll.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/event_notifier.h"
#include "qemu/wasm-poll.h"

int event_notifier_init(EventNotifier *e, int active)
{
    e->rfd = e->wfd = wasm_event_new();
    e->initialized = true;
    if (active) {
        event_notifier_set(e);
    }
    return 0;
}

void event_notifier_cleanup(EventNotifier *e)
{
    if (e->initialized) {
        wasm_event_free(e->rfd);
        e->rfd = e->wfd = -1;
        e->initialized = false;
    }
}

int event_notifier_get_fd(const EventNotifier *e)
{
    return e->rfd;
}

int event_notifier_get_wfd(const EventNotifier *e)
{
    return e->wfd;
}

int event_notifier_set(EventNotifier *e)
{
    if (!e->initialized) {
        return -1;
    }
    wasm_event_set(e->wfd);
    return 0;
}

int event_notifier_test_and_clear(EventNotifier *e)
{
    return e->initialized && wasm_event_clear(e->rfd);
}
