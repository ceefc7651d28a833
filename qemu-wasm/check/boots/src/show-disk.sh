#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Process 1: loads what a disk takes, mounts it, shows its file, and gives a shell.
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
while read -r module; do
  insmod "/modules/$module"
done </modules/list
mount -t proc proc /proc
for type in ext4 xfs btrfs; do
  mount -t "$type" /dev/vda /disk 2>/dev/null && echo "MOUNTED-$type: $(cat /disk/file.txt)" && break
done
exec setsid cttyhack sh
