/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * difftest: runs random code and prints what it did to registers and memory.
 *
 *   difftest SEED BLOCKS [first=N] [runs=N] [length=N] [limit=N] [level=N] [dump]
 *
 * Each block is a page of random instructions, with branches, loops, calls and faults, made from the seed and the block's
 * number alone; it is run `runs` times, each time from other random registers, so that an engine that compiles what is hot
 * gets to it. For each block one line: its number, and a hash of all registers after all runs, of memory, and of signals.
 * Two engines are right if they print the same. `limit` cuts the block after so many statements, to find the first that
 * differs; `dump` prints code and registers.
 */
#include "difftest.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <unistd.h>

static struct options {
    uint64_t seed;
    unsigned blocks, first, runs, length, limit;
    int level;
    bool dump;
} options = { .runs = 24, .length = 40, .limit = ~0u, .level = 2 };

static uint8_t *const data = (uint8_t *)DATA_BASE;
/* Signals of the current run: how often, and where the last came from. */
static unsigned signals;
static uint64_t hash;

static void add(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t word;
    for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
}

static struct rng rng_from(uint64_t seed, uint64_t stream)
{
    struct rng rng = { (seed * 0x9e3779b97f4a7c15ull + stream + 1) * 0xbf58476d1ce4e5b9ull | 1 };
    for (int i = 0; i < 4; i++) {
        rng_next(&rng);
    }
    return rng;
}

uint64_t rng_value(struct rng *rng)
{
    static const uint64_t edges[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                      0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xffffffff80000000 };
    switch (rng_below(rng, 4)) {
    case 0:
        return edges[rng_below(rng, sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return rng_next(rng) >> rng_below(rng, 64);
    case 2:
        return (uint64_t)((int64_t)rng_next(rng) >> rng_below(rng, 64));
    default:
        return rng_next(rng);
    }
}

uint64_t rng_float(struct rng *rng, bool wide)
{
    static const uint32_t singles[] = { 0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
                                        1, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000, 0x3fc00000, 0x40200000 };
    uint64_t bits = rng_next(rng);
    unsigned kind = rng_below(rng, 4);
    if (kind == 0) {
        return bits; /* anything */
    }
    uint32_t single = kind == 1 ? singles[rng_below(rng, sizeof(singles) / sizeof(singles[0]))]
                                : (0x3f000000u + (uint32_t)(bits % 0x02800000u)) | (uint32_t)(bits >> 63 << 31);
    if (!wide) {
        return (uint64_t)single << 32 | (single ^ (uint32_t)(bits & 0x80000000u));
    }
    /* Widen by hand: what is tested should not make the input. */
    uint64_t exponent = single >> 23 & 0xff, fraction = (uint64_t)(single & 0x7fffff) << 29, sign = (uint64_t)(single >> 31) << 63;
    exponent = exponent == 0xff ? 0x7ff : exponent == 0 ? 0 : exponent + 1023 - 127;
    return sign | exponent << 52 | fraction | (kind == 2 ? bits & 0x1fffffff : 0);
}

static void on_signal(int number, siginfo_t *info, void *opaque)
{
    ucontext_t *context = opaque;
    uintptr_t pc = arch_pc(context);
    if (pc < CODE_AT || pc >= CODE_AT + CODE_SLOTS * 0x1000) {
        static const char text[] = "difftest: a signal outside of the generated code\n";
        fwrite(text, 1, sizeof(text) - 1, stderr);
        _exit(3);
    }
    uint64_t event[3] = { (uint64_t)number, pc & 0xfff, number == SIGSEGV ? (uintptr_t)info->si_addr : 0 };
    add(event, sizeof(event));
    signals++;
    if (options.dump) {
        printf("signal %d at +%#lx, address %#lx\n", number, (unsigned long)event[1], (unsigned long)event[2]);
    }
    if (number == SIGILL && arch_skip(context)) {
        return;
    }
    arch_caught(context);
    arch_leave(context);
}

static void bind(struct code *code, unsigned reached)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < code->n_pending; i++) {
        if (code->pending[i].target <= reached) {
            arch_patch(code, code->pending[i].place);
        } else {
            code->pending[kept++] = code->pending[i];
        }
    }
    code->n_pending = kept;
}

static void generate(struct code *code)
{
    unsigned length = 4 + rng_below(code->rng, options.length);
    bool cut = false;
    for (code->index = 0; code->index < length && !cut; code->index++) {
        bind(code, code->index);
        if (code->loop && code->index >= code->loop_end) {
            bind(code, ~0u);
            arch_loop_end(code);
            code->loop = NULL;
        }
        cut = code->index >= options.limit || code->at - code->start > 0x1000 - 400;
        if (cut) {
            break;
        }
        if (!code->loop && rng_chance(code->rng, 12)) {
            bind(code, ~0u); /* nothing jumps into a loop */
            code->loop_end = code->index + 1 + rng_below(code->rng, 8);
            arch_loop_begin(code);
            code->loop = code->at;
        }
        arch_statement(code);
    }
    bind(code, ~0u);
    if (code->loop) {
        arch_loop_end(code);
    }
    arch_end(code);
}

static void print_bytes(const char *name, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (i % 32 == 0) {
            printf("%s%s +%03zx ", i ? "\n" : "", name, i);
        }
        printf("%02x", bytes[i]);
    }
    printf("\n");
}

static void run_block(unsigned number)
{
    struct rng making = rng_from(options.seed, (uint64_t)number * 2), filling = rng_from(options.seed, (uint64_t)number * 2 + 1);
    uint8_t *slot = (uint8_t *)(CODE_AT + number % CODE_SLOTS * 0x1000);
    struct code code = { .start = slot, .at = slot, .rng = &making, .level = options.level };
    generate(&code);
    __builtin___clear_cache((char *)slot, (char *)code.at);
    if (options.dump) {
        print_bytes("code", slot, code.at - slot);
    }

    for (long at = DATA_LOW; at < DATA_HIGH; at += 8) {
        uint64_t value = at & 64 ? rng_float(&filling, at & 128) : rng_value(&filling);
        memcpy(data + at, &value, sizeof(value));
    }
    hash = number;
    unsigned with_signals = 0;
    for (unsigned run = 0; run < options.runs && with_signals < 2; run++) {
        signals = 0;
        arch_randomise(&filling);
        if (options.dump) {
            printf("run %u before\n", run);
            arch_print();
        }
        arch_run(slot);
        if (options.dump) {
            printf("run %u after\n", run);
            arch_print();
        }
        size_t size;
        const void *visible = arch_visible(&size);
        add(visible, size);
        with_signals += signals != 0; /* signals are dear */
    }
    add(data + DATA_LOW, DATA_HIGH - DATA_LOW);
    if (options.dump) {
        print_bytes("data", data + DATA_LOW, DATA_HIGH - DATA_LOW);
    }
    printf("%u %016lx\n", number, (unsigned long)hash);
}

static void map(uintptr_t at, size_t size, int protection)
{
    void *got = mmap((void *)at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != (void *)at) {
        perror("difftest: cannot map its fixed addresses");
        exit(3);
    }
}

static void read_options(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: difftest SEED BLOCKS [first=N] [runs=N] [length=N] [limit=N] [level=N] [dump]\n");
        exit(2);
    }
    options.seed = strtoull(argv[1], NULL, 0);
    options.blocks = (unsigned)strtoul(argv[2], NULL, 0);
    for (int i = 3; i < argc; i++) {
        unsigned value = 0;
        char name[16];
        if (strcmp(argv[i], "dump") == 0) {
            options.dump = true;
        } else if (sscanf(argv[i], "%15[a-z]=%u", name, &value) == 2) {
            if (strcmp(name, "first") == 0) {
                options.first = value;
            } else if (strcmp(name, "runs") == 0) {
                options.runs = value;
            } else if (strcmp(name, "length") == 0 && value > 0) {
                options.length = value;
            } else if (strcmp(name, "limit") == 0) {
                options.limit = value;
            } else if (strcmp(name, "level") == 0) {
                options.level = (int)value;
            } else {
                fprintf(stderr, "difftest: unknown argument %s\n", argv[i]);
                exit(2);
            }
        } else {
            fprintf(stderr, "difftest: unknown argument %s\n", argv[i]);
            exit(2);
        }
    }
}

/* Starts the program again with a heap and a stack that lie where they always do, and not where blocks have their page. */
static void fix_addresses(char **argv)
{
    int now = personality(0xffffffff);
    if (now >= 0 && !(now & ADDR_NO_RANDOMIZE) && personality((unsigned long)now | ADDR_NO_RANDOMIZE) >= 0) {
        execv("/proc/self/exe", argv);
        perror("difftest: cannot start itself again");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    fix_addresses(argv);
    read_options(argc, argv);
    map(DATA_AT, DATA_SIZE, PROT_READ | PROT_WRITE);
    map(CODE_AT, CODE_SLOTS * 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC);
    map(STACK_AT, STACK_SIZE, PROT_READ | PROT_WRITE);

    static uint8_t handlers_stack[1 << 16];
    sigaltstack(&(stack_t){ .ss_sp = handlers_stack, .ss_size = sizeof(handlers_stack) }, NULL);
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    for (int i = 0; i < 4; i++) {
        sigaction((int[]){ SIGSEGV, SIGBUS, SIGILL, SIGFPE }[i], &action, NULL);
    }
    for (unsigned i = 0; i < options.blocks; i++) {
        run_block(options.first + i);
    }
    return 0;
}
