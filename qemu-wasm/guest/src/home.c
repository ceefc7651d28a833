/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The disk that lasts: /root lies on it if the machine has one, a virtio disk whose serial number is "home".
 *
 * It has a file system already (make-home.sh), and is never made anew: what cannot be mounted is left as it is, and /root is then
 * the one in memory.
 */
#include "init.h"
#include <asm/statfs.h>
#include <linux/ext4.h>

static char disk[16]; /* "vda"; empty if there is none */
static bool is_mounted;

static void found_disk(const char *name)
{
    char path[64], serial[32];
    join(path, sizeof(path), "/sys/block/", name, "/serial");
    if (!*disk && read_file(path, serial, sizeof(serial)) > 0 && strcmp(serial, "home") == 0) {
        strlcpy(disk, name, sizeof(disk));
    }
}

void home_mount(void)
{
    char device[32], line[256];
    each_entry("/sys/block", found_disk);
    if (!*disk) {
        return;
    }
    join(device, sizeof(device), "/dev/", disk, "");
    /*
     * What files free, the disk frees; the bitmaps of a disk that is mostly empty are not worth a thread that reads them ahead.
     * All else is ext4's default: ordered data, barriers, a commit each 5 s.
     */
    is_mounted = mount(device, "/root", "ext4", MS_NOATIME, "discard,no_prefetch_block_bitmaps") == 0;
    if (!is_mounted) {
        join(line, sizeof(line), "\r\nThe disk for /root, ", device, ", cannot be mounted (error ");
        strlcat(line, itoa(errno), sizeof(line));
        strlcat(line, ") and stays as it is: what is written to /root now is lost at power off.\r\n", sizeof(line));
        consoles_write(line);
    }
    home_grow();
}

void home_grow(void)
{
    char path[64], sectors[32];
    struct statfs space;
    join(path, sizeof(path), "/sys/block/", disk, "/size");
    if (!is_mounted || read_file(path, sectors, sizeof(sectors)) <= 0 || my_syscall2(__NR_statfs, "/root", &space) < 0) {
        return;
    }
    __u64 blocks = (__u64)atol(sectors) / (space.f_bsize / 512);
    /* What ext4 keeps for itself is 1.7 %, and asking it when it has nothing to do costs a flush. */
    int fd = blocks - space.f_blocks > blocks / 32 ? open("/root", O_RDONLY | O_DIRECTORY) : -1;
    if (fd >= 0) {
        ioctl(fd, EXT4_IOC_RESIZE_FS, &blocks);
        close(fd);
    }
}
