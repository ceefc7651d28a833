/*
 * Block driver "ring": a disk that the page hosting QEMU serves, over a channel
 * in memory that both share (see qemu/wasm-host.h).
 *
 * The channel is named by the option "channel". Its first ring has
 * completions for us, its second our requests; both are laid out as
 * crates/shm/src/block.rs tells. A request names the guest's own memory: the
 * bytes are copied once, by the host. Any number of coroutines have requests in
 * flight, up to MAX_IN_FLIGHT, and the request ring has room for all of them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "block/aio.h"
#include "block/block-io.h"
#include "block/block_int.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qemu/atomic.h"
#include "qemu/coroutine.h"
#include "qemu/cutils.h"
#include "qemu/futex.h"
#include "qemu/memalign.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "qemu/wasm-host.h"
#include "qemu/wasm-poll.h"

#define SECTOR        512
#define MAX_AREAS     256
#define MAX_IN_FLIGHT 126
#define MAX_TRANSFER  (1024 * 1024)
#define CAPACITY      (256 * 1024)

typedef enum RingOp {
    RING_READ = 1,
    RING_WRITE,
    RING_FLUSH,
    RING_DISCARD,
    RING_WRITE_ZEROES,
    RING_INFO,
    RING_RESIZE,
} RingOp;

enum { RING_FUA = 1, RING_UNMAP = 2 };

typedef struct RingArea {
    uint32_t address;
    uint32_t length;
} RingArea;

typedef struct RingEntry {
    uint32_t size;
    uint32_t tag;
    uint32_t op;
    uint32_t flags;
    uint64_t offset;
    uint64_t length;
    RingArea area[MAX_AREAS];
} RingEntry;

typedef struct RingCompletion {
    uint32_t tag;
    int32_t status;
} RingCompletion;

typedef struct RingInfo {
    uint64_t size;
    uint32_t block_size;
    uint32_t flags;
    uint32_t pad[2];
} RingInfo;

enum { RING_INFO_READONLY = 1, RING_INFO_DISCARDS = 2 };

QEMU_BUILD_BUG_ON(offsetof(RingEntry, area) != 32);
QEMU_BUILD_BUG_ON(sizeof(RingInfo) != 24);
/* So that nobody ever has to wait for room. */
QEMU_BUILD_BUG_ON(sizeof(RingEntry) * MAX_IN_FLIGHT > CAPACITY);

typedef struct RingRequest {
    Coroutine *co;              /* NULL: nobody has this tag */
    int status;
    bool done;
} RingRequest;

typedef struct BDRVRingState {
    QemuWebChannel *channel;
    QemuWebRing *completions;
    QemuWebRing *requests;
    int event;                  /* readable while there are completions */
    bool discards;
    int64_t size;

    /* What follows is protected by it, as are both rings' counters. */
    QemuMutex lock;
    RingRequest request[MAX_IN_FLIGHT];
    CoQueue free;               /* who waits for a tag */
} BDRVRingState;

/* The host's numbers are Linux's, ours are Emscripten's. */
static int local_errno(int32_t status)
{
    switch (status) {
    case 0:
        return 0;
    case -22:
        return -EINVAL;
    case -28:
        return -ENOSPC;
    case -30:
        return -EROFS;
    default:
        return -EIO;
    }
}

static void ring_put(QemuWebRing *ring, const void *buf, uint32_t len)
{
    uint32_t head = qatomic_read(&ring->head);
    uint32_t first = MIN(len, ring->capacity - head % ring->capacity);

    memcpy(ring->data + head % ring->capacity, buf, first);
    memcpy(ring->data, (const uint8_t *)buf + first, len - first);
    qatomic_set_mb(&ring->head, head + len);
    qemu_futex_wake_all(&ring->head);
}

/* Whether a completion was there. */
static bool ring_take(QemuWebRing *ring, RingCompletion *completion)
{
    uint32_t tail = qatomic_read(&ring->tail);
    uint32_t used = qatomic_load_acquire(&ring->head) - tail;

    /* The capacity is a multiple of a completion's size: none is split. */
    if (used < sizeof(*completion) || used > ring->capacity) {
        return false;
    }
    memcpy(completion, ring->data + tail % ring->capacity,
           sizeof(*completion));
    qatomic_set_mb(&ring->tail, tail + sizeof(*completion));
    qemu_futex_wake_all(&ring->tail);
    return true;
}

/* Hands completions to who waits for them. */
static void ring_completed(void *opaque)
{
    BDRVRingState *s = opaque;
    RingCompletion completion;

    for (;;) {
        Coroutine *co = NULL;

        WITH_QEMU_LOCK_GUARD(&s->lock) {
            if (!ring_take(s->completions, &completion)) {
                return;
            }
            if (completion.tag < MAX_IN_FLIGHT) {
                RingRequest *request = &s->request[completion.tag];

                if (request->co && !request->done) {
                    request->status = local_errno(completion.status);
                    request->done = true;
                    co = request->co;
                }
            }
        }
        if (co) {
            aio_co_wake(co);
        }
    }
}

/* A tag that nobody has, with @s->lock held. */
static coroutine_fn uint32_t ring_tag(BDRVRingState *s)
{
    for (;;) {
        for (uint32_t tag = 0; tag < MAX_IN_FLIGHT; tag++) {
            if (!s->request[tag].co) {
                return tag;
            }
        }
        qemu_co_queue_wait(&s->free, &s->lock);
    }
}

/* Sends a request whose areas are @qiov, if any, and waits for its end. */
static coroutine_fn int ring_request(BDRVRingState *s, RingOp op,
                                     uint32_t flags, int64_t offset,
                                     int64_t bytes, QEMUIOVector *qiov)
{
    unsigned n = qiov ? qiov->niov : 0;
    uint32_t size = offsetof(RingEntry, area[n]);
    g_autofree RingEntry *entry = NULL;
    RingRequest *request;
    int status;

    assert(n <= MAX_AREAS);
    /* Without the areas that it has no use for. */
    entry = g_malloc(size);
    entry->size = size;
    entry->op = op;
    entry->flags = flags;
    entry->offset = offset;
    entry->length = bytes;
    for (unsigned i = 0; i < n; i++) {
        entry->area[i].address = (uintptr_t)qiov->iov[i].iov_base;
        entry->area[i].length = qiov->iov[i].iov_len;
    }

    qemu_mutex_lock(&s->lock);
    entry->tag = ring_tag(s);
    request = &s->request[entry->tag];
    *request = (RingRequest) { .co = qemu_coroutine_self() };
    ring_put(s->requests, entry, size);
    qemu_mutex_unlock(&s->lock);

    do {
        qemu_coroutine_yield();
    } while (!qatomic_load_acquire(&request->done));

    qemu_mutex_lock(&s->lock);
    status = request->status;
    request->co = NULL;
    qemu_co_queue_next(&s->free);
    qemu_mutex_unlock(&s->lock);
    return status;
}

/* As ring_request(), for areas of any number. */
static coroutine_fn int ring_transfer(BlockDriverState *bs, RingOp op,
                                      uint32_t flags, int64_t offset,
                                      int64_t bytes, QEMUIOVector *qiov)
{
    BDRVRingState *s = bs->opaque;
    QEMUIOVector linear;
    void *buf;
    int ret;

    if (qiov->niov <= MAX_AREAS) {
        return ring_request(s, op, flags, offset, bytes, qiov);
    }
    buf = qemu_try_blockalign(bs, bytes);
    if (!buf) {
        return -ENOMEM;
    }
    qemu_iovec_init_buf(&linear, buf, bytes);
    if (op == RING_WRITE) {
        qemu_iovec_to_buf(qiov, 0, buf, bytes);
    }
    ret = ring_request(s, op, flags, offset, bytes, &linear);
    if (op == RING_READ && ret == 0) {
        qemu_iovec_from_buf(qiov, 0, buf, bytes);
    }
    qemu_vfree(buf);
    return ret;
}

static int coroutine_fn GRAPH_RDLOCK
ring_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
               QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    return ring_transfer(bs, RING_READ, 0, offset, bytes, qiov);
}

static int coroutine_fn GRAPH_RDLOCK
ring_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    return ring_transfer(bs, RING_WRITE, flags & BDRV_REQ_FUA ? RING_FUA : 0,
                         offset, bytes, qiov);
}

static int coroutine_fn GRAPH_RDLOCK
ring_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                      BdrvRequestFlags flags)
{
    uint32_t ours = (flags & BDRV_REQ_FUA ? RING_FUA : 0) |
                    (flags & BDRV_REQ_MAY_UNMAP ? RING_UNMAP : 0);

    return ring_request(bs->opaque, RING_WRITE_ZEROES, ours, offset, bytes,
                        NULL);
}

static int coroutine_fn GRAPH_RDLOCK
ring_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BDRVRingState *s = bs->opaque;

    if (!s->discards) {
        return -ENOTSUP;
    }
    return ring_request(s, RING_DISCARD, 0, offset, bytes, NULL);
}

static int coroutine_fn GRAPH_RDLOCK ring_co_flush(BlockDriverState *bs)
{
    return ring_request(bs->opaque, RING_FLUSH, 0, 0, 0, NULL);
}

static int64_t coroutine_fn GRAPH_RDLOCK
ring_co_getlength(BlockDriverState *bs)
{
    BDRVRingState *s = bs->opaque;

    return s->size;
}

static int coroutine_fn GRAPH_RDLOCK
ring_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                 PreallocMode prealloc, BdrvRequestFlags flags, Error **errp)
{
    BDRVRingState *s = bs->opaque;
    int ret;

    if (prealloc != PREALLOC_MODE_OFF) {
        error_setg(errp, "a disk of the host's grows without preallocation");
        return -ENOTSUP;
    }
    if (offset < s->size) {
        if (!exact) {
            return 0;
        }
        error_setg(errp, "a disk of the host's cannot shrink");
        return -ENOTSUP;
    }
    ret = ring_request(s, RING_RESIZE, 0, offset, 0, NULL);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "the host could not make the disk larger");
        return ret;
    }
    s->size = offset;
    return 0;
}

static void GRAPH_RDLOCK ring_refresh_limits(BlockDriverState *bs,
                                             Error **errp)
{
    bs->bl.request_alignment = SECTOR;
    bs->bl.max_transfer = MAX_TRANSFER;
    bs->bl.opt_transfer = MAX_TRANSFER;
    bs->bl.pdiscard_alignment = 4096;
    bs->bl.pwrite_zeroes_alignment = SECTOR;
    bs->bl.max_iov = IOV_MAX;
}

static void ring_detach_aio_context(BlockDriverState *bs)
{
    BDRVRingState *s = bs->opaque;

    aio_set_fd_handler(bdrv_get_aio_context(bs), s->event,
                       NULL, NULL, NULL, NULL, NULL);
}

static void ring_attach_aio_context(BlockDriverState *bs, AioContext *context)
{
    BDRVRingState *s = bs->opaque;

    aio_set_fd_handler(context, s->event,
                       ring_completed, NULL, NULL, NULL, s);
}

typedef struct RingOpening {
    BDRVRingState *s;
    RingInfo info;
    int ret;
    bool done;
} RingOpening;

static void coroutine_fn ring_ask(void *opaque)
{
    RingOpening *opening = opaque;
    QEMUIOVector qiov;

    qemu_iovec_init_buf(&qiov, &opening->info, sizeof(opening->info));
    opening->ret = ring_request(opening->s, RING_INFO, 0, 0, 0, &qiov);
    qatomic_set_mb(&opening->done, true);
    aio_wait_kick();
}

static QemuOptsList ring_options = {
    .name = "ring",
    .head = QTAILQ_HEAD_INITIALIZER(ring_options.head),
    .desc = {
        {
            .name = "channel",
            .type = QEMU_OPT_STRING,
            .help = "name of the channel over which the host serves the disk",
        },
        { /* end of list */ }
    },
};

static void ring_close(BlockDriverState *bs)
{
    BDRVRingState *s = bs->opaque;

    ring_detach_aio_context(bs);
    wasm_event_free(s->event);
    qemuweb_channel_set_open(s->channel, false);
    qemu_mutex_destroy(&s->lock);
}

static int ring_open(BlockDriverState *bs, QDict *options, int flags,
                     Error **errp)
{
    BDRVRingState *s = bs->opaque;
    QemuOpts *opts = qemu_opts_create(&ring_options, NULL, 0, &error_abort);
    AioContext *context = bdrv_get_aio_context(bs);
    RingOpening opening = { .s = s };
    QemuWebRing *ring[2] = { NULL, NULL };
    const char *name;
    int ret = -EINVAL;

    if (!qemu_opts_absorb_qdict(opts, options, errp)) {
        goto out;
    }
    name = qemu_opt_get(opts, "channel");
    if (!name) {
        error_setg(errp, "the option 'channel' is missing");
        goto out;
    }
    s->channel = qemuweb_channel_new(name, QEMUWEB_KIND_BLOCK, 1,
                                     QEMUWEB_OWNER_STORAGE, CAPACITY,
                                     ARRAY_SIZE(ring), ring, errp);
    if (!s->channel) {
        goto out;
    }
    s->completions = ring[0];
    s->requests = ring[1];
    qemu_mutex_init(&s->lock);
    qemu_co_queue_init(&s->free);
    s->event = wasm_event_new_for(s->completions);
    qemuweb_channel_set_open(s->channel, true);
    ring_attach_aio_context(bs, context);

    aio_co_enter(context, qemu_coroutine_create(ring_ask, &opening));
    AIO_WAIT_WHILE(context, !qatomic_load_acquire(&opening.done));
    ret = opening.ret;
    if (ret < 0) {
        error_setg_errno(errp, -ret, "the host does not serve '%s'", name);
    } else if (opening.info.size > BDRV_MAX_LENGTH ||
               !QEMU_IS_ALIGNED(opening.info.size, SECTOR)) {
        error_setg(errp, "the host says that '%s' has %" PRIu64 " bytes",
                   name, opening.info.size);
        ret = -EINVAL;
    } else if (opening.info.flags & RING_INFO_READONLY) {
        bdrv_graph_rdlock_main_loop();
        ret = bdrv_apply_auto_read_only(bs, "the host's disk is read-only",
                                        errp);
        bdrv_graph_rdunlock_main_loop();
    }
    if (ret < 0) {
        ring_close(bs);
        goto out;
    }
    s->size = opening.info.size;
    s->discards = opening.info.flags & RING_INFO_DISCARDS;
    bs->supported_write_flags = BDRV_REQ_FUA;
    bs->supported_zero_flags = BDRV_REQ_FUA | BDRV_REQ_MAY_UNMAP |
                               BDRV_REQ_NO_FALLBACK;
    /* What a disk gains is zero. */
    bs->supported_truncate_flags = BDRV_REQ_ZERO_WRITE;
out:
    qemu_opts_del(opts);
    return ret;
}

static int ring_reopen_prepare(BDRVReopenState *state,
                               BlockReopenQueue *queue, Error **errp)
{
    return 0;
}

/* "ring:NAME" */
static void ring_parse_filename(const char *filename, QDict *options,
                                Error **errp)
{
    const char *name;

    if (!strstart(filename, "ring:", &name) || !*name) {
        error_setg(errp, "expected 'ring:' and the name of a channel");
        return;
    }
    qdict_put_str(options, "channel", name);
}

static void ring_refresh_filename(BlockDriverState *bs)
{
    BDRVRingState *s = bs->opaque;

    snprintf(bs->exact_filename, sizeof(bs->exact_filename), "ring:%s",
             s->channel->name);
}

static const char *const ring_strong_options[] = { "channel", NULL };

static BlockDriver bdrv_ring = {
    .format_name                = "ring",
    .protocol_name              = "ring",
    .instance_size              = sizeof(BDRVRingState),

    .bdrv_parse_filename        = ring_parse_filename,
    .bdrv_open                  = ring_open,
    .bdrv_close                 = ring_close,
    .bdrv_reopen_prepare        = ring_reopen_prepare,
    .bdrv_refresh_filename      = ring_refresh_filename,
    .bdrv_refresh_limits        = ring_refresh_limits,
    .bdrv_attach_aio_context    = ring_attach_aio_context,
    .bdrv_detach_aio_context    = ring_detach_aio_context,

    .bdrv_co_getlength          = ring_co_getlength,
    .bdrv_co_truncate           = ring_co_truncate,
    .bdrv_co_preadv             = ring_co_preadv,
    .bdrv_co_pwritev            = ring_co_pwritev,
    .bdrv_co_pwrite_zeroes      = ring_co_pwrite_zeroes,
    .bdrv_co_pdiscard           = ring_co_pdiscard,
    .bdrv_co_flush_to_disk      = ring_co_flush,

    .strong_runtime_opts        = ring_strong_options,
};

static void register_driver(void)
{
    bdrv_register(&bdrv_ring);
}

block_init(register_driver);
