#!/bin/bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs in the toolchain root (called by build.sh): makes the disk that the guests' /root lies on, empty, for either architecture.
#   make-home.sh PACKING-DIRECTORY
# Reads debs-home/*.deb there (the locked e2fsprogs); writes home.sparse: the pages of an 8 GiB image that are not zero.
#
# What people have stored in their disks is the difference to this image. Another image needs another name, and the package both:
# the hash below tells when mke2fs makes something else of the same words.
set -euo pipefail
packing=$1
here=$(cd "$(dirname "$0")" && pwd)
SHA256=81893690eb672be78463c3be12f745d6fa7021354a0381e2109ed166798287a2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for deb in "$packing"/debs-home/*.deb; do dpkg-deb --extract "$deb" "$work/e2fsprogs"; done
export LD_LIBRARY_PATH=$work/e2fsprogs/usr/lib/x86_64-linux-gnu
# No configuration but this one, no clock, no random numbers.
cat >"$work/configuration" <<END
[fs_types]
  home = {
    blocksize = 4096
    inode_size = 256
    inode_ratio = 16384
  }
END
export MKE2FS_CONFIG=$work/configuration E2FSPROGS_FAKE_TIME=1

# ext4, without what a disk of this size has no use for (64bit) or what is younger than the kernels that people may mount it with.
features=none,has_journal,extent,flex_bg,metadata_csum,sparse_super,filetype,dir_index,dir_nlink
features+=,extra_isize,ext_attr,huge_file,large_file,resize_inode
# All of a new image's pages are zero, so inode tables need not be written, neither here nor by a guest later. Directories belong to
# root alone, as /root does. It can grow to 256 GiB while it is mounted.
extended=assume_storage_prezeroed=1,nodiscard,root_owner=0:0,root_perms=0700,resize=$((256 << 18))
extended+=,hash_seed=5ab3e7d2-7c0f-4c62-9d0e-6d3a4b1f8e02
# A journal of 8 MiB: each of its blocks is stored once it was used, and transactions of a guest as small as ours have room. No
# blocks are reserved for root, who is the only one there. When something is wrong, nothing is written any more.
"$work/e2fsprogs/usr/sbin/mke2fs" -q -F -t home -L home -U 2f1d9c5e-93b4-4b8a-8a37-0c1d5e6f7a01 -m 0 -e remount-ro -J size=8 \
  -O "$features" -E "$extended" "$work/home" 8G
python3 "$here/write-sparse.py" "$work/home" "$packing/home.sparse"
found=$(sha256sum <"$packing/home.sparse" | cut -d' ' -f1)
[[ $found == "$SHA256" ]] || {
  echo "the home disk's image has SHA-256 $found, expected $SHA256: disks that people have lie over the latter" >&2
  exit 1
}
