#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# QEMU's own test of coroutines, the sizes of the emulators' functions, a smoke test of the QEMU outputs with the guest images, the
# monitors, UEFI and large guests, in Node (20 or newer). Builds both if the cache lacks them.
#   run.sh [ARCH]...    x86_64, aarch64; default both
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
need_tools node:nodejs
qemu=$("$QEMU_WASM_DIR/build.sh" | tail -1)
guest=$("$QEMU_WASM_DIR/guest/build.sh" | tail -1)
status=0
node "$QEMU_WASM_DIR/test/coroutine.mjs" "$CACHE/qemu-tests/$(basename "$qemu")" || status=1
node "$QEMU_WASM_DIR/test/function-sizes.mjs" "$qemu" || status=1
node "$QEMU_WASM_DIR/test/smoke.mjs" "$qemu" "$guest" "$@" || status=1
node "$QEMU_WASM_DIR/test/monitor.mjs" "$qemu" "$@" || status=1
node "$QEMU_WASM_DIR/test/uefi.mjs" "$qemu" "$@" || status=1
node "$QEMU_WASM_DIR/test/large.mjs" "$qemu" "$guest" "$@" || status=1
exit $status
