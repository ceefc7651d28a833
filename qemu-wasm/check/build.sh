#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Builds what checks and measures the engine from inside a guest, and prints the directory that holds it as the last line:
#   x86_64/initramfs.cpio aarch64/initramfs.cpio    the default guest's, and /check with our programs (see README.md)
#   x86_64/debian-cloud/{vmlinuz,initramfs.cpio}    Debian's kernel for virtual machines, and a process 1 that says it is there
#   build.sh [--print-output]
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
CHECK=$QEMU_WASM_DIR/check

guest=$("$QEMU_WASM_DIR/guest/build.sh" --print-output | tail -1)
mapfile -t inputs < <(find "$CHECK" -type f ! -name '*.md' ! -name '*.mjs' | LC_ALL=C sort)
output=$CACHE/check/$(hash_of "=${guest##*/}" "${inputs[@]}")
if [[ ${1:-} == --print-output || -e $output/.complete ]]; then
  printf '%s\n' "$output"
  exit
fi
lock "$output"
need_tools gzip:gzip dpkg-deb:dpkg
need_space "$CACHE/check" 500
guest=$("$QEMU_WASM_DIR/guest/build.sh" | tail -1)
root=$("$QEMU_WASM_DIR/toolchain.sh" check | tail -1)
work=$output.work
rm -rf "$work"
mkdir -p "$work/out"
for architecture in x86_64 aarch64; do
  mkdir -p "$work/$architecture" "$work/out/$architecture"
  say "programs for $architecture (log: $output.log)"
  in_root "$root" --bind "$CHECK:/qemuweb/check" --bind "$work/$architecture:/qemuweb/work" -- \
    bash /qemuweb/check/build-programs.sh "$architecture" >"$output.log" 2>&1 || {
    tail -20 "$output.log" >&2
    fail "the programs for $architecture did not build" "see $output.log"
  }
  gzip -dc "$guest/$architecture/initramfs.cpio.gz" >"$work/out/$architecture/initramfs.cpio"
  # An archive after another begins at a multiple of four bytes; the guest's one says why an end is padded so.
  cat "$work/$architecture/check.cpio" >>"$work/out/$architecture/initramfs.cpio"
  size=$(stat -c %s "$work/out/$architecture/initramfs.cpio")
  truncate -s $(((size + 4095) / 4096 * 4096 + 512)) "$work/out/$architecture/initramfs.cpio"
done
read -r sha pool _ <"$CHECK/debian-cloud.lock"
say "Debian's cloud kernel"
mkdir "$work/deb" "$work/out/x86_64/debian-cloud"
dpkg-deb --extract "$(fetch "${pool##*/}" "$sha" "$pool")" "$work/deb"
cp "$work"/deb/boot/vmlinuz-* "$work/out/x86_64/debian-cloud/vmlinuz"
cp "$work/x86_64/userspace.cpio" "$work/out/x86_64/debian-cloud/initramfs.cpio"
rm -rf "$output"
mv "$work/out" "$output"
touch "$output/.complete"
rm -rf "$work"
printf '%s\n' "$output"
