/*
 * The directory of channels through which the hosting page talks to QEMU.
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

QEMU_BUILD_BUG_ON(offsetof(QemuWebDirectory, channel) != 64);
QEMU_BUILD_BUG_ON(offsetof(QemuWebChannel, kind) != 56);
QEMU_BUILD_BUG_ON(offsetof(QemuWebChannel, ring) != 76);
QEMU_BUILD_BUG_ON(sizeof(QemuWebChannel) != 128);
QEMU_BUILD_BUG_ON(offsetof(QemuWebRing, head) != 64);
QEMU_BUILD_BUG_ON(offsetof(QemuWebRing, tail) != 128);
QEMU_BUILD_BUG_ON(offsetof(QemuWebRing, data) != 192);

QemuWebDirectory qemuweb_directory_data QEMU_ALIGNED(64) = {
    .magic = DIRECTORY_MAGIC,
    .version = 2,
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
QemuWebChannel *qemuweb_channel_new(const char *name, QemuWebKind kind,
                                    uint32_t version, QemuWebOwner owner,
                                    uint32_t capacity, unsigned n_rings,
                                    QemuWebRing **ring, Error **errp)
{
    QemuWebDirectory *dir = &qemuweb_directory_data;
    uint32_t n = dir->n_channels;
    QemuWebChannel *channel = &dir->channel[n];

    assert(n_rings <= QEMUWEB_MAX_RINGS);

    if (strlen(name) >= sizeof(dir->channel[0].name)) {
        error_setg(errp, "channel name '%s' is longer than %zu bytes",
                   name, sizeof(dir->channel[0].name) - 1);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!strcmp(dir->channel[i].name, name)) {
            channel = &dir->channel[i];
            if (kind == QEMUWEB_KIND_BLOCK && channel->kind == kind &&
                channel->opened % 2 == 0) {
                for (unsigned r = 0; r < n_rings; r++) {
                    ring[r] = (QemuWebRing *)(uintptr_t)channel->ring[r];
                }
                return channel;
            }
            error_setg(errp, "channel '%s' exists", name);
            return NULL;
        }
    }
    if (n == QEMUWEB_MAX_CHANNELS) {
        error_setg(errp, "all %d channels are taken", QEMUWEB_MAX_CHANNELS);
        return NULL;
    }

    strcpy(channel->name, name);
    channel->kind = kind;
    channel->version = version;
    channel->owner = owner;
    channel->n_rings = n_rings;
    for (unsigned i = 0; i < n_rings; i++) {
        ring[i] = ring_new(capacity);
        channel->ring[i] = (uintptr_t)ring[i];
    }
    qatomic_store_release(&dir->n_channels, n + 1);
    qemu_futex_wake_all(&dir->n_channels);
    return channel;
}

/* Called with the BQL held. */
void qemuweb_channel_set_open(QemuWebChannel *channel, bool open)
{
    uint32_t opened = channel->opened;

    if (open != opened % 2) {
        qatomic_set_mb(&channel->opened, opened + 1);
        qemu_futex_wake_all(&channel->opened);
    }
}
