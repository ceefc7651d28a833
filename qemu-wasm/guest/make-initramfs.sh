#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): packs an initramfs out of Debian packages, our init and our files.
#   make-initramfs.sh ARCHITECTURE PACKING-DIRECTORY
# Reads debs-ARCHITECTURE/*.deb there; writes ARCHITECTURE-initramfs.cpio and ARCHITECTURE-packages: what contributed a file.
set -euo pipefail
architecture=$1 packing=$2
debs=$packing/debs-$architecture
init=$packing/$architecture-init
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Where a path lies in the extracted packages; the packages still ship some files by their names before /usr was merged.
declare -A from
extract() {
  for deb in "$debs"/*.deb; do
    local name
    name=$(basename "$deb" .deb)
    dpkg-deb --extract "$deb" "$work/$name"
    while IFS= read -r path; do
      local at=${path#"$work/$name"}
      [[ $at =~ ^/(bin|sbin|lib|lib64)/ ]] && at=/usr$at
      from[$at]=$path
    done < <(find "$work/$name" ! -type d -not -path '*/share/doc/*' -not -path '*/share/man/*' -not -path '*/share/locale/*')
  done
}

declare -A taken packages
entries=()

# take PATH: adds a file to the archive, its link's target and the libraries that it needs along with it.
take() {
  local path=$1 source mode source_package
  [[ -z ${taken[$path]:-} ]] || return 0
  source=${from[$path]:-}
  [[ -n $source ]] || {
    echo "no package of the lock file has $path" >&2
    exit 1
  }
  taken[$path]=1
  source_package=${source#"$work/"}
  packages[${source_package%%/*}]=1
  if [[ -L $source ]]; then
    local target
    target=$(readlink "$source")
    entries+=("slink $path $target 0777 0 0")
    [[ $target == /* ]] || target=$(dirname "$path")/$target
    target=$(realpath -ms "$target")
    [[ $target =~ ^/(bin|sbin|lib|lib64)/ ]] && target=/usr$target
    take "$target"
    return
  fi
  mode=$(stat -c %a "$source")
  entries+=("file $path $source 0${mode: -3} 0 0")
  needed "$source"
}

# needed FILE: takes the libraries that a program or library needs.
needed() {
  local library interpreter
  interpreter=$(readelf -lW "$1" 2>/dev/null | sed -n 's/.*program interpreter: \(.*\)\]/\1/p' || true)
  [[ -z $interpreter ]] || take "/usr$interpreter"
  while IFS= read -r library; do
    take "/usr/lib/$triplet/$library"
  done < <(readelf -dW "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' || true)
}

case $architecture in
  x86_64) triplet=x86_64-linux-gnu cc=gcc ;;
  aarch64) triplet=aarch64-linux-gnu cc=aarch64-linux-gnu-gcc ;;
esac

# The first process: a static program of some KiB, over the kernel's nolibc headers.
"$cc" -std=gnu11 -Os -Wall -Wextra -Werror -nostdlib -static -no-pie -fno-pie -fno-stack-protector \
  -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -Wl,--gc-sections -Wl,--build-id=none \
  -Wl,-z,noseparate-code -Wl,-z,norelro -s -isystem /qemuweb/work/source/tools/include/nolibc -include nolibc.h \
  "$here"/src/*.c -lgcc -o "$init"

extract
while read -r package paths; do
  for path in $paths; do take "$path"; done
done < <(grep -v '^#' "$here/initramfs/programs.txt")

# busybox's applets: links for those that no package has brought. The other architecture's busybox has the same ones, but
# only ours can be asked. Left out: package managers, kernel modules, boot and device daemons, which have no use here.
left_out='acpid busybox dpkg dpkg-deb init insmod linuxrc lsmod depmod mdev mim modinfo modprobe partprobe resume rmmod rpm
 rpm2cpio run-init start-stop-daemon svc svok ubirename uevent watchdog '
dpkg-deb --extract "$packing/debs-x86_64/busybox-static.deb" "$work/native"
while read -r path; do
  name=${path##*/}
  [[ " $left_out " == *" $name "* || -n ${taken[/usr/bin/$name]:-}${taken[/usr/sbin/$name]:-} ]] && continue
  entries+=("slink /usr/${path#usr/} /usr/bin/busybox 0777 0 0")
done < <("$work/native/usr/bin/busybox" --list-full)

while IFS= read -r file; do
  mode=0644
  [[ ! -x $file ]] || mode=0755
  entries+=("file ${file#"$here/initramfs"} $file $mode 0 0")
done < <(find "$here/initramfs/etc" -type f | sort)
# Our own programs: one file, by several names.
entries+=("file /usr/bin/qemuweb-guest /qemuweb/programs/$architecture/qemuweb-guest 0755 0 0")
for name in qemuweb-agent page-capture disk-ledger disk-bench; do entries+=("slink /usr/bin/$name qemuweb-guest 0777 0 0"); done
# The programs that build-tools.sh made, and the certificates of the authorities that curl trusts.
for tool in curl tcpdump; do
  entries+=("file /usr/bin/$tool /qemuweb/tools/$architecture/$tool 0755 0 0")
  needed "/qemuweb/tools/$architecture/$tool"
done
cat "$work"/ca-certificates/usr/share/ca-certificates/mozilla/*.crt >"$work/authorities"
entries+=("file /etc/ssl/certs/ca-certificates.crt $work/authorities 0644 0 0")
packages[ca-certificates]=1

entries+=("file /init $init 0755 0 0")

# Directories first (parents before children), then the rest.
{
  for directory in bin sbin lib lib64; do echo "slink /$directory usr/$directory 0777 0 0"; done
  echo 'nod /dev/console 0600 0 0 c 5 1'
  printf '%s\n' "${entries[@]}"
} >"$work/files"
{
  printf '%s\n' /dev /proc /sys /run /tmp /root /mnt /var /usr/lib64 /usr/sbin
  while read -r _ path _; do
    while path=${path%/*} && [[ -n $path ]]; do echo "$path"; done
  done <"$work/files"
} | sort -u | awk '{print "dir", $1, ($1 == "/tmp" ? "1777" : $1 == "/root" ? "0700" : "0755"), 0, 0}' >"$work/list"
echo "slink /var/run /run 0777 0 0" >>"$work/list"
cat "$work/files" >>"$work/list"
/qemuweb/linux/gen_init_cpio -t 0 "$work/list" >"$packing/$architecture-initramfs.cpio"
# QEMU's microvm lays the initramfs, from a page's start, at the end of memory, where the firmware has put the ACPI tables
# before: leave most of the last page free (zeros after the archive's end are skipped).
size=$(stat -c %s "$packing/$architecture-initramfs.cpio")
truncate -s $(((size + 4095) / 4096 * 4096 + 512)) "$packing/$architecture-initramfs.cpio"
printf '%s\n' "${!packages[@]}" | sort >"$packing/$architecture-packages"
