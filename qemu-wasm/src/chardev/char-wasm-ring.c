/*
 * Character device "ring": a pair of byte rings in memory shared with the page
 * that hosts QEMU (see qemu/wasm-host.h), for serial ports, monitors and
 * virtio-serial ports.
 *
 * Nothing is lost in either direction: bytes to the guest stay in their ring
 * until the frontend can take them, and a frontend that finds the other ring
 * full is called back when the host has made room. With discard=on, what waits
 * when a program opens the port is dropped, and counted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "chardev/char-fe.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/futex.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "qemu/wasm-host.h"
#include "qemu/wasm-poll.h"
#include "qom/object.h"

#define DEFAULT_SIZE (64 * 1024)
#define MIN_SIZE     64
#define MAX_SIZE     (16 * 1024 * 1024)

#define TYPE_CHARDEV_WASM_RING "chardev-ring"
OBJECT_DECLARE_SIMPLE_TYPE(WasmRingChardev, CHARDEV_WASM_RING)

struct WasmRingChardev {
    Chardev parent;
    QemuWebChannel *channel;
    QemuWebRing *to_guest;
    QemuWebRing *from_guest;
    GSource *reader;            /* hands to_guest to the frontend */
    bool discard;
};

/*
 * The host writes its half of each ring without our supervision. A ring that
 * claims to hold more than fits is treated as empty and full: it is not used.
 */
static uint32_t ring_used(QemuWebRing *ring)
{
    uint32_t used = qatomic_load_acquire(&ring->head) -
                    qatomic_read(&ring->tail);

    return used <= ring->capacity ? used : 0;
}

static uint32_t ring_room(QemuWebRing *ring)
{
    uint32_t used = qatomic_read(&ring->head) -
                    qatomic_load_acquire(&ring->tail);

    return used <= ring->capacity ? ring->capacity - used : 0;
}

/* The bytes from position @at on that lie in one piece. */
static uint32_t ring_piece(QemuWebRing *ring, uint32_t at)
{
    return ring->capacity - at % ring->capacity;
}

static uint32_t ring_write(QemuWebRing *ring, const uint8_t *buf, uint32_t len)
{
    uint32_t head = qatomic_read(&ring->head);
    uint32_t n = MIN(len, ring_room(ring));
    uint32_t first = MIN(n, ring_piece(ring, head));

    memcpy(ring->data + head % ring->capacity, buf, first);
    memcpy(ring->data, buf + first, n - first);
    if (n) {
        qatomic_set_mb(&ring->head, head + n);
        qemu_futex_wake_all(&ring->head);
    }
    return n;
}

static int wasm_ring_write(Chardev *chr, const uint8_t *buf, int len)
{
    uint32_t n = ring_write(CHARDEV_WASM_RING(chr)->from_guest, buf, len);

    if (!n && len) {
        errno = EAGAIN;
        return -1;
    }
    return n;
}

/* Sources: both are ready without a descriptor, see wasm_poll(). */

typedef struct RingSource {
    GSource parent;
    WasmRingChardev *chr;
} RingSource;

static GSource *ring_source_new(WasmRingChardev *chr, GSourceFuncs *funcs)
{
    RingSource *source = (RingSource *)g_source_new(funcs, sizeof(*source));

    source->chr = chr;
    return &source->parent;
}

static gboolean reader_ready(GSource *source)
{
    WasmRingChardev *chr = ((RingSource *)source)->chr;

    return ring_used(chr->to_guest) && qemu_chr_be_can_write(&chr->parent) > 0;
}

static gboolean reader_prepare(GSource *source, gint *timeout_ms)
{
    *timeout_ms = -1;
    return reader_ready(source);
}

static gboolean reader_dispatch(GSource *source, GSourceFunc callback,
                                gpointer opaque)
{
    WasmRingChardev *chr = ((RingSource *)source)->chr;
    QemuWebRing *ring = chr->to_guest;
    uint32_t tail = qatomic_read(&ring->tail);
    int room = qemu_chr_be_can_write(&chr->parent);
    uint32_t n;
    g_autofree uint8_t *buf = NULL;

    if (room <= 0) {
        return G_SOURCE_CONTINUE;
    }
    n = MIN(MIN(ring_used(ring), (uint32_t)room), ring_piece(ring, tail));
    if (n) {
        /* A copy: the host could change the bytes while they are read. */
        buf = g_memdup2(ring->data + tail % ring->capacity, n);
        qatomic_set_mb(&ring->tail, tail + n);
        qemu_futex_wake_all(&ring->tail);
        qemu_chr_be_write(&chr->parent, buf, n);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs reader_funcs = {
    .prepare = reader_prepare,
    .check = reader_ready,
    .dispatch = reader_dispatch,
};

static gboolean room_ready(GSource *source)
{
    return ring_room(((RingSource *)source)->chr->from_guest) > 0;
}

static gboolean room_prepare(GSource *source, gint *timeout_ms)
{
    *timeout_ms = -1;
    return room_ready(source);
}

static gboolean room_dispatch(GSource *source, GSourceFunc callback,
                              gpointer opaque)
{
    return ((FEWatchFunc)callback)(NULL, G_IO_OUT, opaque);
}

static GSourceFuncs room_funcs = {
    .prepare = room_prepare,
    .check = room_ready,
    .dispatch = room_dispatch,
};

static GSource *wasm_ring_add_watch(Chardev *chr, GIOCondition cond)
{
    return ring_source_new(CHARDEV_WASM_RING(chr), &room_funcs);
}

static void reader_remove(WasmRingChardev *chr)
{
    if (chr->reader) {
        g_source_destroy(chr->reader);
        g_source_unref(chr->reader);
        chr->reader = NULL;
    }
}

static void wasm_ring_update_read_handler(Chardev *chr_)
{
    WasmRingChardev *chr = CHARDEV_WASM_RING(chr_);

    reader_remove(chr);
    chr->reader = ring_source_new(chr, &reader_funcs);
    g_source_attach(chr->reader, chr_->gcontext);
}

/* The frontend can take bytes again: let the main loop ask it. */
static void wasm_ring_accept_input(Chardev *chr)
{
    wasm_poll_notify();
}

/*
 * Whoever opens the port in the guest need not be who had it open before, and
 * shall not begin amid what that reader left.
 */
static void wasm_ring_set_fe_open(Chardev *chr_, int fe_open)
{
    WasmRingChardev *chr = CHARDEV_WASM_RING(chr_);
    QemuWebRing *ring = chr->to_guest;
    uint32_t left = ring_used(ring);

    if (fe_open && chr->discard && left) {
        qatomic_set(&ring->dropped, ring->dropped + left);
        qatomic_set_mb(&ring->tail, qatomic_read(&ring->tail) + left);
        qemu_futex_wake_all(&ring->tail);
    }
    qemuweb_channel_set_open(chr->channel, fe_open);
}

static void wasm_ring_open(Chardev *chr_, ChardevBackend *backend,
                           bool *be_opened, Error **errp)
{
    ChardevRing *opts = backend->u.ring.data;
    WasmRingChardev *chr = CHARDEV_WASM_RING(chr_);
    int64_t size = opts->has_size ? opts->size : DEFAULT_SIZE;
    QemuWebRing *ring[2] = { NULL, NULL };

    if (size < MIN_SIZE || size > MAX_SIZE || !is_power_of_2(size)) {
        error_setg(errp, "the size of a ring must be a power of two "
                   "from %d to %d bytes", MIN_SIZE, MAX_SIZE);
        return;
    }
    chr->discard = opts->discard;
    chr->channel = qemuweb_channel_new(chr_->label, QEMUWEB_KIND_BYTES, 1,
                                       QEMUWEB_OWNER_HOST, size,
                                       ARRAY_SIZE(ring), ring, errp);
    chr->to_guest = ring[0];
    chr->from_guest = ring[1];
}

static void wasm_ring_parse(QemuOpts *opts, ChardevBackend *backend,
                            Error **errp)
{
    ChardevRing *ring = g_new0(ChardevRing, 1);
    uint64_t size = qemu_opt_get_size(opts, "size", 0);

    backend->type = CHARDEV_BACKEND_KIND_RING;
    backend->u.ring.data = ring;
    qemu_chr_parse_common(opts, qapi_ChardevRing_base(ring));
    if (size) {
        ring->has_size = true;
        ring->size = size;
    }
    ring->has_discard = true;
    ring->discard = qemu_opt_get_bool(opts, "discard", false);
}

/* The rings stay: the host may still be reading the last bytes. */
static void wasm_ring_finalize(Object *obj)
{
    reader_remove(CHARDEV_WASM_RING(obj));
}

static void wasm_ring_class_init(ObjectClass *oc, const void *data)
{
    ChardevClass *cc = CHARDEV_CLASS(oc);

    cc->parse = wasm_ring_parse;
    cc->open = wasm_ring_open;
    cc->chr_write = wasm_ring_write;
    cc->chr_add_watch = wasm_ring_add_watch;
    cc->chr_update_read_handler = wasm_ring_update_read_handler;
    cc->chr_accept_input = wasm_ring_accept_input;
    cc->chr_set_fe_open = wasm_ring_set_fe_open;
}

static const TypeInfo wasm_ring_type_info = {
    .name = TYPE_CHARDEV_WASM_RING,
    .parent = TYPE_CHARDEV,
    .class_init = wasm_ring_class_init,
    .instance_size = sizeof(WasmRingChardev),
    .instance_finalize = wasm_ring_finalize,
};

static void register_types(void)
{
    type_register_static(&wasm_ring_type_info);
}

type_init(register_types);
