/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The guest's first process: what its parts offer each other.
 *
 * Built with the kernel's nolibc headers (no C library), so that it is a few KiB to load and has nothing to link at
 * start. Each part owns some file descriptors and is called by the loop in init.c when one of them is readable.
 */
#ifndef QEMUWEB_INIT_H
#define QEMUWEB_INIT_H

#include <stdbool.h>

enum { MAX_CONSOLES = 4, MAX_BUTTONS = 8 };

/* console.c: a root shell on each of the kernel's consoles, started again when it ends. */
void consoles_open(void);
void consoles_start(void);
bool console_ended(int pid); /* was `pid` a shell? if so, another one has been started */
void consoles_write(const char *text);

/* devices.c: virtio ports and power buttons, now and as they are plugged in. */
int devices_open(void);      /* -> descriptor of the kernel's announcements, or -1 */
void devices_announced(int fd);
int button_fd(unsigned i);   /* -> descriptor of the i-th input device with a power key, or -1 */
bool button_pressed(int fd); /* reads events; has its power key been pressed? */

/* agent.c: the agent's process, from when its port is there. */
#define AGENT_PORT "org.qemuweb.agent.0"
void agent_start(void);      /* unless it runs */
void agent_ended(int pid);   /* if it was the agent, it is to be started again */
bool agent_waits(void);      /* is it to be started again a little later? */
void agent_restart(void);    /* starts it again if it waits for that */

/* home.c: the disk that /root lies on. */
void home_mount(void); /* if the machine has one */
void home_grow(void);  /* lets its file system have all of it */

/* system.c: file systems, network, power. */
void system_mount(void);
void network_start(void);
enum power { POWER_OFF, POWER_REBOOT, POWER_HALT };
void system_stop(enum power how) __attribute__((noreturn));

/* system.c: helpers over nolibc. */
void join(char *to, long size, const char *a, const char *b, const char *c); /* cut when longer than `size` */
int spawn(char *const argv[], int tty); /* tty >= 0: becomes the controlling terminal; -1: /dev/null -> pid */
long read_file(const char *path, char *to, long size); /* NUL-terminated, -> bytes read or -1 */
void each_entry(const char *directory, void (*found)(const char *name)); /* calls it with each name in there */
int signals_open(void);                                /* -> signalfd of the signals that we act on */
int signal_next(int fd);                               /* -> its next signal number, or 0 */

#endif
