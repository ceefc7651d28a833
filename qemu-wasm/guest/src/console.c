/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel's consoles (/sys/class/tty/console/active): a root shell on each, and the window size of the serial ones.
 */
#include "init.h"
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/termios.h>

struct console {
    char path[32];
    int fd;    /* kept open: a serial port that nobody holds open is shut down */
    int shell; /* process id */
};

static struct console consoles[MAX_CONSOLES];
static unsigned n_consoles;

static bool is_screen(const struct console *console)
{
    /* /dev/tty0, /dev/tty1: a display; /dev/ttyS0, /dev/ttyAMA0, /dev/hvc0: a line */
    return strncmp(console->path, "/dev/tty", 8) == 0 && isdigit(console->path[8]);
}

static void set_size(int fd, unsigned rows, unsigned columns)
{
    struct winsize size = { .ws_row = rows, .ws_col = columns };
    ioctl(fd, TIOCSWINSZ, &size);
}

/* RTS and CTS keep what is sent to the line from overrunning who reads there. */
static void enable_flow_control(int fd)
{
    struct termios2 settings;
    if (ioctl(fd, TCGETS2, &settings) == 0) {
        settings.c_cflag |= CRTSCTS;
        ioctl(fd, TCSETS2, &settings);
    }
}

void consoles_open(void)
{
    char names[128];
    if (read_file("/sys/class/tty/console/active", names, sizeof(names)) < 0) {
        return;
    }
    char *name = names;
    while (*name && n_consoles < MAX_CONSOLES) {
        struct console *console = &consoles[n_consoles];
        unsigned length = 0;
        while (name[length] > ' ') {
            length++;
        }
        if (length > 0 && length + 6 <= sizeof(console->path)) {
            memcpy(console->path, "/dev/", 5);
            memcpy(console->path + 5, name, length);
            console->path[5 + length] = 0;
            if (strcmp(console->path, "/dev/tty0") == 0) {
                console->path[8] = '1'; /* tty0 is whichever is in front; shells live on the first */
            }
            console->fd = open(console->path, O_RDWR | O_NOCTTY);
            n_consoles += console->fd >= 0;
        }
        name += length;
        name += *name != 0;
    }
}

static void start_shell(struct console *console)
{
    static char *const argv[] = { "-sh", NULL };
    int fd = open(console->path, O_RDWR | O_NOCTTY);
    if (fd < 0) {
        return;
    }
    environ[0] = is_screen(console) ? "TERM=linux" : "TERM=xterm-256color";
    console->shell = spawn(argv, fd);
    close(fd);
}

void consoles_start(void)
{
    static char *environment[] = {
        "TERM", /* by start_shell */
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "USER=root",
        "LOGNAME=root",
        "SHELL=/bin/sh",
        "LANG=C.UTF-8",
        NULL,
    };
    environ = environment;
    for (unsigned i = 0; i < n_consoles; i++) {
        if (!is_screen(&consoles[i])) {
            set_size(consoles[i].fd, 24, 80); /* until the host tells */
            enable_flow_control(consoles[i].fd);
        }
        start_shell(&consoles[i]);
    }
}

bool console_ended(int pid)
{
    for (unsigned i = 0; i < n_consoles; i++) {
        if (consoles[i].shell == pid) {
            start_shell(&consoles[i]);
            return true;
        }
    }
    return false;
}

void consoles_write(const char *text)
{
    for (unsigned i = 0; i < n_consoles; i++) {
        write(consoles[i].fd, text, strlen(text));
    }
}
