/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The disk that lasts: /root lies on it if the machine has one, a virtio disk whose serial number is "home".
 *
 * It has a file system already (make-home.sh), and is never made anew: what cannot be mounted is left as it is, and /root is then
 * the one in memory.
 */
#include "init.h"

static char device[32]; /* "/dev/vda"; empty if there is none */

static void found_disk(const char *name)
{
    char path[64], serial[32];
    join(path, sizeof(path), "/sys/block/", name, "/serial");
    if (!*device && read_file(path, serial, sizeof(serial)) > 0 && strcmp(serial, "home") == 0) {
        join(device, sizeof(device), "/dev/", name, "");
    }
}

void home_mount(void)
{
    char line[256];
    each_entry("/sys/block", found_disk);
    /*
     * What files free, the disk frees; the bitmaps of a disk that is mostly empty are not worth a thread that reads them ahead.
     * All else is ext4's default: ordered data, barriers, a commit each 5 s.
     */
    if (*device && mount(device, "/root", "ext4", MS_NOATIME, "discard,no_prefetch_block_bitmaps") != 0) {
        join(line, sizeof(line), "\r\nThe disk for /root, ", device, ", cannot be mounted (error ");
        strlcat(line, itoa(errno), sizeof(line));
        strlcat(line, ") and stays as it is: what is written to /root now is lost at power off.\r\n", sizeof(line));
        consoles_write(line);
    }
}
