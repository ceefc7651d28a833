#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Makes what people bring to boot, and prints the directory that holds it as the last line:
#   build-boots.sh [--print-output] some    what takes seconds to boot, for `cargo xtask test`
#   build-boots.sh [--print-output] all     everything, for `cargo xtask engine-test --only boots`
# From the Debian packages that debian.lock pins by SHA-256, and from our own sources in src/. make-images.sh names the files.
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib.sh"
CHECK=$QEMU_WASM_DIR/check
BOOTS=$CHECK/boots

print_only=
if [[ ${1:-} == --print-output ]]; then
  print_only=1
  shift
fi
case ${1:-} in
  some) packages=(ipxe) space=200 ;;
  all) packages=() space=3000 ;;
  *) fail "unknown set '${1:-}'" "say: build-boots.sh [--print-output] some|all" ;;
esac
root=$("$QEMU_WASM_DIR/toolchain.sh" --print-output boots | tail -1)
mapfile -t inputs < <(find "$BOOTS" -type f ! -name update-lock.sh | LC_ALL=C sort)
inputs+=("$CHECK"/{userspace.c,precision.c,debian-cloud.lock})
output=$CACHE/boots/$1-$(hash_of "=${root##*/}" "${inputs[@]}")
if [[ -n $print_only || -e $output/.complete ]]; then
  printf '%s\n' "$output"
  exit
fi
lock "$output"
need_tools dpkg-deb:dpkg
need_space "$CACHE/boots" "$space"
root=$("$QEMU_WASM_DIR/toolchain.sh" boots | tail -1)
work=$output.work
rm -rf "$work"
mkdir -p "$work/debs" "$work/out"
while read -r sha pool package _; do
  if ((${#packages[@]} == 0)) || [[ " ${packages[*]} " == *" $package "* ]]; then
    dpkg-deb --extract "$(fetch "${pool##*/}" "$sha" "$pool")" "$work/debs"
  fi
done < <(cat "$BOOTS/debian.lock" "$CHECK/debian-cloud.lock")
say "what people boot: $1 (log: $work.log)"
in_root "$root" --bind "$CHECK:/qemuweb/check" --bind "$work:/qemuweb/work" -- \
  bash /qemuweb/check/boots/make-images.sh "$1" >"$work.log" 2>&1 || {
  tail -20 "$work.log" >&2
  fail "make-images.sh failed" "see $work.log"
}
rm -rf "$output"
mv "$work/out" "$output"
touch "$output/.complete"
rm -rf "$work"
printf '%s\n' "$output"
