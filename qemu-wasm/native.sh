#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Makes native QEMU for comparisons if the cache has none, and prints a directory to put in front of $PATH as the last line:
#   qemu-system-x86_64 qemu-system-aarch64 qemu-img qemu-io
#   native.sh [--print-output]
# It is that of the Debian release that our toolchain is from (toolchain.sh native), whatever this machine has. Each program is
# started by its own root's loader, with its own root's libraries, modules and firmware, so that it needs no privileges, sees this
# machine's files, and is the process that was started.
set -euo pipefail
. "$(dirname "$0")/scripts/lib.sh"

root=$("$QEMU_WASM_DIR/toolchain.sh" --print-output native | tail -1)
output=$CACHE/native/${root##*/native-}-$(hash_of "$QEMU_WASM_DIR/native.sh")
if [[ ${1:-} == --print-output || -e $output/.complete ]]; then
  printf '%s\n' "$output"
  exit
fi
lock "$output"
root=$("$QEMU_WASM_DIR/toolchain.sh" native | tail -1)
libraries=$root/usr/lib/x86_64-linux-gnu
rm -rf "$output"
mkdir -p "$output"
# The modules are loaded by QEMU itself, which looks for them beside the program that runs: here, that is the loader.
for program in qemu-system-x86_64 qemu-system-aarch64; do
  printf '#!/bin/sh\nQEMU_MODULE_DIR=%q exec %q --library-path %q %q -L %q -L %q "$@"\n' "$libraries/qemu" \
    "$root/lib64/ld-linux-x86-64.so.2" "$libraries" "$root/usr/bin/$program" "$root/usr/share/qemu" "$root/usr/share/seabios" \
    >"$output/$program"
done
for program in qemu-img qemu-io; do
  printf '#!/bin/sh\nQEMU_MODULE_DIR=%q exec %q --library-path %q %q "$@"\n' "$libraries/qemu" "$root/lib64/ld-linux-x86-64.so.2" \
    "$libraries" "$root/usr/bin/$program" >"$output/$program"
done
chmod 755 "$output"/*
"$output/qemu-system-x86_64" --version >&2 || fail "native QEMU does not start" "see $output/qemu-system-x86_64; it needs an x86-64 machine"
touch "$output/.complete"
printf '%s\n' "$output"
