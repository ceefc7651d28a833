#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Configures all emulators and builds those of the architectures named. Runs inside the toolchain root, with
#   /qemuweb/recipe  this directory    /qemuweb/sources/qemu  QEMU's source, patched, our new files laid over it
#   /qemuweb/deps    the libraries     /qemuweb/build         the build directory, kept until the output is complete
set -euo pipefail
. /qemuweb/recipe/scripts/toolchain.env
source=/qemuweb/sources/qemu
cd /qemuweb/build

if [[ ! -e build.ninja ]]; then
  # Everything that a browser tab has no use for, or that cannot work there, is off; what is left is in the device lists.
  emconfigure "$source/configure" --cpu=wasm64 --target-list=x86_64-softmmu,aarch64-softmmu \
    --enable-tcg-interpreter --without-default-features --without-default-devices \
    --with-devices-x86_64=qemuweb --with-devices-aarch64=qemuweb --with-coroutine=wasm \
    --enable-system --enable-fdt=system --enable-pixman --enable-virtfs --enable-zstd \
    --enable-qcow1 --enable-qed --enable-vmdk --enable-vdi --enable-vhdx --enable-vpc --enable-parallels --enable-bochs --enable-cloop --enable-dmg \
    --disable-tools --disable-docs --disable-guest-agent --disable-install-blobs --disable-werror \
    --extra-cflags="-O3 -I$PREFIX/include" -Doptimization=3 -Ddebug=false \
    || { tail -40 meson-logs/meson-log.txt config.log 2>/dev/null; exit 1; }
fi
programs=("${@/%/.js}")
ninja "${programs[@]/#/qemu-system-}" test-coroutine.js
