#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Builds the guests' kernels and initramfs and prints the directory that holds them as the last line:
#   x86_64/{vmlinux.gz,initramfs.cpio.gz} aarch64/{Image.gz,initramfs.cpio.gz} shared/home.sparse.gz guest-build.json licences/
#   build.sh [--print-output | --plan] [x86_64] [aarch64]    both, if none is named
# Everything comes from the Debian packages that lock/*.lock pins by SHA-256. A build that was interrupted resumes. An architecture
# that is there has a stamp, .complete-ARCHITECTURE, and is not built again; another is added. --plan is as in ../build.sh.
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
GUEST=$QEMU_WASM_DIR/guest
BUDGET=$((12 * 1024 * 1024)) # bytes of compressed kernel and initramfs together, per architecture

inputs=("$GUEST"/src/*.[ch] "$GUEST"/make-{home,initramfs,licences}.sh "$GUEST"/write-{manifest,sparse}.py)
while IFS= read -r file; do inputs+=("$file"); done < <(find "$GUEST/initramfs" -type f | LC_ALL=C sort)
linux_lock=$(grep ' linux-source-' "$GUEST/lock/amd64.lock")
# The libraries that are linked into the tools.
linked_locks() { grep -hE ' (libmbedtls|zlib1g)-dev ' "$@"; } # LOCK-FILE...
linux_hash=$(hash_of "=$linux_lock" "$GUEST"/kernel/patches/*.patch "$GUEST/packages.txt" "$GUEST/build-kernel.sh")
kernel_hash() { hash_of "=$linux_hash" "$GUEST/kernel/common.config" "$GUEST/kernel/$1.config"; } # ARCHITECTURE
kernel_output() { echo "$CACHE/guest-work/kernel-$1-$(kernel_hash "$1")"/*.stripped; } # ARCHITECTURE
tools_hash=$(hash_of "=$(linked_locks "$GUEST"/lock/{amd64,arm64}.lock)" "$GUEST/lock/sources.lock" "$GUEST/packages.txt" "$GUEST/build-tools.sh")
programs=$("$GUEST/build-programs.sh" --print-output | tail -1)
output=$CACHE/guest/$(hash_of "=$(kernel_hash x86_64)" "=$(kernel_hash aarch64)" "=$tools_hash" "=${programs##*/}" "$GUEST"/lock/*.lock "${inputs[@]}" "$GUEST/build.sh")

# What is to be done. The figures are those of an idle machine with two cores.
plan() {
  local architecture
  root_ahead guest
  for architecture in "${WANTED[@]}"; do
    has "$output" "$architecture" && continue
    [[ -e $(kernel_output "$architecture") ]] ||
      step_ahead 30 600 "the kernel for $architecture"
    has "$programs" "$architecture" || step_ahead 10 100 "our programs for guests on $architecture"
    step_ahead 20 80 "the initial RAM disk for $architecture"
  done
}

action=
case ${1:-} in
  --print-output | --plan)
    action=$1
    shift
    ;;
esac
wanted_architectures "$@"
if [[ $action == --plan ]]; then
  has "$output" "${WANTED[@]}" || plan
  exit
fi
if [[ $action == --print-output ]] || has "$output" "${WANTED[@]}"; then
  printf '%s\n' "$output"
  exit
fi
lock "$output"
# Kernels take most of the space, and are seldom made.
missing=() space=1000
for architecture in "${WANTED[@]}"; do
  has "$output" "$architecture" && continue
  missing+=("$architecture")
  [[ -e $(kernel_output "$architecture") ]] || space=6000
done
if ((${#missing[@]} == 0)); then # made while we waited
  printf '%s\n' "$output"
  exit
fi
need_tools curl:curl gzip:gzip
need_space "$CACHE/guest" $space
"$GUEST/build-programs.sh" "${missing[@]}" >/dev/null
root=$("$QEMU_WASM_DIR/toolchain.sh" guest | tail -1)
# Each part has a work directory of its own, keyed by its own inputs: a change to one leaves the others as they are.
work=$CACHE/guest-work
linux=$work/linux-$linux_hash
tools=$work/tools-$tools_hash
packing=$output.work
rm -rf "$packing"
mkdir -p "$linux/source" "$tools/sources" "$packing/out/licences"

run() { # in the root, with our recipe, the work directories and the packing directory laid in
  in_root "$root" --bind "$GUEST:/qemuweb/guest" --bind "$linux:/qemuweb/linux" --bind "$linux/source:/qemuweb/work/source" \
    --bind "$tools:/qemuweb/tools" --bind "$packing:/qemuweb/packing" --bind "$programs:/qemuweb/programs" "$@"
}

# fetch_locked LINE -> path
fetch_locked() {
  local sha pool package rest
  read -r sha pool package rest <<<"$1"
  fetch "${pool##*/}" "$sha" "$pool"
}

[[ -e $linux/.complete ]] || cp "$(fetch_locked "$linux_lock")" "$linux/linux-source.deb"
for architecture in "${missing[@]}"; do
  kernel=$work/kernel-$architecture-$(kernel_hash $architecture)
  [[ ! -e $kernel/.complete ]] || continue
  mkdir -p "$kernel"
  say "kernel for $architecture (log: $kernel.log)"
  : >"$kernel.log"
  with_progress "kernel for $architecture" "$kernel.log" run --bind "$kernel:/qemuweb/work/$architecture" -- \
    bash /qemuweb/guest/build-kernel.sh $architecture || {
    tail -20 "$kernel.log" >&2
    fail "the kernel for $architecture did not build" "see $kernel.log; starting again resumes"
  }
  touch "$kernel/.complete"
done

# What tells of all architectures goes on telling of those that are there.
for file in guest-build.json licences/SOURCES.txt; do
  [[ ! -e $output/$file ]] || cp "$output/$file" "$packing/out/$file"
done
for architecture in "${missing[@]}"; do
  [[ ! -e $packing/out/licences/SOURCES.txt ]] || sed -i "/^$architecture: /d" "$packing/out/licences/SOURCES.txt"
done

while read -r sha pool name _; do
  file=$(fetch "${pool##*/}" "$sha" "$pool")
  cp "$file" "$tools/sources/$name.tar.${file##*.}"
done <"$GUEST/lock/sources.lock"

for architecture in "${missing[@]}"; do
  debian=$([[ $architecture == x86_64 ]] && echo amd64 || echo arm64)
  kernel=$([[ $architecture == x86_64 ]] && echo vmlinux || echo Image)
  say "curl and tcpdump for $architecture (log: $tools/$architecture.log)"
  mkdir -p "$tools/$architecture/debs"
  while IFS= read -r line; do
    cp "$(fetch_locked "$line")" "$tools/$architecture/debs/"
  done < <(linked_locks "$GUEST/lock/$debian.lock")
  run -- bash /qemuweb/guest/build-tools.sh "$architecture" /qemuweb/tools >"$tools/$architecture.log" 2>&1 || {
    tail -20 "$tools/$architecture.log" >&2
    fail "curl and tcpdump for $architecture did not build" "see $tools/$architecture.log"
  }
  say "initramfs for $architecture"
  mkdir -p "$packing"/debs-{x86_64,"$architecture"} "$packing/out/$architecture"
  # The busybox of this machine's processor lists the names by which it is called.
  cp "$(fetch_locked "$(grep ' busybox-static ' "$GUEST/lock/amd64.lock")")" "$packing/debs-x86_64/busybox-static.deb"
  while IFS= read -r line; do
    read -r _ _ package _ <<<"$line"
    [[ $package == linux-source-* ]] || cp "$(fetch_locked "$line")" "$packing/debs-$architecture/$package.deb"
  done <"$GUEST/lock/$debian.lock"
  run -- bash /qemuweb/guest/make-initramfs.sh "$architecture" /qemuweb/packing
  run -- bash /qemuweb/guest/make-licences.sh "$architecture" /qemuweb/packing
  gzip -9 -n <"$work/kernel-$architecture-$(kernel_hash $architecture)/$kernel.stripped" >"$packing/out/$architecture/$kernel.gz"
  gzip -9 -n <"$packing/$architecture-initramfs.cpio" >"$packing/out/$architecture/initramfs.cpio.gz"
  size=$(cat "$packing/out/$architecture"/*.gz | wc -c)
  ((size < BUDGET)) || fail "kernel and initramfs for $architecture have $size bytes compressed, the limit is $BUDGET" \
    "take something out of guest/initramfs/programs.txt or guest/kernel/*.config"
done
say "the home disk's image"
mkdir -p "$packing/debs-home" "$packing/out/shared"
for package in e2fsprogs libext2fs2t64 libcom-err2; do
  cp "$(fetch_locked "$(awk -v name=$package '$3 == name' "$GUEST/lock/amd64.lock")")" "$packing/debs-home/"
done
run -- bash /qemuweb/guest/make-home.sh /qemuweb/packing
gzip -9 -n <"$packing/home.sparse" >"$packing/out/shared/home.sparse.gz"
run -- python3 /qemuweb/guest/write-manifest.py /qemuweb/packing "${missing[@]}"
lay_over "$packing/out" "$output"
touch "${missing[@]/#/$output/.complete-}"
rm -rf "$packing"
printf '%s\n' "$output"
