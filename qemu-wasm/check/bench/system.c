/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Rows that enter the guest's kernel: system calls, page faults, a pipe between processes, fork and exec, gzip. */
#include "bench.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t system_call(uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        sum += (uint64_t)syscall(SYS_lseek, -1, 0, 0); /* fails at once: no file */
    }
    return sum;
}

static uint64_t page_fault(uint64_t n)
{
    enum { PAGE = 4096 };
    unsigned char *pages = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        give_up("mmap");
    }
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        pages[i * PAGE + i]++;
        sum = sum * 3 + pages[i * PAGE + i];
    }
    munmap(pages, n * PAGE);
    return sum;
}

static void wait_for_child(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) {
        give_up("a child process failed");
    }
}

/* One byte there and one back. */
static uint64_t pipe_round_trip(uint64_t n)
{
    int there[2], back[2];
    if (pipe(there) || pipe(back)) {
        give_up("pipe");
    }
    pid_t child = fork();
    if (child < 0) {
        give_up("fork");
    }
    unsigned char byte = 1;
    if (child == 0) {
        while (n-- && read(there[0], &byte, 1) == 1) {
            byte = (unsigned char)(byte * 5 + 1);
            if (write(back[1], &byte, 1) != 1) {
                _exit(1);
            }
        }
        _exit(0);
    }
    for (uint64_t i = 0; i < n; i++) {
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
            give_up("pipe");
        }
    }
    wait_for_child(child);
    for (int i = 0; i < 2; i++) {
        close(there[i]);
        close(back[i]);
    }
    return byte;
}

static uint64_t fork_exec(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "bench", "nothing", NULL);
            _exit(1);
        }
        wait_for_child(child);
    }
    return n;
}

/* Busybox compresses 64 KiB of words. */
static uint64_t gzip(uint64_t n)
{
    static const char path[] = "/tmp/bench-text";
    static const char *const words[] = { "guest ", "code ", "becomes ", "WebAssembly ", "at ", "run ", "time\n", "page " };
    FILE *file = fopen(path, "w");
    if (!file) {
        give_up(path);
    }
    uint64_t x = 88172645463325252u;
    for (int written = 0; written < 65536;) {
        x = mix(x);
        written += fprintf(file, "%s", words[x >> 61]);
        written += x % 5 ? 0 : fprintf(file, "%lu ", (unsigned long)(x >> 40));
    }
    fclose(file);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        int output[2];
        if (pipe(output)) {
            give_up("pipe");
        }
        pid_t child = fork();
        if (child == 0) {
            dup2(output[1], STDOUT_FILENO);
            close(output[0]);
            close(output[1]);
            int input = open(path, O_RDONLY);
            dup2(input, STDIN_FILENO);
            execl("/bin/busybox", "gzip", NULL); /* without a name and a time in the header */
            _exit(1);
        }
        close(output[1]);
        unsigned char bytes[4096];
        ssize_t got;
        while ((got = read(output[0], bytes, sizeof(bytes))) > 0) {
            for (ssize_t k = 0; k < got; k++) {
                sum = sum * 31 + bytes[k];
            }
        }
        close(output[0]);
        wait_for_child(child);
    }
    return sum;
}

const struct row system_rows[] = {
    { "syscall", 1000, system_call }, { "page-fault", 64, page_fault }, { "pipe-round-trip", 20, pipe_round_trip },
    { "fork-exec", 1, fork_exec },    { "gzip-64k", 1, gzip },          { NULL, 0, NULL },
};
