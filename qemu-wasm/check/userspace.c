/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Process 1 that says that it runs, and nothing more: what the time of a kernel's boot is measured by. */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    static const char text[] = "\r\nWelcome to QemuWeb: userspace\r\n";
    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_WRONLY);
    if (write(console, text, sizeof(text) - 1) < 0) {
        return 1; /* the kernel says what it thinks of that */
    }
    for (;;) {
        pause();
    }
}
