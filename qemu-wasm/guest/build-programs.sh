#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Builds our programs for guests (crates/guest-tools) and prints the directory that holds them as the last
# line:  x86_64/qemuweb-guest aarch64/qemuweb-guest
#   build-programs.sh [--print-output] [x86_64] [aarch64]    both, if none is named
# Static, for any Linux. Rust brings all that it takes: musl with its target, and a linker; no compiler for C. What comes out does not
# depend on where it is built.
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
ROOT=$(cd "$QEMU_WASM_DIR/.." && pwd)
CARGO=${CARGO:-cargo}

action=
if [[ ${1:-} == --print-output ]]; then
  action=$1
  shift
fi
wanted_architectures "$@"
cd "$ROOT"
need_tools "$CARGO:rustup" rustc:rustup
# Only those of the workspace's packages count that are linked in: `name version`, each line.
packages=$("$CARGO" tree --locked --package qemuweb-guest-tools --target all --edges normal,build --prefix none | sed 's/ (.*//' | LC_ALL=C sort -u)
sources=()
while IFS= read -r file; do sources+=("$file"); done < <(
  find crates/{agent,capture,guest-tools,ledger}/{src,Cargo.toml} -type f ! -name tests.rs ! -path '*/tests/*' | LC_ALL=C sort
)
output=$CACHE/guest-programs/$(hash_of "=$packages" "=$(rustc --version)" "=$(sed -n '/^\[profile\.guest/,/^$/p' Cargo.toml)" \
  "${sources[@]}" "$QEMU_WASM_DIR/guest/build-programs.sh")
if [[ $action == --print-output ]] || has "$output" "${WANTED[@]}"; then
  printf '%s\n' "$output"
  exit
fi
lock "$output"
need_space "$CACHE/guest-programs" 500

# Paths that would stand in what panics say.
flags=(-Clinker=rust-lld -Clink-self-contained=yes -Crelocation-model=static "--remap-path-prefix=$ROOT=/qemuweb")
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
  flags+=("--remap-path-prefix=${registry%/}=/crates")
done
for architecture in "${WANTED[@]}"; do
  has "$output" "$architecture" && continue
  target=$architecture-unknown-linux-musl
  [[ -d $(rustc --print sysroot)/lib/rustlib/$target ]] || fail "this Rust has no target $target" "rustup target add $target"
  say "programs for guests on $architecture (log: $output-$architecture.log)"
  mkdir -p "$output/$architecture"
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}") CARGO_TARGET_DIR=$CACHE/guest-programs/target \
    "$CARGO" build --locked --profile guest --package qemuweb-guest-tools --target "$target" >"$output-$architecture.log" 2>&1 || {
    tail -20 "$output-$architecture.log" >&2
    fail "the programs for guests on $architecture did not build" "see $output-$architecture.log"
  }
  install -m 755 "$CACHE/guest-programs/target/$target/guest/qemuweb-guest" "$output/$architecture/"
  touch "$output/.complete-$architecture"
done
printf '%s\n' "$output"
