#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Writes lock/ARCHITECTURE.lock anew from what Debian has today: the packages of locked-packages.txt, one a line,
#   SHA-256 POOL-PATH PACKAGE VERSION SOURCE-PACKAGE SOURCE-VERSION
# Run it when a point release or a security update has replaced a locked version, look at the difference, commit it.
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
GUEST=$QEMU_WASM_DIR/guest
root=$("$QEMU_WASM_DIR/toolchain.sh" guest | tail -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
in_root "$root" --bind "$GUEST:/qemuweb/guest" --bind "$work:/qemuweb/lock" -- bash -euo pipefail -c '
  export APT_CONFIG=/tmp/apt.conf
  printf "%s;\n" "APT::Architectures { \"amd64\"; \"arm64\"; }" "Dir::State::lists \"/tmp/lists\"" \
    "Dir::Cache \"/tmp/cache\"" "APT::Sandbox::User \"root\"" >/tmp/apt.conf
  mkdir -p /tmp/lists/partial /tmp/cache/archives/partial
  apt-get -qq update
  for architecture in amd64 arm64; do
    while read -r package only; do
      [[ -z $only || $only == "$architecture" ]] || continue
      # Packages of all architectures go by the name of the native one.
      shown=$(apt-cache --no-all-versions show "$package:$architecture" 2>/dev/null || true)
      [[ -n $shown ]] || shown=$(apt-cache --no-all-versions show "$package")
      printf "%s\n" "$shown" | awk "
        /^Package:/ {p=\$2} /^Version:/ {v=\$2} /^Source:/ {s=\$2; sv=\$3}
        /^Filename:/ {f=\$2} /^SHA256:/ {h=\$2}
        END {gsub(/[()]/, \"\", sv); print h, f, p, v, s == \"\" ? p : s, sv == \"\" ? v : sv}"
    done < <(grep -v "^#" /qemuweb/guest/locked-packages.txt) > "/qemuweb/lock/$architecture.lock"
  done'
for architecture in amd64 arm64; do
  count=$(grep -cE '^[0-9a-f]{64} pool/' "$work/$architecture.lock")
  ((count == $(wc -l <"$work/$architecture.lock"))) || fail "a package of locked-packages.txt was not found for $architecture" \
    "correct the list: $(grep -vE '^[0-9a-f]{64}' "$work/$architecture.lock" | head -3)"
  cp "$work/$architecture.lock" "$GUEST/lock/$architecture.lock"
done
