#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): collects the licence notices of all that an architecture's images hold.
#   make-licences.sh ARCHITECTURE PACKING-DIRECTORY
# -> out/licences/SOURCE-PACKAGE.txt, and a line per source package in out/licences/SOURCES.txt
set -euo pipefail
architecture=$1 packing=$2
guest=$(cd "$(dirname "$0")" && pwd)
licences=$packing/out/licences
lock=$packing/lock
cat "$guest/lock/$([[ $architecture == x86_64 ]] && echo amd64 || echo arm64).lock" >"$lock"
[[ $architecture == x86_64 ]] || grep ' linux-source-' "$guest/lock/amd64.lock" >>"$lock"

# The licences that the notices refer to.
mkdir -p "$licences/common-licenses"
cp -L /usr/share/common-licenses/* "$licences/common-licenses/"

[[ -e $licences/SOURCES.txt ]] || cat >"$licences/SOURCES.txt" <<END
Source packages of the Debian distribution from which the guest images are made, with the binary packages taken.
Each can be had from Debian's archive under this name and version; the notices lie beside this file.
The first process of the images (/init) is QemuWeb's own: qemu-wasm/guest/src, Apache-2.0 OR MIT, with the kernel's nolibc headers (MIT).
So is /usr/bin/qemuweb-guest: crates/guest-tools, Apache-2.0 OR MIT, with the crates in guest-crates.txt, Rust's standard library
(Apache-2.0 OR MIT) and musl (MIT, Copyright 2005-2020 Rich Felker and others).
END
note() { # PACKAGE DEB
  local version source source_version
  read -r _ _ _ version source source_version < <(awk -v p="$1" '$3 == p' "$lock")
  dpkg-deb --fsys-tarfile "$2" | tar -xO "./usr/share/doc/$1/copyright" >"$packing/notice" 2>/dev/null || true
  # A package may share the notice of another one of its source, which is then in the lock file too.
  if [[ -s $packing/notice ]]; then
    mv "$packing/notice" "$licences/$source.txt"
  else
    shared+=("$source")
  fi
  echo "$architecture: $1 $version from source $source $source_version" >>"$licences/SOURCES.txt"
}
shared=()
note linux-source-6.12 /qemuweb/linux/linux-source.deb
for package in libmbedtls-dev zlib1g-dev; do note $package "$packing/debs-$architecture/$package.deb"; done
# What is built from upstream's tarballs brings its notice in there.
while read -r _ _ source version; do
  tar -xOf "/qemuweb/tools/sources/$source".tar.* --wildcards "*/$([[ $source == curl ]] && echo COPYING || echo LICENSE)" \
    >"$licences/$source.txt"
  echo "$architecture: built from source $source $version" >>"$licences/SOURCES.txt"
done <"$guest/lock/sources.lock"
while read -r package; do
  note "$package" "$packing/debs-$architecture/$package.deb"
done <"$packing/$architecture-packages"
for source in "${shared[@]}"; do
  [[ -e $licences/$source.txt ]] || {
    echo "no copyright notice found for source package $source" >&2
    exit 1
  }
done
