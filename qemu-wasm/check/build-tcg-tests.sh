#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): builds QEMU's own TCG tests (its tests/tcg) with QEMU's own rules.
#   build-tcg-tests.sh ARCHITECTURE      writes /qemuweb/work/tcg.cpio; for x86_64 also the tests for i386, with their libraries
# They are linked to shared libraries: statically they would take more memory than the guest has. Those for x86_64 and aarch64
# use the libraries of the guest's initramfs.
set -euo pipefail
architecture=$1
files=/qemuweb/work/tests
rm -rf "$files"

build() { # TARGET COMPILER STRIP
  local target=$1 cc=$2 strip=$3 work=/qemuweb/work/tcg-$1 name
  rm -rf "$work"
  mkdir -p "$work" "$files/check/tcg/$target"
  cd "$work"
  ln -s /qemuweb/qemu/tests/tcg/Makefile.target Makefile # a prerequisite of the rule that asks the compiler what it can
  # What the compiler can't build is not there to be run; build.sh compares with the list of what has to be there.
  make -k -s TARGET="$target-linux-user" TARGET_NAME="$target" SRC_PATH=/qemuweb/qemu CC="$cc" PYTHON=python3 all || true
  find . -maxdepth 1 -type f -perm -u+x -printf '%f\n' | LC_ALL=C sort | while read -r name; do
    $strip -o "$files/check/tcg/$target/$name" "$name"
    for reference in "/qemuweb/qemu/tests/tcg/$target/$name.ref"; do
      [[ ! -e $reference ]] || cp "$reference" "$files/check/tcg/$target/"
    done
  done
}

case $architecture in
  x86_64)
    build x86_64 'gcc -no-pie' strip
    build i386 i686-linux-gnu-gcc i686-linux-gnu-strip
    mkdir -p "$files/usr/lib/i386-linux-gnu"
    cp /usr/i686-linux-gnu/lib/{libc.so.6,libm.so.6} "$files/usr/lib/i386-linux-gnu/"
    cp /usr/i686-linux-gnu/lib/ld-linux.so.2 "$files/usr/lib/"
    ;;
  aarch64) build aarch64 aarch64-linux-gnu-gcc aarch64-linux-gnu-strip ;;
esac
install -m 755 /qemuweb/check/tcg/run.sh "$files/check/tcg/run.sh"
cd "$files"
find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible >/qemuweb/work/tcg.cpio
