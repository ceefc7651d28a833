/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Random x86-64 code: integer and string instructions and control flow (x86_64_float.c: SSE and x87), and running it.
 *
 * rbx holds DATA_BASE, rsp the blocks' stack, r14 counts loops, r15 is scratch; all others are the blocks'. Flags that the
 * architecture leaves undefined are defined anew before anything can read them. Left out: what reads clocks, CPUID or
 * segments, and x87's transcendental instructions, which QEMU leaves to the host's libm.
 */
#include "x86_64.h"

#include <string.h>

struct state {
    uint64_t gpr[16], flags, host_rsp;
    struct {
        uint16_t control, status;
        uint8_t tag, zero;
        uint16_t opcode;
        uint64_t instruction, operand;
        uint32_t mxcsr, mxcsr_mask;
        uint8_t st[8][16], xmm[16][16];
        uint8_t rest[96];
    } fx __attribute__((aligned(16)));
} __attribute__((aligned(64)));
struct state state;
_Static_assert(offsetof(struct state, fx) == 144, "the assembly below says 144");

/* clang-format off */
__asm__(".text\n.globl arch_run\narch_run:\n"
        "push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rdi, target\n"
        "mov %rsp, state+136\n"
        "fxrstor64 state+144\n"
        "mov state+32, %rsp\n"
        "pushq state+128; popfq\n"
        "mov state, %rax; mov state+8, %rcx; mov state+16, %rdx; mov state+24, %rbx; mov state+40, %rbp\n"
        "mov state+48, %rsi; mov state+56, %rdi; mov state+64, %r8; mov state+72, %r9; mov state+80, %r10\n"
        "mov state+88, %r11; mov state+96, %r12; mov state+104, %r13; mov state+112, %r14; mov state+120, %r15\n"
        "jmp *target\n"
        ".globl run_ended\nrun_ended:\n"
        "mov %rax, state; mov %rcx, state+8; mov %rdx, state+16; mov %rbx, state+24; mov %rbp, state+40\n"
        "mov %rsi, state+48; mov %rdi, state+56; mov %r8, state+64; mov %r9, state+72; mov %r10, state+80\n"
        "mov %r11, state+88; mov %r12, state+96; mov %r13, state+104; mov %r14, state+112; mov %r15, state+120\n"
        "pushfq; popq state+128\n"
        "mov %rsp, state+32\n"
        "fxsave64 state+144\n"
        ".globl run_left\nrun_left:\n"
        "cld\n"
        "mov state+136, %rsp\n"
        "fninit; ldmxcsr default_mxcsr\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
        "ret\n"
        ".data\n.balign 8\ntarget: .quad 0\ndefault_mxcsr: .long 0x1f80\n.text\n");
/* clang-format on */
void run_ended(void), run_left(void);

void byte(struct code *code, unsigned value)
{
    *code->at++ = (uint8_t)value;
}

void immediate(struct code *code, uint64_t value, unsigned size)
{
    memcpy(code->at, &value, size);
    code->at += size;
}

void instruction(struct code *code, unsigned prefix, int map, unsigned opcode, int reg, struct operand rm, unsigned size,
                        bool bytes)
{
    if (size == 2) {
        byte(code, 0x66);
    }
    if (prefix) {
        byte(code, prefix);
    }
    unsigned rex = (size == 8) << 3 | (reg >> 3 & 1) << 2 | (rm.memory && rm.index >= 8) << 1 | (rm.reg >> 3 & 1);
    if (rex || (bytes && ((reg >= 4 && reg < 8) || (!rm.memory && rm.reg >= 4 && rm.reg < 8)))) {
        byte(code, 0x40 | rex);
    }
    if (map != ONE) {
        byte(code, 0x0f);
    }
    if (map == M0F38 || map == M0F3A) {
        byte(code, map == M0F38 ? 0x38 : 0x3a);
    }
    byte(code, opcode);
    reg = (reg & 7) << 3;
    if (!rm.memory) {
        byte(code, 0xc0 | reg | (rm.reg & 7));
    } else {
        bool small = rm.disp >= -128 && rm.disp < 128;
        bool sib = rm.index >= 0;
        byte(code, (small ? 0x40 : 0x80) | reg | (sib ? 4 : rm.reg & 7));
        if (sib) {
            byte(code, rm.scale << 6 | (rm.index & 7) << 3 | (rm.reg & 7));
        }
        immediate(code, (uint64_t)(int64_t)rm.disp, small ? 1 : 4);
    }
}

int any_reg(struct code *code)
{
    static const uint8_t pool[] = { 0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13 };
    return pool[rng_below(code->rng, sizeof(pool))];
}

struct operand in_reg(int reg)
{
    return (struct operand){ .reg = reg, .index = -1 };
}

struct operand at_base(struct code *code, int align)
{
    int disp = (int)rng_below(code->rng, 1024) - 512;
    if (rng_chance(code->rng, 3)) {
        disp = (int)rng_below(code->rng, 32) - 24; /* around the border of two pages */
    }
    return (struct operand){ .memory = true, .reg = RBX, .index = -1, .disp = disp & -align };
}

/* Memory; may write an instruction that makes the index. */
static struct operand memory(struct code *code)
{
    struct operand rm = at_base(code, 1);
    if (rng_chance(code->rng, 3)) {
        instruction(code, 0, M0F, 0xb6, R15, in_reg(any_reg(code)), 4, true); /* movzx r15d, reg8 */
        rm.index = R15;
        rm.scale = rng_below(code->rng, 2);
    }
    return rm;
}

struct operand reg_or_memory(struct code *code)
{
    return rng_chance(code->rng, 3) ? memory(code) : in_reg(any_reg(code));
}

static unsigned any_size(struct code *code)
{
    static const uint8_t sizes[] = { 1, 2, 4, 4, 8, 8 };
    return sizes[rng_below(code->rng, sizeof(sizes))];
}

static unsigned wide_size(struct code *code)
{
    static const uint8_t sizes[] = { 2, 4, 4, 8, 8 };
    return sizes[rng_below(code->rng, sizeof(sizes))];
}

/* Opcodes of which the even one is for bytes. */
static void sized(struct code *code, int map, unsigned opcode, int reg, struct operand rm, unsigned size)
{
    instruction(code, 0, map, opcode | (size > 1), reg, rm, size, size == 1);
}

static void lock(struct code *code, struct operand rm)
{
    if (rm.memory && rng_chance(code->rng, 2)) {
        byte(code, 0xf0);
    }
}

/* Defines all flags, from the carry flag and registers (with_carry: only when the carry is defined) or from registers. */
static void define_flags(struct code *code, bool with_carry)
{
    unsigned opcode = with_carry ? (rng_chance(code->rng, 2) ? 0x10 : 0x18) : 0x38; /* adc, sbb, cmp */
    sized(code, ONE, opcode, any_reg(code), in_reg(any_reg(code)), wide_size(code));
}

static void arithmetic(struct code *code)
{
    unsigned op = rng_below(code->rng, 8), size = any_size(code);
    unsigned form = rng_below(code->rng, 5);
    if (form == 0 && size == 1) { /* ah to dh */
        static const uint8_t bytes[] = { 0, 1, 2, 4, 5, 6 };
        instruction(code, 0, ONE, op << 3, bytes[rng_below(code->rng, 6)], in_reg(bytes[rng_below(code->rng, 6)]), 1, false);
        return;
    }
    struct operand rm = reg_or_memory(code);
    int reg = any_reg(code);
    if (form < 3) {
        bool to_reg = rng_chance(code->rng, 2);
        if (!to_reg && op != 7) {
            lock(code, rm);
        }
        sized(code, ONE, op << 3 | (to_reg ? 2 : 0), reg, rm, size);
    } else {
        if (op != 7) {
            lock(code, rm);
        }
        uint64_t value = rng_value(code->rng);
        if (size == 1 || form == 3) {
            instruction(code, 0, ONE, size == 1 ? 0x80 : 0x83, (int)op, rm, size, true);
            immediate(code, value, 1);
        } else {
            instruction(code, 0, ONE, 0x81, (int)op, rm, size, false);
            immediate(code, value, size == 2 ? 2 : 4);
        }
    }
}

static void unary(struct code *code)
{
    struct operand rm = reg_or_memory(code);
    lock(code, rm);
    bool complement = rng_chance(code->rng, 2); /* not, neg; inc, dec */
    int digit = (int)rng_below(code->rng, 2) + (complement ? 2 : 0);
    unsigned size = any_size(code);
    instruction(code, 0, ONE, (complement ? 0xf6 : 0xfe) | (size > 1), digit, rm, size, true);
}

static void moves(struct code *code)
{
    int reg = any_reg(code);
    unsigned size = any_size(code);
    switch (rng_below(code->rng, 10)) {
    case 0:
        sized(code, ONE, rng_chance(code->rng, 2) ? 0x88 : 0x8a, reg, reg_or_memory(code), size);
        break;
    case 1: /* mov reg, imm64 */
        byte(code, 0x48 | reg >> 3);
        byte(code, 0xb8 | (reg & 7));
        immediate(code, rng_value(code->rng), 8);
        break;
    case 2: {
        struct operand rm = reg_or_memory(code);
        instruction(code, 0, ONE, 0xc6 | (size > 1), 0, rm, size, true);
        immediate(code, rng_value(code->rng), size > 4 ? 4 : size);
        break;
    }
    case 3: { /* movzx, movsx */
        unsigned opcode = rng_chance(code->rng, 2) ? 0xb6 : 0xbe;
        bool word = rng_chance(code->rng, 2);
        instruction(code, 0, M0F, opcode | word, reg, reg_or_memory(code), wide_size(code), !word);
        break;
    }
    case 4: /* movsxd */
        instruction(code, 0, ONE, 0x63, reg, reg_or_memory(code), 8, false);
        break;
    case 5: { /* lea */
        struct operand rm = { .memory = true, .reg = R8 + (int)rng_below(code->rng, 4), .index = R8 + (int)rng_below(code->rng, 4) };
        rm.scale = (int)rng_below(code->rng, 4);
        rm.disp = (int)(int32_t)rng_value(code->rng);
        instruction(code, 0, ONE, 0x8d, reg, rm, wide_size(code), false);
        break;
    }
    case 6: /* xchg, xadd */
        if (rng_chance(code->rng, 2)) {
            sized(code, ONE, 0x86, reg, reg_or_memory(code), size);
        } else {
            struct operand rm = reg_or_memory(code);
            lock(code, rm);
            sized(code, M0F, 0xc0, reg, rm, size);
        }
        break;
    case 7: { /* cmpxchg; half of the time with what it finds */
        struct operand rm = at_base(code, 1);
        if (rng_chance(code->rng, 2)) {
            sized(code, ONE, 0x8a, RAX, rm, size);
        }
        lock(code, rm);
        sized(code, M0F, 0xb0, reg, rm, size);
        break;
    }
    case 8: /* bswap */
        byte(code, 0x40 | rng_below(code->rng, 2) << 3 | reg >> 3);
        byte(code, 0x0f);
        byte(code, 0xc8 | (reg & 7));
        break;
    case 9: { /* cmpxchg8b, cmpxchg16b */
        bool wide = rng_chance(code->rng, 2);
        struct operand rm = at_base(code, wide ? 16 : 8);
        if (rng_chance(code->rng, 2)) { /* with what it finds */
            struct operand high = rm;
            high.disp += wide ? 8 : 4;
            sized(code, ONE, 0x8a, RAX, rm, wide ? 8 : 4);
            sized(code, ONE, 0x8a, RDX, high, wide ? 8 : 4);
        }
        lock(code, rm);
        instruction(code, 0, M0F, 0xc7, 1, rm, wide ? 8 : 4, false);
        /* Of the flags only the zero flag is changed; QEMU 7.2 gets the others wrong. */
        instruction(code, 0, M0F, 0x94, 0, in_reg(any_reg(code)), 1, true);
        define_flags(code, false);
        break;
    }
    }
}

static void conditional(struct code *code)
{
    unsigned condition = rng_below(code->rng, 16);
    if (rng_chance(code->rng, 2)) {
        instruction(code, 0, M0F, 0x90 | condition, 0, reg_or_memory(code), 1, true);
    } else {
        int reg = any_reg(code);
        instruction(code, 0, M0F, 0x40 | condition, reg, reg_or_memory(code), wide_size(code), false);
    }
}

static void shift(struct code *code)
{
    static const uint8_t digits[] = { 0, 1, 2, 3, 4, 5, 7 };
    struct operand rm = reg_or_memory(code);
    int digit = digits[rng_below(code->rng, sizeof(digits))];
    unsigned size = any_size(code), count;
    switch (rng_below(code->rng, 4)) {
    case 0: /* by one: nothing is undefined */
        instruction(code, 0, ONE, 0xd0 | (size > 1), digit, rm, size, true);
        return;
    case 1:
        instruction(code, 0, ONE, 0xd2 | (size > 1), digit, rm, size, true);
        break;
    case 2:
        instruction(code, 0, ONE, 0xc0 | (size > 1), digit, rm, size, true);
        count = rng_below(code->rng, size == 8 ? 64 : 32);
        immediate(code, count, 1);
        break;
    default: { /* shld, shrd */
        unsigned opcode = rng_chance(code->rng, 2) ? 0xa4 : 0xac;
        bool by_cl = rng_chance(code->rng, 2);
        size = rng_chance(code->rng, 2) ? 4 : 8;
        instruction(code, 0, M0F, opcode | by_cl, any_reg(code), rm, size, false);
        if (!by_cl) {
            immediate(code, rng_below(code->rng, 64), 1);
        }
    }
    }
    define_flags(code, false);
}

static void bits(struct code *code)
{
    unsigned size = wide_size(code);
    int reg = any_reg(code);
    switch (rng_below(code->rng, 4)) {
    case 0: { /* bt, bts, btr, btc with an immediate */
        struct operand rm = reg_or_memory(code);
        int digit = 4 + (int)rng_below(code->rng, 4);
        if (digit != 4) {
            lock(code, rm);
        }
        instruction(code, 0, M0F, 0xba, digit, rm, size, false);
        immediate(code, rng_below(code->rng, size * 8), 1);
        define_flags(code, true);
        break;
    }
    case 1:
        instruction(code, 0, M0F, 0xa3 | rng_below(code->rng, 4) << 3, reg, in_reg(any_reg(code)), size, false);
        define_flags(code, true);
        break;
    case 2: /* bsf, bsr; without a bit the target stays */
        instruction(code, 0, M0F, 0xbc | rng_below(code->rng, 2), reg, reg_or_memory(code), size == 2 ? 4 : size, false);
        instruction(code, 0, M0F, 0x94, 0, in_reg(any_reg(code)), 1, true);
        define_flags(code, false);
        break;
    case 3: /* bit offset in a register, memory: the word it selects lies within 32 bytes */
        instruction(code, 0, M0F, 0xb6, R15, in_reg(any_reg(code)), 4, true);
        {
            struct operand rm = at_base(code, 1);
            bool modify = rng_chance(code->rng, 2);
            if (modify) {
                lock(code, rm);
            }
            instruction(code, 0, M0F, modify ? 0xab : 0xa3, R15, rm, size, false);
        }
        define_flags(code, true);
        break;
    }
}

static void multiply(struct code *code)
{
    unsigned size = any_size(code);
    int reg = any_reg(code);
    switch (rng_below(code->rng, 4)) {
    case 0: /* mul, imul: carry and overflow are defined */
        instruction(code, 0, ONE, 0xf6 | (size > 1), 4 + (int)rng_below(code->rng, 2), reg_or_memory(code), size, true);
        break;
    case 1:
        instruction(code, 0, M0F, 0xaf, reg, reg_or_memory(code), size == 1 ? 8 : size, false);
        break;
    case 2: {
        bool small = rng_chance(code->rng, 2);
        size = size == 1 ? 4 : size;
        instruction(code, 0, ONE, small ? 0x6b : 0x69, reg, reg_or_memory(code), size, false);
        immediate(code, rng_value(code->rng), small ? 1 : size == 2 ? 2 : 4);
        break;
    }
    case 3: { /* div, idiv: most of the time the quotient fits, else there is a signal */
        bool is_signed = rng_chance(code->rng, 2);
        size = size == 1 ? 4 : size;
        if (is_signed) {
            instruction(code, 0, ONE, 0x99, 0, in_reg(0), size, false);
            code->at--; /* cwd and its like have no operand */
        } else {
            sized(code, ONE, 0x30, RDX, in_reg(RDX), 8);
        }
        reg = R8 + (int)rng_below(code->rng, 5);
        if (!rng_chance(code->rng, 16)) {
            instruction(code, 0, ONE, 0x83, 1, in_reg(reg), size, false); /* or reg, 1 */
            immediate(code, 1, 1);
        }
        instruction(code, 0, ONE, 0xf7, is_signed ? 7 : 6, in_reg(reg), size, false);
        define_flags(code, false);
        return;
    }
    }
    define_flags(code, true);
}

static void simple(struct code *code)
{
    static const uint8_t opcodes[] = { 0x98, 0x99, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9 }; /* cbw cwd sahf lahf cmc clc stc */
    unsigned opcode = opcodes[rng_below(code->rng, sizeof(opcodes))];
    if (opcode < 0x9a && rng_chance(code->rng, 2)) {
        byte(code, rng_chance(code->rng, 2) ? 0x48 : 0x66);
    }
    byte(code, opcode);
}

static void push_pop(struct code *code)
{
    int reg = any_reg(code);
    switch (rng_below(code->rng, 3)) {
    case 0:
        instruction(code, 0, ONE, 0xff, 6, reg_or_memory(code), 0, false);
        break;
    case 1:
        byte(code, 0x68);
        immediate(code, rng_value(code->rng), 4);
        break;
    case 2:
        byte(code, 0x9c); /* pushfq */
        break;
    }
    if (rng_chance(code->rng, 2)) {
        arithmetic(code);
    }
    instruction(code, 0, ONE, 0x8f, 0, in_reg(reg), 0, false);
}

/* lea reg, [rbx + disp] */
static void address(struct code *code, int reg, int disp)
{
    struct operand rm = { .memory = true, .reg = RBX, .index = -1, .disp = disp };
    instruction(code, 0, ONE, 0x8d, reg, rm, 8, false);
}

static void strings(struct code *code)
{
    static const uint8_t opcodes[] = { 0xa4, 0xaa, 0xac, 0xa6, 0xae }; /* movs stos lods cmps scas */
    unsigned op = rng_below(code->rng, 5), size = any_size(code);
    bool backwards = rng_chance(code->rng, 6);
    address(code, RDI, (int)rng_below(code->rng, 512) - (backwards ? 0 : 512));
    address(code, RSI, (int)rng_below(code->rng, 512) - (backwards ? 0 : 512));
    byte(code, 0xb9); /* mov ecx, count */
    immediate(code, rng_below(code->rng, rng_chance(code->rng, 2) ? 4 : 32), 4);
    if (backwards) {
        byte(code, 0xfd);
    }
    if (size == 2) {
        byte(code, 0x66);
    }
    if (!rng_chance(code->rng, 4)) {
        byte(code, op >= 3 && rng_chance(code->rng, 2) ? 0xf2 : 0xf3);
    }
    if (size == 8) {
        byte(code, 0x48);
    }
    byte(code, opcodes[op] | (size > 1));
    if (backwards) {
        byte(code, 0xfc);
    }
}

/* ---- control flow ---- */

static void pend(struct code *code, unsigned within)
{
    if (code->n_pending < sizeof(code->pending) / sizeof(code->pending[0])) {
        code->pending[code->n_pending++] =
            (struct pending){ .place = code->at, .target = code->index + 1 + rng_below(code->rng, within) };
    }
    immediate(code, 0, 4);
}

void arch_patch(struct code *code, uint8_t *place)
{
    int32_t distance = (int32_t)(code->at - (place + 4));
    memcpy(place, &distance, 4);
}

static void branch(struct code *code)
{
    if (rng_chance(code->rng, 6)) {
        byte(code, 0xe9);
    } else {
        byte(code, 0x0f);
        byte(code, 0x80 | rng_below(code->rng, 16));
    }
    pend(code, 5);
}

/* A relative address to be filled in within this statement. */
static uint8_t *hole(struct code *code)
{
    immediate(code, 0, 4);
    return code->at - 4;
}

static void call(struct code *code)
{
    byte(code, 0xe8);
    uint8_t *to_function = hole(code);
    byte(code, 0xe9);
    uint8_t *over = hole(code);
    arch_patch(code, to_function);
    for (unsigned i = rng_below(code->rng, 4); i > 0; i--) {
        arithmetic(code);
    }
    byte(code, 0xc3);
    arch_patch(code, over);
}

static void lea_rip(struct code *code, int reg, uint8_t **place)
{
    byte(code, 0x48 | (reg >> 3) << 2);
    byte(code, 0x8d);
    byte(code, 5 | (reg & 7) << 3);
    *place = hole(code);
}

/* A jump through a register to one of two places. */
static void indirect(struct code *code)
{
    uint8_t *first, *second;
    int other = R8 + (int)rng_below(code->rng, 5);
    lea_rip(code, R15, &first);
    lea_rip(code, other, &second);
    instruction(code, 0, M0F, 0x40 | rng_below(code->rng, 16), R15, in_reg(other), 8, false);
    instruction(code, 0, ONE, 0xff, 4, in_reg(R15), 0, false);
    arch_patch(code, second);
    arithmetic(code);
    arch_patch(code, first);
    sized(code, ONE, 0x30, other, in_reg(other), 8); /* no addresses in the result */
}

/* An access to a page that is not there, or an instruction that is none: registers have to be those of that moment. */
static void fault(struct code *code)
{
    if (rng_chance(code->rng, 3)) {
        byte(code, 0x0f);
        byte(code, 0x0b);
        return;
    }
    byte(code, 0x41);
    byte(code, 0xbf); /* mov r15d, ... */
    immediate(code, NOTHING_AT + rng_below(code->rng, 4096), 4);
    struct operand rm = { .memory = true, .reg = R15, .index = -1 };
    if (rng_chance(code->rng, 3)) {
        instruction(code, 0, M0F, rng_chance(code->rng, 2) ? 0x10 : 0x11, any_xmm(code), rm, 0, false);
    } else {
        unsigned op = rng_below(code->rng, 8);
        sized(code, ONE, op << 3 | (rng_chance(code->rng, 2) ? 2 : 0), any_reg(code), rm, any_size(code));
    }
}

void arch_loop_begin(struct code *code)
{
    byte(code, 0x41);
    byte(code, 0xbe); /* mov r14d, ... */
    immediate(code, 1 + rng_below(code->rng, 6), 4);
}

void arch_loop_end(struct code *code)
{
    instruction(code, 0, ONE, 0xff, 1, in_reg(R14), 4, false); /* dec r14d */
    byte(code, 0x0f);
    byte(code, 0x85);
    int32_t distance = (int32_t)(code->loop - (code->at + 4));
    immediate(code, (uint64_t)(int64_t)distance, 4);
}

void arch_end(struct code *code)
{
    /* push the address of the end; ret */
    byte(code, 0x68);
    immediate(code, (uintptr_t)run_ended, 4);
    byte(code, 0xc3);
}

void arch_statement(struct code *code)
{
    static void (*const makers[])(struct code *) = {
        arithmetic, arithmetic, arithmetic,     arithmetic,     unary,          moves,    moves,     moves,  conditional,
        shift,      shift,      bits,           multiply,       multiply,       simple,   push_pop,  strings, sse_arithmetic,
        sse_arithmetic, sse_arithmetic, sse_arithmetic, sse_move, sse_move, sse_other, sse_other, x87, branch, branch, branch, call, indirect,
    };
    if (rng_chance(code->rng, 300)) {
        fault(code);
    } else {
        makers[rng_below(code->rng, sizeof(makers) / sizeof(makers[0]))](code);
    }
}

/* ---- running ---- */

enum { FLAGS = 0x8d5 }; /* OF SF ZF AF PF CF */

void arch_randomise(struct rng *rng)
{
    memset(&state.fx, 0, sizeof(state.fx));
    for (int i = 0; i < 16; i++) {
        state.gpr[i] = rng_value(rng);
        uint64_t low = i & 1 ? rng_float(rng, true) : rng_value(rng), high = i & 2 ? rng_float(rng, false) : rng_value(rng);
        memcpy(state.fx.xmm[i], &low, 8);
        memcpy(state.fx.xmm[i] + 8, &high, 8);
    }
    state.gpr[RBX] = DATA_BASE;
    state.gpr[RSP] = STACK_AT + STACK_SIZE - 256;
    state.gpr[R14] = state.gpr[R15] = 0;
    state.flags = (rng_next(rng) & FLAGS) | 0x202;
    state.fx.control = 0x37f;
    state.fx.mxcsr = 0x1f80 | rng_below(rng, 4) << 13;
}

uintptr_t arch_pc(ucontext_t *context)
{
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

void arch_caught(ucontext_t *context)
{
    static const int order[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
    for (int i = 0; i < 16; i++) {
        state.gpr[i] = (uint64_t)context->uc_mcontext.gregs[order[i]];
    }
    state.flags = (uint64_t)context->uc_mcontext.gregs[REG_EFL];
    memcpy(&state.fx, context->uc_mcontext.fpregs, sizeof(state.fx));
}

void arch_leave(ucontext_t *context)
{
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)run_left;
    context->uc_mcontext.gregs[REG_EFL] &= ~0x400; /* DF */
}

bool arch_skip(ucontext_t *context)
{
    (void)context;
    return false;
}

const void *arch_visible(size_t *size)
{
    state.gpr[R15] = 0; /* scratch, may hold addresses of the program */
    state.flags &= FLAGS;
    state.host_rsp = 0;
    state.fx.mxcsr_mask = 0;
    state.fx.mxcsr &= ~DENORMAL;
    state.fx.status &= ~DENORMAL;
    /* Which instruction x87 saw last is not kept by all versions of QEMU. */
    state.fx.instruction = state.fx.operand = 0;
    state.fx.opcode = 0;
    memset(state.fx.rest, 0, sizeof(state.fx.rest));
    *size = sizeof(state);
    return &state;
}

void arch_print(void)
{
    static const char names[][4] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    for (int i = 0; i < 16; i++) {
        printf("%4s %016lx%s", names[i], (unsigned long)state.gpr[i], i % 4 == 3 ? "\n" : "");
    }
    printf("flags %03lx fcw %04x fsw %04x ftw %02x mxcsr %04x\n", (unsigned long)(state.flags & FLAGS), state.fx.control,
           state.fx.status, state.fx.tag, state.fx.mxcsr);
    for (int i = 0; i < 16; i++) {
        uint64_t halves[2];
        memcpy(halves, state.fx.xmm[i], 16);
        printf("xmm%-2d %016lx%016lx%s", i, (unsigned long)halves[1], (unsigned long)halves[0], i % 2 ? "\n" : "  ");
    }
    for (int i = 0; i < 8; i++) {
        uint64_t halves[2];
        memcpy(halves, state.fx.st[i], 16);
        printf("st%d %04lx%016lx%s", i, (unsigned long)halves[1] & 0xffff, (unsigned long)halves[0], i % 4 == 3 ? "\n" : "  ");
    }
}
