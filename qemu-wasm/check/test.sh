#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Checks the engine in Node (20 or newer) against native QEMU: QEMU's own TCG tests, and the differential test.
#   test.sh [--full]
# Without --full what takes some minutes; the numbers of blocks and runs are then small, and slow tests are left out. Ends with
# `N passed, M failed` from each part.
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
need_tools node:nodejs
here=$QEMU_WASM_DIR/check
case ${1:-} in
  '') parts=("precision.mjs" "formats.mjs --quick" "difftest.mjs --blocks 500 --runs 24" "difftest.mjs --blocks 20 --runs 3000 --seed 2" "parallel.mjs --blocks 300" "tcg.mjs --quick --target x86_64,aarch64") ;;
  --full) parts=("precision.mjs" "formats.mjs" "difftest.mjs --blocks 5000 --runs 24" "difftest.mjs --blocks 2000 --runs 300 --seed 3" "difftest.mjs --blocks 300 --runs 3000 --seed 2" "parallel.mjs --blocks 2000" "tcg.mjs") ;;
  *) fail "unknown argument '$1'" "say: test.sh [--full]" ;;
esac
status=0
for part in "${parts[@]}"; do
  printf '==== %s\n' "$part"
  # shellcheck disable=SC2086 # a name and its arguments
  node $here/$part || status=1
done
exit $status
