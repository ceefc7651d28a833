#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Makes Debian disk images for tests and demonstrations and prints the directory that holds them as the last line:
#   debian-x86_64.qcow2 debian-aarch64.qcow2
#   build-disk.sh [--print-output] [x86_64|aarch64]...
# An ext4 file system without a partition table, with systemd and a root shell on the serial console. It has no kernel:
# boot it with ours and `root=/dev/vda rw`. Not part of the package that is shipped, hence not pinned to versions; the
# versions that an image has are in debian-*.packages.
set -euo pipefail
. "$(dirname "$0")/../scripts/lib.sh"
GUEST=$QEMU_WASM_DIR/guest
SIZE=2G

programs=$("$GUEST/build-programs.sh" --print-output | tail -1)
output=$CACHE/guest-disk/$(hash_of "=$SUITE" "=${programs##*/}" "$GUEST"/disk/* "$GUEST/build-disk.sh")
if [[ ${1:-} == --print-output ]]; then
  printf '%s\n' "$output"
  exit
fi
(($#)) || set -- x86_64 aarch64

PATH=$("$QEMU_WASM_DIR/native.sh" | tail -1):$PATH
need_tools mmdebstrap:mmdebstrap mke2fs:e2fsprogs qemu-img:qemu-utils
check_namespaces
need_space "$CACHE/guest-disk" 4000
"$GUEST/build-programs.sh" "$@" >/dev/null
lock "$output"
mkdir -p "$output"

for architecture; do
  image=$output/debian-$architecture.qcow2
  [[ ! -e $image ]] || continue
  debian=$([[ $architecture == x86_64 ]] && echo amd64 || echo arm64)
  console=$([[ $architecture == x86_64 ]] && echo ttyS0 || echo ttyAMA0)
  emulator=
  if [[ $architecture != "$(uname -m)" ]]; then
    need_tools "qemu-$architecture-static:qemu-user-static"
    emulator=$(command -v "qemu-$architecture-static")
  fi
  say "Debian disk image for $architecture (log: $image.log)"
  in_namespace bash -euc '
    guest=$1 image=$2 debian=$3 console=$4 program=$5 emulator=$6 mirror=$7 suite=$8 size=$9
    mount --make-rprivate /
    mount -t proc proc /proc
    root=$image.root
    rm -rf "$root" "$image.raw"
    # Programs of another processor run through user mode emulation, which the kernel is told to start while we work.
    if [[ -n $emulator && ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]]; then
      mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
      if [[ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]]; then
        magic="\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00"
        mask="\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff"
        trap "echo -1 >/proc/sys/fs/binfmt_misc/qemu-aarch64" EXIT
        printf "%s" ":qemu-aarch64:M::$magic:$mask:$emulator:OCF" >/proc/sys/fs/binfmt_misc/register
      fi
    fi
    mmdebstrap --mode=root --variant=minbase --architectures="$debian" \
      --include="$(grep -E "^[a-z]" "$guest/disk/packages.txt" | paste -sd,)" \
      --aptopt="APT::Install-Recommends \"false\"" --dpkgopt="path-exclude=/usr/share/man/*" \
      --dpkgopt="path-exclude=/usr/share/locale/*" "$suite" "$root" "deb $mirror $suite main"
    install -m 755 "$program" "$root/usr/bin/qemuweb-guest"
    for name in qemuweb-agent page-capture disk-ledger disk-bench; do ln -s qemuweb-guest "$root/usr/bin/$name"; done
    install -m 644 "$guest/disk/qemuweb-agent.service" "$root/etc/systemd/system/"
    install -D -m 644 "$guest/disk/autologin.conf" "$root/etc/systemd/system/serial-getty@.service.d/autologin.conf"
    install -m 644 "$guest/disk/ethernet.network" "$root/etc/systemd/network/"
    ln -s ../qemuweb-agent.service "$root/etc/systemd/system/multi-user.target.wants/qemuweb-agent.service"
    for unit in systemd-networkd systemd-resolved; do
      ln -sf "/usr/lib/systemd/system/$unit.service" "$root/etc/systemd/system/multi-user.target.wants/$unit.service"
    done
    echo qemuweb >"$root/etc/hostname"
    printf "127.0.0.1 localhost qemuweb\n::1 localhost\n" >"$root/etc/hosts"
    echo "/dev/vda / ext4 defaults,noatime 0 1" >"$root/etc/fstab"
    printf "Welcome to QemuWeb: Debian \\\\r on \\\\m\n" >"$root/etc/issue"
    dpkg-query --admindir="$root/var/lib/dpkg" -W >"${image%.qcow2}.packages"
    mke2fs -q -t ext4 -L qemuweb -O ^has_journal -d "$root" "$image.raw" "$size"
    qemu-img convert -c -O qcow2 "$image.raw" "$image.new"
    rm -rf "$root" "$image.raw"
  ' disk "$GUEST" "$image" "$debian" "$console" "$programs/$architecture/qemuweb-guest" "$emulator" "$(debian_mirror)" "$SUITE" "$SIZE" >"$image.log" 2>&1 || {
    tail -5 "$image.log" >&2
    fail "the disk image for $architecture could not be made (log: $image.log)" \
      "see the log; images of another processor need binfmt_misc in the kernel and, without root, Linux 6.7 or later"
  }
  mv "$image.new" "$image"
done
[[ ! -e $output/debian-x86_64.qcow2 || ! -e $output/debian-aarch64.qcow2 ]] || touch "$output/.complete"
printf '%s\n' "$output"
