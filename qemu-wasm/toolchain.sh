#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Makes a Debian root with the packages that a recipe needs, if the cache has none, and prints its path as the last line.
#   toolchain.sh [--print-output] qemu    packages: toolchain-packages.txt
#   toolchain.sh [--print-output] guest   packages: guest/packages.txt
#   toolchain.sh [--print-output] check   packages: check/packages.txt
#   toolchain.sh [--print-output] boots   packages: check/boots/packages.txt
#   toolchain.sh [--print-output] native  packages: native-packages.txt
# The root is keyed by the hash of its package list. QEMUWEB_TOOLCHAIN_ROOT=/ takes the running system instead (our
# Dockerfile does so, having installed the same list).
set -euo pipefail
. "$(dirname "$0")/scripts/lib.sh"

print_only=
if [[ ${1:-} == --print-output ]]; then
  print_only=1
  shift
fi
case ${1:-} in
  qemu) list=$QEMU_WASM_DIR/toolchain-packages.txt ;;
  guest | check) list=$QEMU_WASM_DIR/$1/packages.txt ;;
  boots) list=$QEMU_WASM_DIR/check/boots/packages.txt ;;
  native) list=$QEMU_WASM_DIR/native-packages.txt ;;
  *) fail "unknown toolchain '${1:-}'" "say: toolchain.sh [--print-output] qemu|guest|check|boots|native" ;;
esac

if [[ -n ${QEMUWEB_TOOLCHAIN_ROOT:-} ]]; then
  printf '%s\n' "$QEMUWEB_TOOLCHAIN_ROOT"
  exit
fi

root=$CACHE/root/$1-$(hash_of "=$SUITE" "$list")
if [[ -z $print_only && ! -e $root/.complete ]]; then
  need_tools mmdebstrap:mmdebstrap unshare:util-linux apt-get:apt flock:util-linux
  check_namespaces
  need_space "$CACHE/root" 3000
  lock "$root"
  if [[ ! -e $root/.complete ]]; then
    say "making the $1 toolchain root (Debian $SUITE)"
    log=$root.log
    # The temporary root lies beside the final one: a root made half way is thrown away and made anew.
    new=$root.new
    in_namespace rm -rf "$new" "$root"
    packages=$(grep -v '^#' "$list" | paste -sd,)
    in_namespace mmdebstrap --mode=root --variant=minbase --include="$packages" \
      --aptopt='APT::Install-Recommends "false"' --dpkgopt=path-exclude='/usr/share/doc/*' \
      --dpkgopt=path-include='/usr/share/doc/*/copyright' --dpkgopt=path-exclude='/usr/share/man/*' \
      --skip=cleanup/apt/lists "$SUITE" "$new" "deb $(debian_mirror) $SUITE main" >"$log" 2>&1 || {
      tail -5 "$log" >&2
      fail "could not make the Debian root (log: $log)" "check the network and the free space, then start again"
    }
    in_namespace bash -ec 'touch "$1/.complete"; mv "$1" "$2"' move "$new" "$root"
  fi
fi
printf '%s\n' "$root"
