#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Builds QEMU for x86_64 and aarch64 guests to WebAssembly, and prints the output directory as the last line.
#   build.sh [--print-output | --plan] [x86_64] [aarch64]    both, if none is named
# The output is keyed by a hash of everything that goes into it, and has a stamp, .complete-ARCHITECTURE, for each that is there.
# One that is there is not built again, another is added; an interrupted build resumes at the step (and, in QEMU, at the file)
# where it stopped. See README.md for what the steps are.
#   --plan           only tells what is to be done and takes how long: SECONDS<TAB>STEP lines, none if there is nothing to do
#   QEMUWEB_CACHE    where sources, libraries and outputs are kept (default ~/.cache/qemuweb)
#   QEMUWEB_SOURCES  a directory with source files that the Debian archive no longer has, by the names in sources.txt
set -euo pipefail
. "$(dirname "$0")/scripts/lib.sh"
. "$QEMU_WASM_DIR/scripts/sources.sh"
cd "$QEMU_WASM_DIR"

# In a function, so that the whole of it is read before any of it runs: an edit meanwhile does no harm.
main() {
  local action=
  case ${1:-} in
    --print-output | --plan)
      action=$1
      shift
      ;;
  esac
  wanted_architectures "$@"

  root_id=$(basename "$(./toolchain.sh --print-output qemu)")
  deps_id=$(hash_of "=$root_id" sources.txt scripts/sources.sh scripts/toolchain.env scripts/cross.meson scripts/build-deps.sh patches/glib/*)
  mapfile -t own_files < <(find src patches/qemu -type f | sort)
  qemu_id=$(hash_of "=$deps_id" build.sh firmware.txt scripts/build-qemu.sh scripts/pack.sh scripts/flash-image.py scripts/unsigned-offsets.sed scripts/manifest.py "${own_files[@]}")
  deps=$CACHE/qemu-deps/$deps_id
  build=$CACHE/qemu-build/$qemu_id
  output=$CACHE/qemu/$qemu_id
  tests=$CACHE/qemu-tests/$qemu_id

  if [[ $action == --plan ]]; then
    . scripts/plan.sh
    has "$output" "${WANTED[@]}" || plan
    exit
  fi
  if [[ $action == --print-output ]] || has "$output" "${WANTED[@]}"; then
    printf '%s\n' "$output"
    exit
  fi

  need_tools apt-get:apt patch:patch tar:tar xz:xz-utils sha256sum:coreutils flock:util-linux dpkg-deb:dpkg python3:python3
  need_space "$CACHE" 6000
  lock "$output"
  if has "$output" "${WANTED[@]}"; then # made while we waited
    printf '%s\n' "$output"
    exit
  fi
  start=$SECONDS missing=()
  for architecture in "${WANTED[@]}"; do
    has "$output" "$architecture" || missing+=("$architecture")
  done
  root=$(./toolchain.sh qemu | tail -1)

  # stage WHAT LOG COMMAND...: runs a command of the recipe in the root; its output goes to LOG.
  stage() {
    local what=$1 log=$2
    shift 2
    say "$what (log: $log)"
    with_progress "$what" "$log" in_root "$root" --bind "$QEMU_WASM_DIR:/qemuweb/recipe" --bind "$work/sources:/qemuweb/sources" \
      --bind "$deps:/qemuweb/deps" --bind "$build:/qemuweb/build" -- "$@" || {
      tail -25 "$log" >&2
      need_space "$CACHE" 200
      fail "$what failed" "read $log; the build resumes from there when it is started again"
    }
  }

  mkdir -p "$deps" "$build"
  work=$deps/unpacked
  mkdir -p "$work/sources"
  if [[ ! -e $deps/.complete ]]; then
    for name in zlib libzstd pcre2 device-tree-compiler glib2.0 pixman; do
      unpack_source "$name" "$work/sources"
    done
    stage "building the libraries" "$deps.log" bash /qemuweb/recipe/scripts/build-deps.sh
    rm -rf "$work"
    touch "$deps/.complete"
  fi

  work=$build-src
  mkdir -p "$work/sources"
  unpack_source qemu "$work/sources"
  overlay_new_files src "$work/sources/qemu"
  stage "building QEMU for ${missing[*]}" "$build.log" bash /qemuweb/recipe/scripts/build-qemu.sh "${missing[@]}"

  firmware=$build-firmware
  unpack_firmware "$firmware"
  say "packing"
  . scripts/pack.sh
  mkdir -p "$tests"
  cp "$build"/test-coroutine.{js,wasm} "$tests/"
  pack "$build" "$work/sources/qemu" "$firmware" "$output.new" "$root" "${missing[@]}"
  rm -rf "$firmware"
  lay_over "$output.new" "$output"
  python3 scripts/manifest.py --root "$root" --out "$output"
  touch "${missing[@]/#/$output/.complete-}"
  # Half of the work for another architecture is done.
  ! has "$output" "${ARCHITECTURES[@]}" || rm -rf "$work" "$build"
  say "built in $((SECONDS - start)) s"
  printf '%s\n' "$output"
}

main "$@"
