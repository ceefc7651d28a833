/*
 * The memory that QEMU shares with the page that hosts it: a directory of
 * channels with their byte rings, and the event sequence on which QEMU's
 * threads wait.
 *
 * All words are little-endian and 32 bits wide; addresses are byte offsets
 * into the WebAssembly memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef QEMU_WASM_HOST_H
#define QEMU_WASM_HOST_H

#define QEMUWEB_MAX_CHANNELS 64
#define QEMUWEB_MAX_RINGS    12

/*
 * One ring of a channel: bytes from a single producer to a single
 * consumer. Head and tail count the bytes ever written and read, modulo 2^32;
 * head - tail bytes wait in data[tail % capacity ...]. Each word has a cache
 * line of its own, as the two sides run on different threads.
 */
typedef struct QemuWebRing {
    uint32_t magic;             /* "QWRG" */
    uint32_t capacity;          /* a power of two */
    uint32_t pad0[14];
    uint32_t head;              /* stored by the producer, who then wakes it */
    uint32_t pad1[15];
    uint32_t tail;              /* stored by the consumer, who then wakes it */
    uint32_t dropped;           /* by the consumer, of what tail has passed */
    uint32_t pad2[14];
    uint8_t data[];
} QemuWebRing;

/* How a channel's rings are used; each use has a version of its own. */
typedef enum QemuWebKind {
    /* Version 1: bytes to the guest in the first ring, from it in the second */
    QEMUWEB_KIND_BYTES = 1,
    /* Version 1: a disk's completions in the first ring, requests in the other */
    QEMUWEB_KIND_BLOCK = 2,
} QemuWebKind;

/* Which of the page's agents pumps a channel. */
typedef enum QemuWebOwner {
    QEMUWEB_OWNER_HOST = 1,
    QEMUWEB_OWNER_STORAGE = 2,
} QemuWebOwner;

typedef struct QemuWebChannel {
    char name[56];
    uint32_t kind;              /* a QemuWebKind */
    uint32_t version;           /* of that kind */
    uint32_t owner;             /* a QemuWebOwner */
    /*
     * How often the guest's side was opened or closed: odd while it is open.
     * Whoever changes it wakes the host.
     */
    uint32_t opened;
    uint32_t n_rings;
    uint32_t ring[QEMUWEB_MAX_RINGS];   /* addresses of QemuWebRings */
    uint32_t pad;
} QemuWebChannel;

typedef struct QemuWebDirectory {
    uint32_t magic;             /* "QWDI" */
    uint32_t version;           /* 2 */
    /*
     * Event sequence. Whoever has made something ready, on either side, adds 1
     * and wakes the waiters; see wasm_poll().
     */
    uint32_t wake;
    uint32_t n_channels;        /* raised after the entry has been filled */
    uint32_t pad[12];
    QemuWebChannel channel[QEMUWEB_MAX_CHANNELS];
} QemuWebDirectory;

extern QemuWebDirectory qemuweb_directory_data;

/* Where the host finds the directory; may be called before main(). */
QemuWebDirectory *qemuweb_directory(void);

/*
 * Creates a channel with @n_rings empty rings of @capacity bytes each, which
 * are stored in @ring, and tells the host. Returns NULL if the name is too long
 * or taken, or the directory is full. A disk's channel that was closed is
 * taken again, with the rings that it had: what is attached and detached does
 * not use the directory up.
 */
QemuWebChannel *qemuweb_channel_new(const char *name, QemuWebKind kind,
                                    uint32_t version, QemuWebOwner owner,
                                    uint32_t capacity, unsigned n_rings,
                                    QemuWebRing **ring, Error **errp);

/* The guest's side of a channel was opened or closed: tells the host. */
void qemuweb_channel_set_open(QemuWebChannel *channel, bool open);

#endif
