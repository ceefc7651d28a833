/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Devices that process 1 looks for: virtio ports, of which one is the agent's, and input devices with a power key. The kernel
 * announces new ones on a netlink socket, and disks that have grown; a port's name comes some time after the port itself.
 * For programs, /dev/virtio-ports/NAME points to each named port, as udev would have it.
 */
#include "init.h"
#include <linux/input-event-codes.h>
#include <linux/ioctl.h>
#include <linux/netlink.h>

enum { AF_NETLINK_ = 16, SOCK_DGRAM_ = 2, UEVENT_GROUP = 1, LONG_BITS = 8 * sizeof(long) };

/* From linux/input.h, which needs a C library. */
struct input_event {
    long seconds, microseconds;
    uint16_t type, code;
    int32_t value;
};
#define EVIOCGBIT(type, length) _IOC(_IOC_READ, 'E', 0x20 + (type), length)

static struct button {
    int fd; /* 0: free */
    int number;
} buttons[MAX_BUTTONS];

int button_fd(unsigned i)
{
    return buttons[i].fd > 0 ? buttons[i].fd : -1;
}

static bool contains(const char *text, const char *part)
{
    for (size_t n = strlen(part); *text; text++) {
        if (strncmp(text, part, n) == 0) {
            return true;
        }
    }
    return false;
}

static void found_port(const char *port)
{
    char path[128], link[128], name[64];
    join(path, sizeof(path), "/sys/class/virtio-ports/", port, "/name");
    long n = read_file(path, name, sizeof(name));
    if (n <= 1) {
        return;
    }
    name[n - 1] = 0; /* its newline */
    if (strchr(name, '/')) {
        return;
    }
    join(path, sizeof(path), "/dev/", port, "");
    join(link, sizeof(link), "/dev/virtio-ports/", name, "");
    mkdir("/dev/virtio-ports", 0755);
    symlink(path, link);
    if (strcmp(name, AGENT_PORT) == 0) {
        agent_start();
    }
}

static void found_input(const char *name)
{
    char path[64];
    unsigned long keys[KEY_CNT / LONG_BITS + 1] = { 0 };
    if (strncmp(name, "event", 5) != 0) {
        return;
    }
    int number = atoi(name + 5);
    struct button *free = NULL;
    for (unsigned i = 0; i < MAX_BUTTONS; i++) {
        if (buttons[i].fd <= 0) {
            free = &buttons[i];
        } else if (buttons[i].number == number) {
            return;
        }
    }
    join(path, sizeof(path), "/dev/input/", name, "");
    int fd = free ? open(path, O_RDONLY | O_NONBLOCK) : -1;
    if (fd < 0) {
        return;
    }
    ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys);
    if (keys[KEY_POWER / LONG_BITS] >> KEY_POWER % LONG_BITS & 1) {
        *free = (struct button){ .fd = fd, .number = number };
    } else {
        close(fd);
    }
}

static void scan(void)
{
    each_entry("/sys/class/virtio-ports", found_port);
    each_entry("/sys/class/input", found_input);
}

int devices_open(void)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK_, .nl_groups = UEVENT_GROUP };
    int fd = my_syscall3(__NR_socket, AF_NETLINK_, SOCK_DGRAM_, NETLINK_KOBJECT_UEVENT);
    if (fd >= 0 && my_syscall3(__NR_bind, fd, &address, sizeof(address)) < 0) {
        close(fd);
        fd = -1;
    }
    scan();
    return fd;
}

void devices_announced(int fd)
{
    char message[2048];
    long n = read(fd, message, sizeof(message) - 1);
    if (n <= 0) {
        return;
    }
    message[n] = 0; /* the first of its strings is ACTION@PATH */
    if (contains(message, "/virtio-ports/") || contains(message, "/input/")) {
        scan();
    }
    if (contains(message, "/block/")) {
        home_grow();
    }
}

bool button_pressed(int fd)
{
    struct input_event event;
    bool pressed = false;
    long n;
    while ((n = read(fd, &event, sizeof(event))) == sizeof(event)) {
        pressed |= event.type == EV_KEY && event.code == KEY_POWER && event.value == 1;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        for (unsigned i = 0; i < MAX_BUTTONS; i++) {
            if (buttons[i].fd == fd) {
                close(fd); /* unplugged */
                buttons[i].fd = 0;
            }
        }
    }
    return pressed;
}
