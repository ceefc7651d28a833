/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The agent: a program of its own (crates/guest-tools), which is started when its port is there, and again when it ends.
 */
#include "init.h"

static char *const agent[] = { "/usr/bin/qemuweb-agent", NULL };
static bool waits;
static int process;

void agent_start(void)
{
    if (process == 0 && !waits) {
        process = spawn(agent, -1);
    }
}

void agent_ended(int pid)
{
    if (pid == process) {
        /* One that cannot work is not started again at once. */
        process = 0;
        waits = true;
    }
}

bool agent_waits(void)
{
    return waits;
}

void agent_restart(void)
{
    if (waits) {
        waits = false;
        agent_start();
    }
}
