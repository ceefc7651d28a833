#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes the content of a padded flash image to standard output as qcow2, without its clusters of zeros.

    flash-image.py IMAGE

The flash of QEMU's `virt` machine has 64 MiB, whatever is in it. As a qcow2 image (QEMU's docs/interop/qcow2.rst, version 3) it takes
what it holds, in the file and in memory: QEMU does not read what is not there.
"""

import pathlib
import struct
import sys

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
COPIED = 1 << 63  # of an entry whose cluster has one reference
HEADER_LENGTH = 104
REFCOUNT_ORDER = 4  # 16 bits


def qcow2(image: bytes) -> bytes:
    """The image: header, refcount table, refcount block, L1 table, L2 table, one cluster each; then data."""
    refcount_table, refcount_block, l1_table, l2_table, data = (n * CLUSTER for n in range(1, 6))
    clusters = [image[at:at + CLUSTER].ljust(CLUSTER, b"\0") for at in range(0, len(image), CLUSTER)]
    used = [n for n, cluster in enumerate(clusters) if any(cluster)]
    if len(clusters) > CLUSTER // 8 or 5 + len(used) > CLUSTER // 2:
        raise SystemExit(f"the image has {len(image)} bytes, expected at most {CLUSTER // 8 * CLUSTER}")
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, CLUSTER_BITS, len(image), 0, 1, l1_table, refcount_table, 1, 0, 0,
        0, 0, 0, REFCOUNT_ORDER, HEADER_LENGTH)
    l2 = [0] * len(clusters)
    for position, n in enumerate(used):
        l2[n] = data + position * CLUSTER | COPIED
    tables = [
        header,
        struct.pack(">Q", refcount_block),
        struct.pack(f">{5 + len(used)}H", *[1] * (5 + len(used))),
        struct.pack(">Q", l2_table | COPIED),
        struct.pack(f">{len(l2)}Q", *l2),
    ]
    return b"".join(table.ljust(CLUSTER, b"\0") for table in tables) + b"".join(clusters[n] for n in used)


if __name__ == "__main__":
    sys.stdout.buffer.write(qcow2(pathlib.Path(sys.argv[1]).read_bytes()))
