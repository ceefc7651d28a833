#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Smoke test of the QEMU outputs in Node (20 or newer), with the guest images. Builds both if the cache lacks them.
#   run.sh [ARCH]...    x86_64, aarch64; default both
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
need_tools node:nodejs
qemu=$("$QEMU_WASM_DIR/build.sh" | tail -1)
guest=$("$QEMU_WASM_DIR/guest/build.sh" | tail -1)
exec node "$QEMU_WASM_DIR/test/smoke.mjs" "$qemu" "$guest" "$@"
