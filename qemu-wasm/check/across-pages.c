// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What lies across the border of two pages, of the instructions whose accesses QEMU does in helpers: 80-bit numbers, and fxsave. The
 * differential test leaves that out, as QEMU up to 10.2.2 gets it wrong without our patch 0019. Passes on a processor; prints what
 * is wrong, and `N passed, M failed`.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 64, EXTENDED = 10, FXSAVE = 512 };

static int passed, failed;

static void count(int right, const char *what, int offset)
{
    passed += right;
    failed += !right;
    if (!right) {
        printf("%s, %d bytes before the border\n", what, PAGE - offset);
    }
}

/* Is `written` at `at`, and what was around it still there? */
static int is_only(const uint8_t *pages, int at, const void *written, int size)
{
    for (int i = 0; i < 2 * PAGE; i++) {
        uint8_t expected = i >= at && i < at + size ? ((const uint8_t *)written)[i - at] : (uint8_t)(i * 7);
        if (pages[i] != expected) {
            return 0;
        }
    }
    return 1;
}

static void fill(uint8_t *pages)
{
    for (int i = 0; i < 2 * PAGE; i++) {
        pages[i] = (uint8_t)(i * 7);
    }
}

static void extended(uint8_t *pages, int offset)
{
    long double number = -1.2345678901234567890e321L, back = 0;
    uint8_t *at = pages + offset;
    fill(pages);
    __asm__ volatile("fldt %1; fstpt %0" : "=m"(*(uint8_t(*)[EXTENDED])at) : "m"(number) : "st");
    count(is_only(pages, offset, &number, EXTENDED), "fstpt", offset);
    memcpy(at, &number, EXTENDED);
    __asm__ volatile("fldt %1; fstpt %0" : "=m"(back) : "m"(*(uint8_t(*)[EXTENDED])at) : "st");
    count(memcmp(&number, &back, EXTENDED) == 0, "fldt", offset);
}

static void saved(uint8_t *pages, int offset)
{
    static uint8_t inside[FXSAVE] __attribute__((aligned(16))), again[FXSAVE] __attribute__((aligned(16)));
    uint8_t *at = pages + offset;
    /* What is reserved is not written. */
    memset(inside, 0x55, FXSAVE);
    fill(pages);
    memset(at, 0x55, FXSAVE);
    __asm__ volatile("fninit; fldpi; fldl2e; fxsave %0; fxsave %1; fninit"
                     : "=m"(*(uint8_t(*)[FXSAVE])inside), "=m"(*(uint8_t(*)[FXSAVE])at)
                     :
                     : "st", "st(1)");
    count(is_only(pages, offset, inside, FXSAVE), "fxsave", offset);
    __asm__ volatile("fxrstor %1; fxsave %0; fninit" : "+m"(*(uint8_t(*)[FXSAVE])again) : "m"(*(uint8_t(*)[FXSAVE])at) : "st", "st(1)");
    /* The registers, but not what is reserved between them. */
    int same = 1;
    for (int i = 0; i < 2; i++) {
        same &= memcmp(inside + 32 + 16 * i, again + 32 + 16 * i, EXTENDED) == 0;
    }
    count(same, "fxrstor", offset);
}

int main(void)
{
    uint8_t *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    /* Neither upwards nor downwards: what is neighbours here is not so in the machine's memory, which is handed out in turn. */
    for (int i = 0; i < PAGES; i++) {
        pages[i * 37 % PAGES * PAGE] = 1;
    }
    for (int page = 0; page < PAGES - 1; page += 2) {
        for (int offset = PAGE - EXTENDED - 2; offset <= PAGE + 1; offset++) {
            extended(pages + page * PAGE, offset);
        }
        for (int offset = PAGE - FXSAVE; offset <= PAGE; offset += 16) {
            saved(pages + page * PAGE, offset);
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
