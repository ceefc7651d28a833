#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# QEMU's own test of coroutines, the sizes of the emulators' functions, a smoke test of the QEMU outputs with the guest images, the
# monitors, UEFI and large guests, in Node (20 or newer). Builds both if the cache lacks them.
#   run.sh [--full] [ARCH]...    x86_64, aarch64; default both
# Without --full, UEFI only comes up on one machine of each architecture.
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
need_tools node:nodejs
uefi=(--quick)
if [[ ${1:-} == --full ]]; then
  uefi=()
  shift
fi
qemu=$("$QEMU_WASM_DIR/build.sh" | tail -1)
guest=$("$QEMU_WASM_DIR/guest/build.sh" | tail -1)
status=0
part() { # SCRIPT ARGUMENT...
  printf '==== %s\n' "$1"
  node "$QEMU_WASM_DIR/test/$1" "${@:2}" || status=1
}
part coroutine.mjs "$CACHE/qemu-tests/$(basename "$qemu")"
part function-sizes.mjs "$qemu"
part smoke.mjs "$qemu" "$guest" "$@"
part monitor.mjs "$qemu" "$@"
part uefi.mjs "${uefi[@]}" "$qemu" "$@"
part large.mjs "$qemu" "$guest" "$@"
exit $status
