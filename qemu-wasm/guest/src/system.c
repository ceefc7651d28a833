/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * File systems, network and power of the machine, and what nolibc lacks: signals, spawning, small files.
 */
#include "init.h"
#include <asm/ioctls.h>
#include <linux/reboot.h>
#include <linux/signal.h>
#include <linux/signalfd.h>
#include <linux/sockios.h>

enum { AF_INET_ = 2, SOCK_DGRAM_ = 2, IFF_UP_ = 1, SIGNAL_SET_BYTES = 8, SIG_BLOCK_ = 0, SIG_SETMASK_ = 2 };

void system_mount(void)
{
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL);
    mkdir("/dev/pts", 0755);
    mkdir("/dev/shm", 01777);
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620,gid=5");
    symlink("/proc/self/fd", "/dev/fd");
    symlink("/proc/self/fd/0", "/dev/stdin");
    symlink("/proc/self/fd/1", "/dev/stdout");
    symlink("/proc/self/fd/2", "/dev/stderr");
}

void network_start(void)
{
    /* struct ifreq, whose header needs a C library */
    struct {
        char name[16];
        short flags;
        char unused[22];
    } request = { .name = "lo", .flags = IFF_UP_ };
    static char *const dhcp[] = { "/sbin/udhcpc", "-f", "-S", "-i", "eth0", "-s", "/etc/udhcpc.script", NULL };
    struct stat card;
    int fd = my_syscall3(__NR_socket, AF_INET_, SOCK_DGRAM_, 0);
    if (fd >= 0) {
        ioctl(fd, SIOCSIFFLAGS, &request);
        close(fd);
    }
    if (stat("/sys/class/net/eth0", &card) == 0) {
        spawn(dhcp, -1);
    }
}

/* The signals that process 1 acts on; they reach us through a descriptor, not through handlers. */
static const unsigned long signals = 1UL << (SIGCHLD - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGINT - 1) |
                                     1UL << (SIGUSR1 - 1) | 1UL << (SIGUSR2 - 1);

int signals_open(void)
{
    my_syscall4(__NR_rt_sigprocmask, SIG_BLOCK_, &signals, NULL, SIGNAL_SET_BYTES);
    reboot(LINUX_REBOOT_CMD_CAD_OFF);
    return my_syscall4(__NR_signalfd4, -1, &signals, SIGNAL_SET_BYTES, O_CLOEXEC);
}

int signal_next(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

int spawn(char *const argv[], int tty)
{
    static const unsigned long none;
    int pid = fork();
    if (pid != 0) {
        return pid;
    }
    my_syscall4(__NR_rt_sigprocmask, SIG_SETMASK_, &none, NULL, SIGNAL_SET_BYTES);
    setsid();
    int fd = tty >= 0 ? tty : open("/dev/null", O_RDWR);
    if (tty >= 0) {
        ioctl(fd, TIOCSCTTY, NULL);
    }
    for (int to = 0; to < 3; to++) {
        dup2(fd, to);
    }
    /* A name with a dash in front is a login shell's. */
    execve(argv[0][0] == '-' ? "/bin/sh" : argv[0], argv, environ);
    exit(127);
}

/* Waits until no child is left, for at most `milliseconds`. */
static void wait_children(int milliseconds)
{
    int status, pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) >= 0 && milliseconds > 0) {
        if (pid == 0) {
            msleep(20);
            milliseconds -= 20;
        }
    }
}

void system_stop(enum power how)
{
    static char *const unmount[] = { "/bin/umount", "-a", "-r", NULL };
    static const int commands[] = {
        [POWER_OFF] = LINUX_REBOOT_CMD_POWER_OFF,
        [POWER_REBOOT] = LINUX_REBOOT_CMD_RESTART,
        [POWER_HALT] = LINUX_REBOOT_CMD_HALT,
    };
    int status;
    consoles_write("\r\nThe system is going down.\r\n");
    kill(-1, SIGTERM);
    kill(-1, SIGHUP); /* interactive shells heed this one only */
    wait_children(500);
    kill(-1, SIGKILL);
    wait_children(200);
    my_syscall0(__NR_sync);
    waitpid(spawn(unmount, -1), &status, 0);
    reboot(commands[how]);
    for (;;) {
        msleep(1000);
    }
}

void join(char *to, long size, const char *a, const char *b, const char *c)
{
    strlcpy(to, a, size);
    strlcat(to, b, size);
    strlcat(to, c, size);
}

long read_file(const char *path, char *to, long size)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        return -1;
    }
    long n = read(fd, to, size - 1);
    close(fd);
    if (n >= 0) {
        to[n] = 0;
    }
    return n;
}

void each_entry(const char *directory, void (*found)(const char *name))
{
    _Alignas(8) char entries[1024];
    int n, fd = open(directory, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return;
    }
    while ((n = getdents64(fd, (void *)entries, sizeof(entries))) > 0) {
        for (int at = 0; at < n;) {
            struct linux_dirent64 *entry = (void *)(entries + at);
            if (entry->d_name[0] != '.') {
                found(entry->d_name);
            }
            at += entry->d_reclen;
        }
    }
    close(fd);
}
