#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Writes lock/ARCHITECTURE.lock anew from what Debian has today: the packages of locked-packages.txt, one a line,
#   SHA-256 POOL-PATH PACKAGE VERSION SOURCE-PACKAGE SOURCE-VERSION
# and lock/sources.lock: the upstream tarballs of the source packages of locked-sources.txt,
#   SHA-256 POOL-PATH SOURCE-PACKAGE SOURCE-VERSION
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
    "Dir::Cache \"/tmp/cache\"" "APT::Sandbox::User \"root\"" "Acquire::Check-Valid-Until \"false\"" \
    "Dir::Etc::sourcelist \"/tmp/sources.list\"" >/tmp/apt.conf
  { cat /etc/apt/sources.list; sed -n "s/^deb /deb-src /p" /etc/apt/sources.list
    sed -n "s/^deb \([^ ]*\) [^ ]*/deb-src \1 sid/p" /etc/apt/sources.list; } >/tmp/sources.list
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
    done < <(grep -E "^[a-z]" /qemuweb/guest/locked-packages.txt) > "/qemuweb/lock/$architecture.lock"
  done
  while read -r package suite; do
    uri="apt-get source --print-uris --only-source $package/$suite"
    version=$($uri 2>/dev/null | sed -n "s/^Selected version .\([^ ]*\). .*/\1/p")
    $uri 2>/dev/null | awk -v p="$package" -v v="$version" "
      \$2 ~ /[.]orig[.]tar[.][a-z0-9]+\$/ {sub(/.*\/pool\//, \"pool/\", \$1); sub(/.\$/, \"\", \$1); sub(/^SHA256:/, \"\", \$4); print \$4, \$1, p, v}"
  done < <(grep -E "^[a-z]" /qemuweb/guest/locked-sources.txt) > /qemuweb/lock/sources.lock'
for list in amd64 arm64 sources; do
  count=$(grep -cE '^[0-9a-f]{64} pool/' "$work/$list.lock")
  ((count == $(wc -l <"$work/$list.lock"))) || fail "a package of locked-packages.txt or locked-sources.txt was not found ($list)" \
    "correct the list: $(grep -vE '^[0-9a-f]{64} pool/' "$work/$list.lock" | head -3)"
  cp "$work/$list.lock" "$GUEST/lock/$list.lock"
done
