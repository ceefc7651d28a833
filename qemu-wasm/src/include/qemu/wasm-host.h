/*
 * The memory that QEMU shares with the page that hosts it: a directory of byte
 * rings and the event sequence on which QEMU's threads wait.
 *
 * All words are little-endian and 32 bits wide; addresses are byte offsets
 * into the WebAssembly memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef QEMU_WASM_HOST_H
#define QEMU_WASM_HOST_H

#define QEMUWEB_MAX_CHANNELS 16

/*
 * One direction of a channel: bytes from a single producer to a single
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

typedef struct QemuWebDirectory {
    uint32_t magic;             /* "QWDI" */
    uint32_t version;           /* 1 */
    /*
     * Event sequence. Whoever has made something ready, on either side, adds 1
     * and wakes the waiters; see wasm_poll().
     */
    uint32_t wake;
    uint32_t n_channels;        /* raised after the entry has been filled */
    struct {
        char name[56];
        uint32_t to_guest;      /* a QemuWebRing that the host writes */
        uint32_t from_guest;    /* a QemuWebRing that QEMU writes */
    } channel[QEMUWEB_MAX_CHANNELS];
} QemuWebDirectory;

extern QemuWebDirectory qemuweb_directory_data;

/* Where the host finds the directory; may be called before main(). */
QemuWebDirectory *qemuweb_directory(void);

/*
 * Creates a channel of two empty rings and tells the host. Fails if the name
 * is too long or taken, or the directory is full.
 */
bool qemuweb_channel_new(const char *name, uint32_t capacity,
                         QemuWebRing **to_guest, QemuWebRing **from_guest,
                         Error **errp);

#endif
