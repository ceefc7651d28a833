#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): builds one architecture's kernel and init in /qemuweb/work.
#   build-kernel.sh x86_64|aarch64
# -> /qemuweb/work/ARCHITECTURE/{vmlinux,Image}.stripped, .../config, .../init, /qemuweb/work/gen_init_cpio
set -euo pipefail
architecture=$1
guest=/qemuweb/guest work=/qemuweb/work
source=$work/source

if [[ ! -e $source/.complete ]]; then
  rm -rf "$source"
  mkdir "$source"
  dpkg-deb --fsys-tarfile "$work/linux-source.deb" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
    tar -xJ --strip-components=1 -C "$source"
  for patch in "$guest"/kernel/patches/*.patch; do
    patch -d "$source" -p1 <"$patch"
  done
  gcc -O2 -o "$work/gen_init_cpio" "$source/usr/gen_init_cpio.c"
  touch "$source/.complete"
fi

case $architecture in
  x86_64) make=(ARCH=x86_64) image=vmlinux target=vmlinux prefix= ;;
  aarch64) make=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-) image=Image target=Image prefix=aarch64-linux-gnu- ;;
esac
build=$work/$architecture
mkdir -p "$build"

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
make -s -C "$source" "${make[@]}" O="$build" "$target"

case $image in
  vmlinux) strip -o "$build/vmlinux.stripped" "$build/vmlinux" ;;
  Image) cp "$build/arch/arm64/boot/Image" "$build/Image.stripped" ;;
esac
cp "$build/.config" "$build/config"

# The first process: a static program of some KiB. UAPI headers come from the toolchain's C library package.
"${prefix}gcc" -std=gnu11 -Os -Wall -Wextra -Werror -nostdlib -static -no-pie -fno-pie -fno-stack-protector \
  -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -Wl,--gc-sections -Wl,--build-id=none \
  -Wl,-z,noseparate-code -Wl,-z,norelro -s -isystem "$source/tools/include/nolibc" -include nolibc.h \
  "$guest"/src/*.c -lgcc -o "$build/init"
