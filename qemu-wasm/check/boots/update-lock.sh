#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Writes debian.lock anew from what Debian has today: the packages that it names, one a line,
#   SHA-256 POOL-PATH PACKAGE VERSION SOURCE-PACKAGE SOURCE-VERSION
# Run it when a point release or a security update has replaced a locked version, look at the difference, run
# `cargo xtask engine-test --only boots`, commit it. Names that hold a version (Xen's, the installer's) are changed by hand.
set -euo pipefail
. "$(dirname "$0")/../../scripts/lib.sh"
lock=$QEMU_WASM_DIR/check/boots/debian.lock
root=$("$QEMU_WASM_DIR/toolchain.sh" boots | tail -1)
new=$(cut -d' ' -f3 "$lock" | in_root "$root" -- bash -euo pipefail -c '
  mkdir -p /tmp/lists/partial /tmp/archives/partial
  options=(-o Dir::State::lists=/tmp/lists -o Dir::Cache=/tmp -o APT::Sandbox::User=root)
  apt-get -qq "${options[@]}" update </dev/null
  while read -r package; do
    apt-cache "${options[@]}" --no-all-versions show "$package" | awk "
      /^Package:/ {p=\$2} /^Version:/ {v=\$2} /^Source:/ {s=\$2; sv=\$3}
      /^Filename:/ {f=\$2} /^SHA256:/ {h=\$2}
      END {gsub(/[()]/, \"\", sv); print h, f, p, v, s == \"\" ? p : s, sv == \"\" ? v : sv}"
  done')
(($(grep -cE '^[0-9a-f]{64} pool/' <<<"$new") == $(wc -l <"$lock"))) ||
  fail "a package of debian.lock was not found" "correct its name: $(grep -vE '^[0-9a-f]{64} pool/' <<<"$new" | head -3)"
printf '%s\n' "$new" >"$lock"
