/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * qemuweb-init: process 1 of the initramfs, and the agent's service on a disk image.
 *
 *   as process 1         mounts, brings the network up, keeps shells on the consoles, serves agent and power button
 *   qemuweb-init agent   serves the agent's port only, beside another init
 *
 * One loop around poll(2), no threads, no child but the shells and the DHCP client: each fork is dear in an
 * interpreted guest.
 */
#include "init.h"
#include <linux/signal.h>

/* busybox's poweroff, reboot and halt send these to process 1. */
static void handle_signal(int signal)
{
    switch (signal) {
    case SIGUSR2:
        system_stop(POWER_OFF);
    case SIGTERM:
    case SIGINT: /* Ctrl-Alt-Del */
        system_stop(POWER_REBOOT);
    case SIGUSR1:
        system_stop(POWER_HALT);
    case SIGCHLD: {
        int pid, status;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            console_ended(pid);
        }
    }
    }
}

/* Serves what became readable, for ever. A descriptor of -1 is passed over by poll(2). */
static void serve(int signals, int announcements)
{
    /* While nobody holds the port's other end, poll(2) reports that at once: look again after a second only. */
    bool host_is_there = true;
    for (;;) {
        struct pollfd fds[3 + MAX_BUTTONS] = {
            { .fd = signals, .events = POLLIN },
            { .fd = announcements, .events = POLLIN },
            { .fd = host_is_there ? agent_fd() : -1, .events = POLLIN },
        };
        /* Only process 1 acts on buttons: elsewhere the other init does. */
        for (unsigned i = 0; i < MAX_BUTTONS; i++) {
            fds[3 + i] = (struct pollfd){ .fd = signals < 0 ? -1 : button_fd(i), .events = POLLIN };
        }
        int ready = poll(fds, 3 + MAX_BUTTONS, host_is_there ? -1 : 1000);
        if (ready < 0) {
            continue;
        }
        if (ready == 0) {
            host_is_there = true;
        }
        if (fds[0].revents) {
            handle_signal(signal_next(signals));
        }
        if (fds[1].revents) {
            devices_announced(announcements);
        }
        if (fds[2].revents) {
            host_is_there = agent_read(fds[2].fd);
        }
        for (unsigned i = 0; i < MAX_BUTTONS; i++) {
            if (fds[3 + i].revents && button_pressed(fds[3 + i].fd)) {
                system_stop(POWER_OFF);
            }
        }
    }
}

static void greet(void)
{
    struct utsname name;
    char line[256];
    if (uname(&name) == 0) {
        join(line, sizeof(line), "\r\nWelcome to QemuWeb: Linux ", name.release, " on ");
        strlcat(line, name.machine, sizeof(line));
        strlcat(line, "\r\n", sizeof(line));
        consoles_write(line);
    }
}

int main(int argc, char **argv)
{
    if (getpid() != 1) {
        if (argc != 2 || strcmp(argv[1], "agent") != 0) {
            fprintf(stderr, "usage: %s agent   (serves the port " AGENT_PORT ")\n", argv[0]);
            return 2;
        }
        consoles_open();
        serve(-1, devices_open());
    }
    system_mount();
    int signals = signals_open();
    consoles_open();
    greet();
    consoles_start();
    network_start();
    serve(signals, devices_open());
}
