/*
 * The directory of rings through which the hosting page talks to QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/futex.h"
#include "qemu/memalign.h"
#include "qemu/thread.h"
#include "qemu/wasm-host.h"

#include <emscripten.h>

#define DIRECTORY_MAGIC 0x49445751  /* "QWDI" */
#define RING_MAGIC      0x47525751  /* "QWRG" */

QEMU_BUILD_BUG_ON(offsetof(QemuWebDirectory, channel) != 16);
QEMU_BUILD_BUG_ON(offsetof(QemuWebRing, head) != 64);
QEMU_BUILD_BUG_ON(offsetof(QemuWebRing, tail) != 128);
QEMU_BUILD_BUG_ON(offsetof(QemuWebRing, data) != 192);

QemuWebDirectory qemuweb_directory_data QEMU_ALIGNED(64) = {
    .magic = DIRECTORY_MAGIC,
    .version = 1,
};

EMSCRIPTEN_KEEPALIVE
QemuWebDirectory *qemuweb_directory(void)
{
    return &qemuweb_directory_data;
}

static QemuWebRing *ring_new(uint32_t capacity)
{
    size_t size = sizeof(QemuWebRing) + capacity;
    QemuWebRing *ring = qemu_memalign(64, size);

    memset(ring, 0, size);
    ring->magic = RING_MAGIC;
    ring->capacity = capacity;
    return ring;
}

/* Called with the BQL held, or before there are other threads. */
bool qemuweb_channel_new(const char *name, uint32_t capacity,
                         QemuWebRing **to_guest, QemuWebRing **from_guest,
                         Error **errp)
{
    QemuWebDirectory *dir = &qemuweb_directory_data;
    uint32_t n = dir->n_channels;

    if (strlen(name) >= sizeof(dir->channel[0].name)) {
        error_setg(errp, "channel name '%s' is longer than %zu bytes",
                   name, sizeof(dir->channel[0].name) - 1);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!strcmp(dir->channel[i].name, name)) {
            error_setg(errp, "channel '%s' exists", name);
            return false;
        }
    }
    if (n == QEMUWEB_MAX_CHANNELS) {
        error_setg(errp, "all %d channels are taken", QEMUWEB_MAX_CHANNELS);
        return false;
    }

    *to_guest = ring_new(capacity);
    *from_guest = ring_new(capacity);
    strcpy(dir->channel[n].name, name);
    dir->channel[n].to_guest = (uintptr_t)*to_guest;
    dir->channel[n].from_guest = (uintptr_t)*from_guest;
    qatomic_store_release(&dir->n_channels, n + 1);
    qemu_futex_wake_all(&dir->n_channels);
    return true;
}
