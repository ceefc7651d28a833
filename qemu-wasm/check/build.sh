#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Builds what checks and measures the engine from inside a guest, and prints the directory that holds it as the last line:
#   ARCHITECTURE/initramfs.cpio      the default guest's initramfs, and /check with our programs (see README.md)
#   ARCHITECTURE/tcg-initramfs.cpio  the default guest's initramfs, and /check/tcg with QEMU's tests
#   x86_64/debian-cloud/{vmlinuz,initramfs.cpio}    Debian's kernel for virtual machines, and a process 1 that says it is there
#   build.sh [--print-output]
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
. "$QEMU_WASM_DIR/scripts/sources.sh"
CHECK=$QEMU_WASM_DIR/check

guest=$("$QEMU_WASM_DIR/guest/build.sh" --print-output | tail -1)
root=$("$QEMU_WASM_DIR/toolchain.sh" --print-output check | tail -1)
tcg_inputs=("=${root##*/}" "=$(source_line qemu)" "$CHECK/build-tcg-tests.sh" "$CHECK/tcg/run.sh")
mapfile -t inputs < <(find "$CHECK" -type f ! -name '*.md' ! -name '*.mjs' ! -name test.sh ! -path '*/tcg/*' | LC_ALL=C sort)
output=$CACHE/check/$(hash_of "=${guest##*/}" "${tcg_inputs[@]}" "${inputs[@]}")
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
# QEMU's tests take a minute to compile, and change with QEMU only.
tcg=$CACHE/check-work/tcg-$(hash_of "${tcg_inputs[@]}")
rm -rf "$work"
mkdir -p "$work/out" "$tcg"

run() { # WORK-DIRECTORY SCRIPT ARCHITECTURE
  in_root "$root" --bind "$CHECK:/qemuweb/check" --bind "$tcg:/qemuweb/qemu" --bind "$1:/qemuweb/work" -- \
    bash "/qemuweb/check/$2" "$3" >"$1.log" 2>&1 || {
    tail -20 "$1.log" >&2
    fail "$2 failed for $3" "see $1.log"
  }
}

# with_guest ARCHITECTURE ARCHIVE TO: the guest's initramfs and another archive after it
with_guest() {
  local size
  gzip -dc "$guest/$1/initramfs.cpio.gz" | cat - "$2" >"$3"
  size=$(stat -c %s "$3")
  truncate -s $(((size + 4095) / 4096 * 4096 + 512)) "$3" # guest/make-initramfs.sh says why
}

if [[ ! -e $tcg/.complete ]]; then
  read -r file sha directory _ < <(source_line qemu)
  tar --extract --no-same-owner --strip-components=1 --directory="$tcg" --wildcards '*/tests/tcg' '*/configs/targets' \
    --file="$(fetch "$file" "$sha" "$directory/$file")"
  for architecture in x86_64 aarch64; do
    say "QEMU's TCG tests for $architecture (log: $tcg/$architecture.log)"
    mkdir -p "$tcg/$architecture"
    run "$tcg/$architecture" build-tcg-tests.sh "$architecture"
  done
  touch "$tcg/.complete"
fi

for architecture in x86_64 aarch64; do
  mkdir -p "$work/$architecture" "$work/out/$architecture"
  say "programs for $architecture"
  run "$work/$architecture" build-programs.sh "$architecture"
  with_guest "$architecture" "$work/$architecture/check.cpio" "$work/out/$architecture/initramfs.cpio"
  with_guest "$architecture" "$tcg/$architecture/tcg.cpio" "$work/out/$architecture/tcg-initramfs.cpio"
done

say "Debian's cloud kernel"
read -r sha pool _ <"$CHECK/debian-cloud.lock"
mkdir "$work/deb" "$work/out/x86_64/debian-cloud"
dpkg-deb --extract "$(fetch "${pool##*/}" "$sha" "$pool")" "$work/deb"
cp "$work"/deb/boot/vmlinuz-* "$work/out/x86_64/debian-cloud/vmlinuz"
cp "$work/x86_64/userspace.cpio" "$work/out/x86_64/debian-cloud/initramfs.cpio"
rm -rf "$output"
mv "$work/out" "$output"
touch "$output/.complete"
rm -rf "$work"
printf '%s\n' "$output"
