#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): compiles the programs and packs them as /check.
#   build-programs.sh ARCHITECTURE      writes /qemuweb/work/{check,userspace}.cpio
set -euo pipefail
architecture=$1
here=/qemuweb/check
files=/qemuweb/work/files/check
case $architecture in
  x86_64) cc=gcc flags='-fcf-protection=none' ;;
  aarch64) cc=aarch64-linux-gnu-gcc flags='-mno-outline-atomics' ;;
esac
rm -rf /qemuweb/work/files
mkdir -p "$files"

# Linked statically and to fixed addresses: what a program sees is the same in every run.
program() { # NAME SOURCE...
  local name=$1
  shift
  # shellcheck disable=SC2086 # flags are words
  $cc -std=gnu11 -D_GNU_SOURCE -O2 -g0 -Wall -Wextra -Werror $flags -static -no-pie -fno-pie -s -Wl,--build-id=none \
    "$@" -o "$files/$name" -lm -lpthread
}

program difftest "$here/difftest/main.c" "$here/difftest/$architecture"*.c
program bench "$here"/bench/*.c
if [[ $architecture == x86_64 ]]; then
  program precision "$here/precision.c"
  program across-pages "$here/across-pages.c"
fi

# A program that says that userspace is there, as process 1 of an initramfs for other kernels.
mkdir -p /qemuweb/work/userspace
# shellcheck disable=SC2086
$cc -std=gnu11 -D_GNU_SOURCE -Os -Wall -Wextra -Werror $flags -static -s "$here/userspace.c" -o /qemuweb/work/userspace/init
cd /qemuweb/work/userspace
echo init | cpio --quiet -o -H newc -R 0:0 --reproducible >/qemuweb/work/userspace.cpio

cd /qemuweb/work/files
find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible >/qemuweb/work/check.cpio
