# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes out/guest-build.json in the packing directory given: what the images are, of what, how large (see build.sh).

    write-manifest.py PACKING-DIRECTORY ARCHITECTURE...

What the file says of other architectures is kept. What all of them share is listed as one more, "shared".
"""

import gzip
import hashlib
import json
import pathlib
import sys

GUEST = pathlib.Path(__file__).parent
IMAGES = {"x86_64": ("vmlinux", "amd64"), "aarch64": ("Image", "arm64")}


def describe(path: pathlib.Path) -> dict:
    """Sizes in bytes and SHA-256 of a gzip file, and of what it holds."""
    packed = path.read_bytes()
    plain = gzip.decompress(packed)
    return {
        "size": len(packed),
        "sha256": hashlib.sha256(packed).hexdigest(),
        "uncompressed_size": len(plain),
        "uncompressed_sha256": hashlib.sha256(plain).hexdigest(),
    }


def packages(packing: pathlib.Path, architecture: str, debian: str) -> list:
    """The Debian packages that are in an architecture's images, the kernel's source first."""
    names = (packing / f"{architecture}-packages").read_text().split()
    rows = [line.split() for line in (GUEST / "lock" / f"{debian}.lock").read_text().splitlines()]
    if architecture != "x86_64":
        rows = [line.split() for line in (GUEST / "lock" / "amd64.lock").read_text().splitlines() if " linux-source-" in line] + rows
    return [
        {"package": name, "version": version, "source": source, "source_version": source_version, "sha256": sha}
        for sha, _, name, version, source, source_version in rows
        if name in names or name.startswith(("linux-source-", "libmbedtls-", "zlib1g-"))
    ]


def sources() -> list:
    """The source packages that were built from their upstream tarballs."""
    rows = [line.split() for line in (GUEST / "lock" / "sources.lock").read_text().splitlines()]
    return [{"source": name, "source_version": version, "sha256": sha} for sha, _, name, version in rows]


def main() -> None:
    packing = pathlib.Path(sys.argv[1])
    path = packing / "out" / "guest-build.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    for architecture in sys.argv[2:]:
        kernel, debian = IMAGES[architecture]
        out = packing / "out" / architecture
        files = {name: describe(out / name) for name in (f"{kernel}.gz", "initramfs.cpio.gz")}
        manifest[architecture] = {
            "files": files,
            "total_size": sum(file["size"] for file in files.values()),
            "packages": packages(packing, architecture, debian),
            "sources": sources(),
        }
    home = describe(packing / "out" / "shared" / "home.sparse.gz")
    manifest["shared"] = {"files": {"home.sparse.gz": home}, "total_size": home["size"]}
    path.write_text(json.dumps(manifest, indent=2) + "\n")


main()
