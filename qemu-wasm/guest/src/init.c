/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Process 1 of the initramfs: mounts, brings the network up, keeps shells on the consoles and the agent running, serves the
 * power button.
 *
 * One loop around poll(2), no threads, no child but the shells, the agent and the DHCP client: each fork is dear in an
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
            agent_ended(pid);
            console_ended(pid);
        }
    }
    }
}

/* Serves what became readable, for ever. A descriptor of -1 is passed over by poll(2). */
static void serve(int signals, int announcements)
{
    for (;;) {
        struct pollfd fds[2 + MAX_BUTTONS] = {
            { .fd = signals, .events = POLLIN },
            { .fd = announcements, .events = POLLIN },
        };
        for (unsigned i = 0; i < MAX_BUTTONS; i++) {
            fds[2 + i] = (struct pollfd){ .fd = button_fd(i), .events = POLLIN };
        }
        int ready = poll(fds, 2 + MAX_BUTTONS, agent_waits() ? 1000 : -1);
        if (ready < 0) {
            continue;
        }
        if (ready == 0) {
            agent_restart();
        }
        if (fds[0].revents) {
            handle_signal(signal_next(signals));
        }
        if (fds[1].revents) {
            devices_announced(announcements);
        }
        for (unsigned i = 0; i < MAX_BUTTONS; i++) {
            if (fds[2 + i].revents && button_pressed(fds[2 + i].fd)) {
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

int main(void)
{
    system_mount();
    int signals = signals_open();
    consoles_open();
    greet();
    home_mount();
    consoles_start();
    network_start();
    serve(signals, devices_open());
}
