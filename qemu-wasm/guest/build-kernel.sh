#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): builds one architecture's kernel, in /qemuweb/work/ARCHITECTURE.
#   build-kernel.sh x86_64|aarch64
# -> /qemuweb/work/ARCHITECTURE/{vmlinux,Image}.stripped, /qemuweb/linux/gen_init_cpio
set -euo pipefail
architecture=$1
guest=/qemuweb/guest linux=/qemuweb/linux
source=/qemuweb/work/source build=/qemuweb/work/$architecture

if [[ ! -e $linux/.complete ]]; then
  find "$source" -mindepth 1 -delete
  dpkg-deb --fsys-tarfile "$linux/linux-source.deb" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
    tar -xJ --strip-components=1 -C "$source"
  for patch in "$guest"/kernel/patches/*.patch; do
    patch -d "$source" -p1 <"$patch"
  done
  gcc -O2 -o "$linux/gen_init_cpio" "$source/usr/gen_init_cpio.c"
  touch "$linux/.complete"
fi

case $architecture in
  x86_64) make=(ARCH=x86_64) image=vmlinux ;;
  aarch64) make=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-) image=Image ;;
esac
# The same source and configuration give the same bytes.
export KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 UTC' KBUILD_BUILD_USER=qemuweb KBUILD_BUILD_HOST=qemuweb KBUILD_BUILD_VERSION=1

cat "$guest/kernel/common.config" "$guest/kernel/$architecture.config" >"$build/wanted"
make -s -C "$source" "${make[@]}" O="$build" KCONFIG_ALLCONFIG="$build/wanted" allnoconfig
# An option that Kconfig did not take as we wrote it is an error in our configuration.
bad=$(grep '^CONFIG_' "$build/wanted" | grep -vxFf "$build/.config" || true)
for off in $(sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1/p' "$build/wanted"); do
  bad+=$(grep "^$off=" "$build/.config" || true)
done
[[ -z $bad ]] || {
  printf 'the configuration does not hold:\n%s\n' "$bad"
  exit 1
}
make -s -C "$source" "${make[@]}" O="$build" "$image"

case $image in
  vmlinux) strip -o "$build/vmlinux.stripped" "$build/vmlinux" ;;
  Image) cp "$build/arch/arm64/boot/Image" "$build/Image.stripped" ;;
esac
