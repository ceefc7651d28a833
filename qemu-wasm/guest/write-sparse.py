# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes the pages of a raw disk image that are not zero, in the form that crates/storage/src/sparse.rs describes and reads.

    write-sparse.py RAW-IMAGE SPARSE-IMAGE
"""

import errno
import os
import pathlib
import struct
import sys
import zlib

PAGE = 4096


def extents(image: int):
    """The parts of a file that are no holes: start and end, in bytes."""
    end = 0
    while True:
        try:
            start = os.lseek(image, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(image, start, os.SEEK_HOLE)
        yield start, end


def main() -> None:
    image = os.open(sys.argv[1], os.O_RDONLY)
    size = os.fstat(image).st_size
    if size % PAGE:
        sys.exit(f"{sys.argv[1]}: expected whole pages of {PAGE} bytes, found {size} bytes")
    pages = {}
    for start, end in extents(image):
        for number in range(start // PAGE, (end + PAGE - 1) // PAGE):
            page = os.pread(image, PAGE, number * PAGE)
            if any(page):
                pages[number] = page
    body = struct.pack("<IQI", PAGE, size, len(pages))
    body += struct.pack(f"<{len(pages)}Q", *pages) + b"".join(pages.values())
    pathlib.Path(sys.argv[2]).write_bytes(b"QWSI" + struct.pack("<II", 1, zlib.crc32(body)) + body)


main()
