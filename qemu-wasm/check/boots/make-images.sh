#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build-boots.sh): makes the images in /qemuweb/work/out from our sources and from the
# packages that are unpacked in /qemuweb/work/debs.
#   make-images.sh some|all
set -euo pipefail
src=/qemuweb/check/boots/src
debs=/qemuweb/work/debs
out=/qemuweb/work/out
objects=/qemuweb/work/objects
mkdir -p "$objects"
cd "$out"

# flat NAME FILE: a program that is loaded to where boot sectors are, without any header
flat() {
  as --32 -I "$src" "$src/$1.S" -o "$objects/$1.o"
  ld -m elf_i386 -Ttext=0x7c00 --oformat binary "$objects/$1.o" -o "$2"
}

# padded FILE SIZE TO: the file with zeros up to a size, as truncate(1) takes sizes
padded() {
  cp "$1" "$3"
  truncate -s "$2" "$3"
}

multiboot_kernel() {
  as --32 "$src/multiboot.S" -o "$objects/multiboot.o"
  ld -m elf_i386 -N -Ttext-segment=0x100000 --no-warn-rwx-segments --build-id=none "$objects/multiboot.o" -o multiboot.elf
  printf 'first module' >module-1.txt
  printf 'second module' >module-2.txt
}

# Programs for the built-in guest, on a file system of each kind that it knows.
programs() {
  local files=$objects/files flags=(-std=gnu11 -O2 -g0 -Wall -Wextra -Werror -static -s)
  mkdir -p "$files"
  i686-linux-gnu-gcc "${flags[@]}" '-DLEVEL="I686"' "$src/instructions.c" -o "$files/i686"
  gcc "${flags[@]}" -march=x86-64-v2 '-DLEVEL="X86-64-V2"' "$src/instructions.c" -o "$files/x86-64-v2"
  gcc "${flags[@]}" -march=x86-64-v3 '-DLEVEL="X86-64-V3"' "$src/instructions.c" -o "$files/x86-64-v3"
  gcc "${flags[@]}" /qemuweb/check/precision.c -o "$files/precision" -lm
  gcc -m32 -nostdlib -static -s "$src/syscall32.S" -o "$files/syscall32"
  echo 'the file on the disk' >"$files/file.txt"
  truncate -s 16M ext4.img
  mke2fs -q -t ext4 -d "$files" ext4.img
  # Of a floppy's size, but a disk's place.
  mkfs.fat -C fat-1440.img 1440 >/dev/null
  mcopy -i fat-1440.img "$files/file.txt" ::
}

# gpt FILE MIB TYPE: a disk with one partition from its first MiB on
gpt() {
  truncate -s "$2M" "$1"
  printf 'label: gpt\nstart=2048, type=%s\n' "$3" | sfdisk --quiet "$1"
}

# put_partition DISK FILE: the content of the partition that begins at the first MiB
put_partition() {
  dd if="$2" of="$1" bs=1M seek=1 conv=notrunc status=none
}

grub_cd() {
  local tree=$objects/grub
  mkdir -p "$tree/boot/grub"
  cp multiboot.elf module-1.txt "$tree/boot/"
  cp "$src/grub.cfg" "$tree/boot/grub/"
  grub-mkrescue --quiet -d /usr/lib/grub/i386-pc -o grub.iso "$tree"
}

some() {
  flat sector sector.img
  flat keyboard-controller keyboard-controller.img
  flat virtual-8086 virtual-8086.img
  padded sector.img 1440K floppy-1440.img
  multiboot_kernel
  programs
  gpt gpt-without-loader.img 8 linux
  cp "$debs/usr/lib/ipxe/ipxe.lkrn" .
  cp "$src/script.ipxe" .
  grub_cd
}

# The same disk in every format that people keep disks in.
disk_formats() {
  local disk=$objects/disk.img
  padded sector.img 4M "$disk"
  convert() { qemu-img convert -q -f raw "$@"; }
  convert -O qcow2 -o compat=0.10 "$disk" v2.qcow2
  convert -O qcow2 -c -o compression_type=zstd "$disk" zstd.qcow2
  convert -O qcow2 -o extended_l2=on "$disk" extended-l2.qcow2
  convert -O qcow2 -o data_file=data-file.raw "$disk" data-file.qcow2
  convert -O vmdk "$disk" sparse.vmdk
  convert -O vmdk -o subformat=streamOptimized "$disk" stream.vmdk
  convert -O vdi "$disk" disk.vdi
  convert -O vhdx "$disk" disk.vhdx
  convert -O vpc "$disk" dynamic.vhd
  convert -O vpc -o subformat=fixed,force_size=on "$disk" fixed.vhd
  convert -O qed "$disk" disk.qed
  convert -O parallels "$disk" disk.hdd
  convert -O qcow "$disk" version-1.qcow
  # The snapshot boots, the disk as it is now does not.
  convert -O qcow2 "$disk" snapshots.qcow2
  qemu-img snapshot -c bootable snapshots.qcow2
  qemu-io -f qcow2 -c 'write -q -z 0 64k' snapshots.qcow2
  qemu-img snapshot -c empty snapshots.qcow2
}

floppies() {
  local kib
  for kib in 160 180 320 360 410 720 800 820 1040 1120 1200 1476 1600 1680 1722 1743 1840 1920 2880 3200 3840; do
    padded sector.img "${kib}K" "floppy-$kib.img"
  done
  padded sector.img 64K sector-64k.img
  padded keyboard-controller.img 1440K keyboard-controller-floppy.img
  padded virtual-8086.img 1440K virtual-8086-floppy.img
  padded virtual-8086.img 2M virtual-8086-disk.img
}

file_systems() {
  local files=$objects/files disk=$objects/xfs.img
  # XFS takes no fewer than 300 MiB; most of it is nothing.
  truncate -s 300M "$disk"
  printf '/\n0 0\nd--755 0 0\nfile.txt ---644 0 0 %s\n$\n$\n' "$files/file.txt" >"$objects/xfs.proto"
  mkfs.xfs -q -p "$objects/xfs.proto" "$disk"
  qemu-img convert -O qcow2 "$disk" xfs.qcow2
  truncate -s 120M btrfs.img
  mkfs.btrfs -q --rootdir "$files" btrfs.img
}

# Debian's kernel with a process 1 that mounts the first disk and shows its file.
cloud_kernel() {
  local version tree=$objects/cloud module
  version=$(basename "$debs"/boot/vmlinuz-*)
  version=${version#vmlinuz-}
  cp "$debs/boot/vmlinuz-$version" cloud-vmlinuz
  mkdir -p "$tree"/{bin,dev,disk,modules,proc,sys}
  [[ -e $debs/lib/modules ]] || ln -s usr/lib "$debs/lib"
  depmod -b "$debs" "$version"
  while read -r _ module; do
    [[ $module != *.ko* ]] || { cp "$module" "$tree/modules/" && basename "${module%.xz}" >>"$objects/modules"; }
  done < <(modprobe -d "$debs" -S "$version" --show-depends --all virtio_pci virtio_blk xfs btrfs)
  awk '!seen[$0]++' "$objects/modules" >"$tree/modules/list"
  ! ls "$tree"/modules/*.xz >/dev/null 2>&1 || xz -d "$tree"/modules/*.xz
  cp "$debs/usr/bin/busybox" "$tree/bin/"
  install -m 755 "$src/show-disk.sh" "$tree/init"
  (cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -9n >cloud-initrd.gz
}

# The same initial RAM disk in every form that Linux may unpack.
initial_ram_disks() {
  local tree=$objects/initrd plain=initrd.cpio
  mkdir -p "$tree" "$objects/early/early"
  gcc -std=gnu11 -Os -static -s /qemuweb/check/userspace.c -o "$tree/init"
  (cd "$tree" && echo init | cpio --quiet -o -H newc -R 0:0 --reproducible) >$plain
  gzip -9n <$plain >initrd.gz
  bzip2 <$plain >initrd.bz2
  xz --check=crc32 <$plain >initrd.xz
  xz --format=lzma <$plain >initrd.lzma
  zstd -q -19 <$plain >initrd.zst
  lz4 -q -l -9 <$plain >initrd.lz4
  # As with microcode: an archive that is not packed before one that is.
  echo early >"$objects/early/early/file"
  { (cd "$objects/early" && find early | cpio --quiet -o -H newc -R 0:0 --reproducible) && cat initrd.gz; } >initrd-concatenated
}

# syslinux_disk BOOT-SECTOR DISK: with the partition table that sfdisk makes of the standard input
syslinux_disk() {
  local part=$objects/$2.part
  truncate -s 16M "$2"
  sfdisk --quiet "$2"
  dd if="$debs/usr/lib/syslinux/mbr/$1" of="$2" conv=notrunc status=none
  mkfs.fat -F 16 -C "$part" 14336 >/dev/null
  mcopy -i "$part" "$src/syslinux.cfg" ::
  syslinux --install "$part"
  put_partition "$2" "$part"
}

boot_loaders() {
  local tree=$objects/isolinux
  cp "$debs/usr/lib/grub-rescue/grub-rescue-cdrom.iso" "$debs/usr/lib/grub-rescue/grub-rescue-floppy.img" .
  cp "$debs/usr/lib/ipxe/ipxe.iso" "$debs/usr/lib/syslinux/memdisk" .
  # A floppy, and disks with a partition table of each kind.
  mkfs.fat -C syslinux-floppy.img 1440 >/dev/null
  mcopy -i syslinux-floppy.img "$src/syslinux.cfg" ::
  syslinux --install syslinux-floppy.img
  printf 'label: dos\nstart=2048, type=6, bootable\n' | syslinux_disk mbr.bin syslinux-disk.img
  printf 'label: gpt\nstart=2048, type=linux, attrs=LegacyBIOSBootable\n' | syslinux_disk gptmbr.bin syslinux-gpt.img
  # A CD that starts the multiboot kernel.
  mkdir -p "$tree"
  cp /usr/lib/ISOLINUX/isolinux.bin "$debs"/usr/lib/syslinux/modules/bios/{ldlinux,libcom32,mboot}.c32 multiboot.elf module-1.txt "$tree/"
  cp "$src/isolinux.cfg" "$tree/"
  xorriso -as mkisofs -quiet -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table -o isolinux.iso "$tree"
}

kernels() {
  cp "$debs/boot/memtest86+x64.bin" .
  cp "$debs"/boot/xen-*-amd64.gz xen.gz
  gzip -dc xen.gz >xen
  local architecture
  for architecture in amd64 arm64; do
    cp "$debs/usr/lib/debian-installer/images/13/$architecture/text/debian-installer/$architecture/linux" "installer-$architecture-linux"
    cp "$debs/usr/lib/debian-installer/images/13/$architecture/text/debian-installer/$architecture/initrd.gz" "installer-$architecture-initrd.gz"
  done
}

arm64_kernels() {
  local prefix=aarch64-linux-gnu
  $prefix-as "$src/arm64.S" -o "$objects/arm64.o"
  $prefix-ld -Ttext=0 "$objects/arm64.o" -o "$objects/arm64.elf"
  $prefix-objcopy -O binary -j .text "$objects/arm64.elf" arm64-image
  gzip -9n <arm64-image >arm64-image.gz
  zstd -q -19 <arm64-image >"$objects/arm64-image.zst"
  local kind file
  for kind in gzip zstd22; do
    file=$out/arm64-image.gz
    [[ $kind == gzip ]] || file=$objects/arm64-image.zst
    $prefix-as --defsym unused=0 <(sed -e "s|PAYLOAD|\"$file\"|" -e "s|COMPRESSION|\"$kind\"|" "$src/zboot.S") -o "$objects/zboot.o"
    $prefix-ld -Ttext=0 "$objects/zboot.o" -o "$objects/zboot.elf"
    $prefix-objcopy -O binary -j .text "$objects/zboot.elf" "arm64-zboot-$kind"
  done
}

# Disks that only UEFI can start: no code in the first sector, a boot loader in the EFI system partition.
uefi_disks() {
  grub-mkimage -O x86_64-efi -p / -c "$src/grub-uefi.cfg" -o "$objects/bootx64.efi" echo normal serial terminal
  uefi_disk "$objects/bootx64.efi" BOOTX64.EFI uefi-x86_64.img
  uefi_disk "$debs/usr/lib/ipxe/ipxe-arm64.efi" BOOTAA64.EFI uefi-aarch64.img
}

uefi_disk() { # PROGRAM NAME DISK
  local part=$objects/$2.img
  mkfs.fat -F 32 -C "$part" 37888 >/dev/null
  mmd -i "$part" ::/EFI ::/EFI/BOOT
  mcopy -i "$part" "$1" "::/EFI/BOOT/$2"
  gpt "$3" 40 uefi
  put_partition "$3" "$part"
}

some
if [[ $1 == all ]]; then
  floppies
  disk_formats
  file_systems
  cloud_kernel
  initial_ram_disks
  boot_loaders
  kernels
  arm64_kernels
  uefi_disks
fi
