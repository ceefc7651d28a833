/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The agent's protocol: lines from the host.
 *
 *   resize ROWS COLUMNS    the console's window has this size; the foreground program gets SIGWINCH
 *
 * Lines that we don't know, or that are too long, are passed over: a newer host may send more.
 */
#include "init.h"

static char line[128];
static unsigned length;
static bool too_long;

/* A number of 1 to 4 digits and above 0, as the size of a terminal is. */
static bool take_number(const char **at, unsigned *number)
{
    const char *start = *at;
    *number = 0;
    while (isdigit(**at) && *at - start < 4) {
        *number = *number * 10 + (*(*at)++ - '0');
    }
    return *number > 0;
}

static void take_line(void)
{
    const char *at = line;
    unsigned rows, columns;
    if (strncmp(at, "resize ", 7) != 0) {
        return;
    }
    at += 7;
    if (take_number(&at, &rows) && *at++ == ' ' && take_number(&at, &columns) && *at == 0) {
        consoles_resize(rows, columns);
    }
}

bool agent_read(int fd)
{
    char bytes[256];
    long n = read(fd, bytes, sizeof(bytes));
    if (n <= 0) {
        return false;
    }
    for (long i = 0; i < n; i++) {
        if (bytes[i] == '\n') {
            line[length] = 0;
            if (!too_long) {
                take_line();
            }
            length = 0;
            too_long = false;
        } else if (length < sizeof(line) - 1) {
            line[length++] = bytes[i];
        } else {
            too_long = true;
        }
    }
    return true;
}
