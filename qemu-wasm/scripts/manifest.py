#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Writes qemu-build.json: what an output was made of and what it consists of."""

import argparse
import configparser
import datetime
import gzip
import hashlib
import json
import pathlib
import re

RECIPE = pathlib.Path(__file__).resolve().parent.parent
TOOLCHAIN = ["emscripten", "binaryen", "clang-19", "lld-19", "meson", "ninja-build", "nodejs", "python3"]


def digest(path: pathlib.Path) -> dict:
    data = path.read_bytes()
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if path.suffix == ".gz":
        entry["uncompressed_bytes"] = len(gzip.decompress(data))
    return entry


def listed(name: str) -> list[dict]:
    """The entries of sources.txt or firmware.txt."""
    entries = []
    for line in (RECIPE / name).read_text().splitlines():
        if line and not line.startswith("#"):
            file, sha256, directory = line.split()[:3]
            package, version = re.match(r"([^_]+)_(.+?)(?:\.orig\.tar\.\w+|_all\.deb)$", file).groups()
            entries.append({"package": package, "version": version, "file": file,
                            "sha256": sha256, "archive_directory": directory})
    return entries


def installed(root: pathlib.Path) -> dict[str, str]:
    """Versions of the tools, from the toolchain root's package database."""
    versions = {}
    for paragraph in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        name = re.search(r"^Package: (.+)$", paragraph, re.M)
        version = re.search(r"^Version: (.+)$", paragraph, re.M)
        if name and version and name[1] in TOOLCHAIN:
            versions[name[1]] = version[1]
    return versions


def flags() -> dict[str, str]:
    """What the emulators are compiled and linked with."""
    config = configparser.ConfigParser(comment_prefixes="#")
    config.read(RECIPE / "src/configs/meson/emscripten.txt")
    return {"compile": config["built-in options"]["c_args"], "link": config["properties"]["emulator_link_args"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    sources = listed("sources.txt")
    ours = sorted(p for d in ("patches", "src") for p in (RECIPE / d).rglob("*") if p.is_file())
    manifest = {
        "qemu_version": next(s["version"] for s in sources if s["package"] == "qemu").split("+")[0],
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "targets": [f"{p.stem.removeprefix('qemu-system-')}-softmmu" for p in sorted(args.out.glob("qemu-system-*.js"))],
        "sources": sources,
        "firmware": listed("firmware.txt"),
        "patches_and_new_files": {str(p.relative_to(RECIPE)): digest(p)["sha256"] for p in ours},
        "toolchain": installed(args.root),
        "flags": flags(),
        "outputs": {str(p.relative_to(args.out)): digest(p)
                    for p in sorted(args.out.rglob("*"))
                    if p.is_file() and p.name != "qemu-build.json" and not p.name.startswith(".")},
    }
    # In one step: an output to which an architecture is added may be in use.
    new = args.out / ".qemu-build.json"
    new.write_text(json.dumps(manifest, indent=2) + "\n")
    new.rename(args.out / "qemu-build.json")


if __name__ == "__main__":
    main()
