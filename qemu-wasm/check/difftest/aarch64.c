/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Random A64 code: integer, load and store, atomic, floating point, Advanced SIMD and cryptographic instructions.
 *
 * Most instructions are given as patterns of their 32 bits (see emit). x16 holds DATA_BASE, x17, x18 and x20 are scratch, x19
 * counts loops, x29 leads out of the block; all others are the blocks'. An encoding that turns out to be none is stepped
 * over: both machines have to agree on that, too.
 */
#include "difftest.h"

#include <asm/sigcontext.h>
#include <string.h>

struct state {
    uint64_t x[31], sp, nzcv, fpcr, fpsr, host_sp;
    uint64_t v[32][2];
} __attribute__((aligned(64)));
struct state state;
_Static_assert(offsetof(struct state, v) == 288, "the assembly below says 288");

/* clang-format off */
#define PAIRS(op, r) \
    op " " r "0, " r "1, [x29, #16*0]\n" op " " r "2, " r "3, [x29, #16*1]\n" op " " r "4, " r "5, [x29, #16*2]\n" \
    op " " r "6, " r "7, [x29, #16*3]\n" op " " r "8, " r "9, [x29, #16*4]\n" op " " r "10, " r "11, [x29, #16*5]\n" \
    op " " r "12, " r "13, [x29, #16*6]\n" op " " r "14, " r "15, [x29, #16*7]\n" op " " r "16, " r "17, [x29, #16*8]\n" \
    op " " r "18, " r "19, [x29, #16*9]\n" op " " r "20, " r "21, [x29, #16*10]\n" op " " r "22, " r "23, [x29, #16*11]\n" \
    op " " r "24, " r "25, [x29, #16*12]\n" op " " r "26, " r "27, [x29, #16*13]\n"
#define VECTORS(op) \
    op " {v0.2d-v3.2d}, [x28], #64\n" op " {v4.2d-v7.2d}, [x28], #64\n" op " {v8.2d-v11.2d}, [x28], #64\n" \
    op " {v12.2d-v15.2d}, [x28], #64\n" op " {v16.2d-v19.2d}, [x28], #64\n" op " {v20.2d-v23.2d}, [x28], #64\n" \
    op " {v24.2d-v27.2d}, [x28], #64\n" op " {v28.2d-v31.2d}, [x28], #64\n"
__asm__(".text\n.globl arch_run\narch_run:\n"
        "stp x29, x30, [sp, #-160]!\nstp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\n"
        "stp x25, x26, [sp, #64]\nstp x27, x28, [sp, #80]\nstp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\n"
        "stp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
        "adrp x29, state\nadd x29, x29, :lo12:state\n"
        "mov x1, sp\nstr x1, [x29, #280]\nmov x30, x0\n"
        "ldr x1, [x29, #248]\nmov sp, x1\n"
        "ldr x1, [x29, #256]\nmsr nzcv, x1\nldr x1, [x29, #264]\nmsr fpcr, x1\nldr x1, [x29, #272]\nmsr fpsr, x1\n"
        "add x28, x29, #288\n" VECTORS("ld1")
        PAIRS("ldp", "x")
        "ldr x28, [x29, #224]\nmov x29, #0\n"
        "br x30\n"
        ".globl run_ended\nrun_ended:\n"
        "adrp x29, state\nadd x29, x29, :lo12:state\n"
        PAIRS("stp", "x")
        "str x28, [x29, #224]\nmov x1, sp\nstr x1, [x29, #248]\n"
        "mrs x1, nzcv\nstr x1, [x29, #256]\nmrs x1, fpcr\nstr x1, [x29, #264]\nmrs x1, fpsr\nstr x1, [x29, #272]\n"
        "add x28, x29, #288\n" VECTORS("st1")
        ".globl run_left\nrun_left:\n"
        "msr fpcr, xzr\nmsr fpsr, xzr\n"
        "adrp x29, state\nadd x29, x29, :lo12:state\nldr x1, [x29, #280]\nmov sp, x1\n"
        "ldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\nldp x25, x26, [sp, #64]\n"
        "ldp x27, x28, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\n"
        "ldp d14, d15, [sp, #144]\nldp x29, x30, [sp], #160\n"
        "ret\n");
/* clang-format on */
void run_ended(void), run_left(void);

enum { BASE = 16, SCRATCH = 17, POINTER = 18, COUNTER = 19, OTHER = 20, WAY_OUT = 29 };

static void word(struct code *code, uint32_t value)
{
    memcpy(code->at, &value, 4);
    code->at += 4;
}

static unsigned any_reg(struct code *code)
{
    static const uint8_t pool[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25, 26, 27, 28 };
    return pool[rng_below(code->rng, sizeof(pool))];
}

/*
 * A pattern has a character for each of the 32 bits, highest first: 0 and 1 are what they say, `.` is random, and a letter
 * stands for a field of five bits with a register: r may be 31 (zero), R not. Spaces are for the eye.
 */
static void emit(struct code *code, const char *pattern)
{
    uint32_t value = 0;
    int bits = 0;
    while (*pattern) {
        char c = *pattern++;
        if (c == 'r' || c == 'R') {
            value = value << 5 | (c == 'r' && rng_chance(code->rng, 12) ? 31 : any_reg(code));
            bits += 5;
        } else if (c != ' ') {
            value = value << 1 | (c == '.' ? rng_below(code->rng, 2) : (unsigned)(c - '0'));
            bits += 1;
        }
    }
    if (bits != 32) {
        fprintf(stderr, "difftest: a pattern has %d bits, before %p\n", bits, (const void *)pattern);
    }
    word(code, value);
}

static void emit_one_of(struct code *code, const char *const *patterns, size_t count)
{
    emit(code, patterns[rng_below(code->rng, (unsigned)count)]);
}
#define ONE_OF(code, patterns) emit_one_of(code, patterns, sizeof(patterns) / sizeof(patterns[0]))

static const char *const integer[] = {
    /* add, sub: shifted register, extended register, immediate */
    "1.. 01011 00 0 r ...... r r", "1.. 01011 01 0 r ...... r r", "1.. 01011 10 0 r ...... r r", "0.. 01011 00 0 r 0..... r r",
    "0.. 01011 10 0 r 0..... r r", "... 01011 001 r ... 0.. R R", "... 100010 . ............ R R", "... 100010 0 ............ R R",
    /* logical: shifted register, immediate */
    "1.. 01010 .. . r ...... r r", "0.. 01010 .. . r 0..... r r", "1.. 100100 . ...... 0..... r R", "0.. 100100 0 ...... 0..... r R",
    "1.. 100100 1 ...... ...... r R",
    /* move wide */
    "100 100101 .. ................ r", "110 100101 .. ................ r", "111 100101 .. ................ r",
    "0.0 100101 0. ................ r", "011 100101 0. ................ r",
    /* bit fields, extract, adr */
    "100 100110 1 ...... ...... r r", "101 100110 1 ...... ...... r r", "110 100110 1 ...... ...... r r",
    "000 100110 0 0..... 0..... r r", "001 100110 0 0..... 0..... r r", "010 100110 0 0..... 0..... r r",
    "100 100111 1 0 r ...... r r", "000 100111 0 0 r 0..... r r", "0.. 10000 ................... r",
    /* divide, variable shifts, crc32, rbit, rev, clz, cls */
    ".00 11010110 r 00001. r r", ".00 11010110 r 0010.. r r", "000 11010110 r 010.0. r r", "000 11010110 r 010.10 r r",
    "100 11010110 r 010.11 r r", ".10 11010110 00000 00000. r r", ".10 11010110 00000 00010. r r", "110 11010110 00000 00001. r r",
    /* adc, sbc; conditional compare and select */
    "... 11010000 r 000000 r r", "..1 11010010 r .... .0 r 0....", "..0 11010100 r .... 0. r r",
    /* multiply */
    ".00 11011 000 r . r r r", "100 11011 .01 r . r r r", "100 11011 .10 r 011111 r r",
    /* the flags */
    "1101010100 111 011 0100 0010 000 r", "1101010100 011 011 0100 0010 000 r",
};

/* Loads and stores from x16: scaled, unscaled, pairs, structures. */
static const char *const memory[] = {
    ".. 111 001 0. 00000....... 10000 r", "0. 111 001 1. 00000....... 10000 r", "10 111 001 10 00000....... 10000 r",
    ".. 111 000 0. 0 ......... 00 10000 r", "0. 111 000 1. 0 ......... 00 10000 r",
    ".. 111 101 0. 000000...... 10000 .....", "00 111 101 1. 000000...... 10000 .....", ".. 111 100 0. 0 ......... 00 10000 .....",
    "00 111 100 1. 0 ......... 00 10000 .....",
    "10 101 0 010 . ....... 01... 10000 00...", "00 101 0 010 . ....... 01... 10000 00...", "01 101 0 010 1 ....... 01... 10000 00...",
    "00 101 1 010 . 0...... 1.... 10000 0....", "01 101 1 010 . 0...... 1.... 10000 0....", "10 101 1 010 . 0...... 1.... 10000 0....",
    "0. 0011000 . 000000 0111 .. 10000 .....", "0. 0011000 . 000000 1010 .. 10000 .....", "0. 0011000 . 000000 0110 .. 10000 .....",
    "0. 0011000 . 000000 0010 .. 10000 .....", "01 0011000 . 000000 0.00 .. 10000 .....", "01 0011000 . 000000 1000 .. 10000 .....",
    "0. 0011010 . 000000 000 ... 10000 .....", "0. 0011010 1 000000 110 0.. 10000 .....",
};
/* With write-back, from x18. */
static const char *const write_back[] = {
    ".. 111 000 0. 0 ......... .1 10010 r", ".. 111 100 0. 0 ......... .1 10010 .....", "10 101 0 001 . ....... 01... 10010 00...",
    "10 101 0 011 . ....... 01... 10010 00...", "0. 0011001 . 0 11111 0111 .. 10010 .....", "01 0011001 . 0 11111 1000 .. 10010 .....",
};
/* At x16 + x17. */
static const char *const indexed[] = {
    ".. 111 000 0. 1 10001 .1. . 10 10000 r", "0. 111 000 1. 1 10001 .1. . 10 10000 r", ".. 111 100 0. 1 10001 .1. . 10 10000 .....",
    "00 111 100 1. 1 10001 .1. . 10 10000 .....",
};
/* At x18, aligned: acquire and release, and (level 2) LSE. */
static const char *const ordered[] = { ".. 001000 1 . 0 11111 1 11111 10010 r" };
static const char *const lse[] = {
    ".. 111000 .. 1 r 0 ... 00 10010 r", ".. 111000 .. 1 r 1 000 00 10010 r", ".. 0010001 . 1 r . 11111 10010 r",
    "0. 0010000 . 1 00..0 . 11111 10010 01..0", ".. 111000 101 11111 110000 10010 r",
};

static const char *const floating[] = {
    "00011110 0. 1 ..... 0... 10 ..... .....", "00011110 0. 1 ..... 1000 10 ..... .....", "00011110 0. 1 ..... 00.. 10 ..... .....",
    "00011110 0. 1 0000.. 10000 ..... .....", "00011110 00 1 000101 10000 ..... .....", "00011110 01 1 000100 10000 ..... .....",
    "00011110 00 1 000111 10000 ..... .....", "00011110 11 1 000100 10000 ..... .....", "00011110 11 1 000101 10000 ..... .....",
    "00011110 01 1 000111 10000 ..... .....", "00011110 0. 1 0010.. 10000 ..... .....", "00011110 0. 1 001100 10000 ..... .....",
    "00011110 0. 1 00111. 10000 ..... .....", "00011110 0. 1 ..... 001000 ..... ..000", "00011110 0. 1 ..... .... 01 ..... .....",
    "00011110 0. 1 ..... .... 11 ..... .....", "00011110 0. 1 ........ 100 00000 .....", "00011111 0. . ..... . ..... ..... .....",
    "00011111 0. . ..... . ..... ..... .....", ".0011110 0. 1 .. 00. 000000 ..... r", ".0011110 0. 1 00 01. 000000 r .....",
    ".0011110 0. 1 00 10. 000000 ..... r", "00011110 00 1 00 110 000000 ..... r", "00011110 00 1 00 111 000000 r .....",
    "10011110 01 1 00 110 000000 ..... r", "10011110 01 1 00 111 000000 r .....", "10011110 10 1 01 110 000000 ..... r",
    "10011110 10 1 01 111 000000 r .....", "10011110 0. 0 11 00. ...... ..... r", "10011110 0. 0 00 01. ...... r .....",
    /* scalar Advanced SIMD */
    "01.11110 11 1 ..... 10000 1 ..... .....", "01.11110 .. 1 ..... 00001 1 ..... .....", "01.11110 .. 1 ..... 00101 1 ..... .....",
    "01.11110 .. 1 ..... 01001 1 ..... .....", "01.11110 .. 1 ..... 01011 1 ..... .....", "01011110 0. 1 ..... 11011 1 ..... .....",
    "01.11110 0. 1 ..... 11100 1 ..... .....", "01111110 1. 1 ..... 11010 1 ..... .....",
};

static const char *const vector[] = {
    /* three of the same: integer, floating point */
    "0.. 01110 0. 1 ..... 0.... 1 ..... .....", "0.. 01110 10 1 ..... 0.... 1 ..... .....", "0.. 01110 0. 1 ..... 0.... 1 ..... .....",
    "0.. 01110 10 1 ..... 100.. 1 ..... .....", "0.. 01110 0. 1 ..... 100.. 1 ..... .....", "0.. 01110 10 1 ..... 1010. 1 ..... .....",
    "01. 01110 11 1 ..... 10000 1 ..... .....", "01. 01110 11 1 ..... 0011. 1 ..... .....", "01. 01110 11 1 ..... 0100. 1 ..... .....",
    "0.0 01110 .0 1 ..... 11... 1 ..... .....", "010 01110 .1 1 ..... 11... 1 ..... .....", "0.1 01110 .0 1 ..... 1101. 1 ..... .....",
    "011 01110 .1 1 ..... 1101. 1 ..... .....", "0.1 01110 .0 1 ..... 1110. 1 ..... .....",
    /* three different */
    "0.. 01110 0. 1 ..... 0... 00 ..... .....", "0.. 01110 10 1 ..... 0... 00 ..... .....", "0.. 01110 0. 1 ..... 1000 00 ..... .....",
    "0.. 01110 10 1 ..... 1010 00 ..... .....", "0.. 01110 0. 1 ..... 1100 00 ..... .....", "0.0 01110 00 1 ..... 1110 00 ..... .....",
    "0.0 01110 10 1 ..... 1.01 00 ..... .....",
    /* two, integer and floating point */
    "0.. 01110 0. 10000 0001. 10 ..... .....", "0.. 01110 10 10000 0001. 10 ..... .....", "0.. 01110 0. 10000 00100 10 ..... .....",
    "0.. 01110 0. 10000 0011. 10 ..... .....", "0.. 01110 10 10000 0100. 10 ..... .....", "0.. 01110 0. 10000 0100. 10 ..... .....",
    "0.. 01110 0. 10000 01011 10 ..... .....", "0.. 01110 0. 10000 10010 10 ..... .....", "0.. 01110 10 10000 10100 10 ..... .....",
    "0.. 01110 00 10000 00000 10 ..... .....", "0.0 01110 00 10000 00101 10 ..... .....", "0.1 01110 0. 10000 00101 10 ..... .....",
    "0.1 01110 0. 10000 10011 10 ..... .....", "0.. 01110 .0 10000 1101. 10 ..... .....", "01. 01110 .1 10000 1101. 10 ..... .....",
    "0.. 01110 .0 10000 1110. 10 ..... .....", "01. 01110 01 10000 1110. 10 ..... .....", "0.. 01110 00 10000 1100. 10 ..... .....",
    "01. 01110 11 10000 0110. 10 ..... .....", "0.. 01110 10 10000 0110. 10 ..... .....", "011 01110 1. 10000 11111 10 ..... .....",
    "0.0 01110 0. 10000 1011. 10 ..... .....",
    /* across, copies, immediates */
    "0.. 01110 0. 11000 00011 10 ..... .....", "0.. 01110 0. 11000 01010 10 ..... .....", "01. 01110 10 11000 11010 10 ..... .....",
    "0.0 01110 0. 11000 11011 10 ..... .....", "0.0 01110000 ....1 000001 ..... .....", "0.0 01110000 ..100 000001 ..... .....",
    "0.0 01110000 ...10 000011 r .....", "010 01110000 .1000 000011 r .....", "010 01110000 ....1 000111 r .....",
    "010 01110000 ..100 000111 r .....", "000 01110000 ...10 001111 ..... r", "0.0 01110000 ....1 001011 ..... r",
    "010 01110000 .1000 001111 ..... r", "011 01110000 ....1 0....1 ..... .....", "011 01110000 ..100 0....1 ..... .....",
    "0.. 0111100000 ... 0... 01 ..... .....", "0.. 0111100000 ... 10.. 01 ..... .....", "0.0 0111100000 ... 11.. 01 ..... .....",
    /* shifts by an immediate */
    "0.. 011110 0001 ... 00..0 1 ..... .....", "0.. 011110 001. ... 00..0 1 ..... .....", "0.. 011110 01.. ... 00..0 1 ..... .....",
    "01. 011110 1... ... 00..0 1 ..... .....", "0.. 011110 01.. ... 01010 1 ..... .....", "0.1 011110 001. ... 01..0 1 ..... .....",
    "0.. 011110 001. ... 100.. 1 ..... .....", "0.. 011110 01.. ... 100.. 1 ..... .....", "0.. 011110 0001 ... 10100 1 ..... .....",
    "0.. 011110 01.. ... 10100 1 ..... .....", "0.. 011110 01.. ... 11100 1 ..... .....", "01. 011110 1... ... 11111 1 ..... .....",
    /* by element */
    "0.. 01111 10 .. .... 0010 . 0 ..... .....", "0.. 01111 01 .. .... 1010 . 0 ..... .....", "0.1 01111 10 .. .... 0.00 . 0 ..... .....",
    "0.0 01111 01 .. .... 110. . 0 ..... .....", "0.0 01111 10 .. .... 0.01 . 0 ..... .....", "0.. 01111 10 .. .... 1001 . 0 ..... .....",
    "010 01111 11 0. .... 0.01 . 0 ..... .....",
    /* permutations, tables */
    "0.0 01110 0. 0 ..... 0.01 10 ..... .....", "0.0 01110 0. 0 ..... 0.1. 10 ..... .....", "010 01110 1. 0 ..... 0.1. 10 ..... .....",
    "001 01110000 ..... 00...0 ..... .....", "011 01110000 ..... 0....0 ..... .....", "0.0 01110000 ..... 0... 00 ..... .....",
};

/* Level 2: cryptography, dot products, half precision, rounding doubling multiply-accumulate. */
static const char *const extended[] = {
    "01001110 00 10100 001.. 10 ..... .....", "01011110000 ..... 00.. 00 ..... .....", "01011110000 ..... 010. 00 ..... .....",
    "01011110 00 10100 0000. 10 ..... .....", "0.. 01110 10 0 ..... 100101 ..... .....", "0.0 01110 .1 0 ..... 000..1 ..... .....",
    "0.. 01110 10 0 ..... 1000.1 ..... .....", "0.0 01110 11 1 ..... 111000 ..... .....", "00011110 11 1 ..... 00.. 10 ..... .....",
    "00011111 11 . ..... . ..... ..... .....", "00011110 11 1 0000.. 10000 ..... .....",
};

static void emit_integer(struct code *code)
{
    ONE_OF(code, integer);
}
static void emit_memory(struct code *code)
{
    ONE_OF(code, memory);
}
static void emit_floating(struct code *code)
{
    ONE_OF(code, floating);
}
static void emit_vector(struct code *code)
{
    ONE_OF(code, vector);
}
static void emit_extended(struct code *code)
{
    if (code->level >= 2) {
        ONE_OF(code, extended);
    } else {
        ONE_OF(code, vector);
    }
}

static void emit_write_back(struct code *code)
{
    word(code, 0x91000000 | BASE << 5 | POINTER); /* add x18, x16, #0 */
    ONE_OF(code, write_back);
}

static void emit_indexed(struct code *code)
{
    word(code, 0x92401400 | any_reg(code) << 5 | SCRATCH); /* and x17, reg, #0x3f */
    ONE_OF(code, indexed);
}

/* add x18, x16, a multiple of 16 */
static void aligned_pointer(struct code *code)
{
    word(code, 0x91000000 | rng_below(code->rng, 32) << 14 | BASE << 5 | POINTER);
}

static void emit_atomic(struct code *code)
{
    aligned_pointer(code);
    switch (rng_below(code->rng, code->level >= 2 ? 4 : 2)) {
    case 0:
        ONE_OF(code, ordered);
        break;
    case 1: { /* a loop of load exclusive and store exclusive; an interrupt may break it */
        unsigned size = rng_below(code->rng, 4) << 30, order = rng_below(code->rng, 2) << 15;
        word(code, size | order | 0x085f7c00 | POINTER << 5 | SCRATCH);                      /* ld(a)xr x17, [x18] */
        word(code, 0x8b000000 | any_reg(code) << 16 | SCRATCH << 5 | SCRATCH);               /* add x17, x17, reg */
        word(code, size | order | 0x08007c00 | OTHER << 16 | POINTER << 5 | SCRATCH);        /* st(l)xr w20, x17, [x18] */
        word(code, 0x35000000 | (uint32_t)(-3 & 0x7ffff) << 5 | OTHER);                      /* cbnz w20, to the load */
        break;
    }
    default:
        ONE_OF(code, lse);
    }
}

/* stp and ldp on the stack */
static void emit_stack(struct code *code)
{
    word(code, 0xa9bf0000 | any_reg(code) << 10 | 31 << 5 | any_reg(code));
    emit_integer(code);
    unsigned first = rng_below(code->rng, 8), second = 8 + rng_below(code->rng, 8);
    word(code, 0xa8c10000 | second << 10 | 31 << 5 | first);
}

/* A rounding mode, sometimes default NaNs and flush to zero; and the status register read. */
static void emit_fpcr(struct code *code)
{
    unsigned high = rng_below(code->rng, 4) << 6 | (rng_chance(code->rng, 3) ? 3 << 8 : 0);
    word(code, 0xd2a00000 | high << 5 | SCRATCH); /* movz x17, #high, lsl #16 */
    word(code, 0xd51b4400 | SCRATCH);             /* msr fpcr, x17 */
    word(code, 0xd53b4420 | any_reg(code));       /* mrs reg, fpsr */
}

/* ---- control flow ---- */

void arch_patch(struct code *code, uint8_t *place)
{
    uint32_t insn, distance = (uint32_t)((code->at - place) / 4);
    memcpy(&insn, place, 4);
    if (insn >> 26 == 0x05 || insn >> 26 == 0x25) { /* b, bl */
        insn |= distance;
    } else if ((insn & 0x7e000000) == 0x36000000) { /* tbz, tbnz */
        insn |= (distance & 0x3fff) << 5;
    } else if ((insn & 0x9f000000) == 0x10000000) { /* adr */
        insn |= distance << 5;
    } else { /* b.cond, cbz, cbnz */
        insn |= (distance & 0x7ffff) << 5;
    }
    memcpy(place, &insn, 4);
}

static void emit_branch(struct code *code)
{
    if (code->n_pending == sizeof(code->pending) / sizeof(code->pending[0])) {
        return;
    }
    code->pending[code->n_pending++] = (struct pending){ .place = code->at, .target = code->index + 1 + rng_below(code->rng, 5) };
    switch (rng_below(code->rng, 6)) {
    case 0:
        word(code, 0x14000000);
        break;
    case 1:
        emit(code, ".011010 . 0000000000000000000 r");
        break;
    case 2:
        emit(code, ".011011 . ..... 00000000000000 r");
        break;
    default:
        emit(code, "01010100 0000000000000000000 0 ....");
    }
}

static void emit_call(struct code *code)
{
    uint8_t *to_function = code->at, *over = code->at + 4;
    word(code, 0x94000000);
    word(code, 0x14000000);
    arch_patch(code, to_function);
    for (unsigned i = rng_below(code->rng, 4); i > 0; i--) {
        emit_integer(code);
    }
    word(code, 0xd65f03c0);
    arch_patch(code, over);
}

static void emit_indirect(struct code *code)
{
    uint8_t *first = code->at, *second = code->at + 4;
    word(code, 0x10000000 | SCRATCH);
    word(code, 0x10000000 | OTHER);
    word(code, 0x9a800000 | SCRATCH << 16 | rng_below(code->rng, 16) << 12 | OTHER << 5 | SCRATCH); /* csel */
    word(code, 0xd61f0000 | SCRATCH << 5);
    arch_patch(code, second);
    emit_integer(code);
    arch_patch(code, first);
}

static void emit_fault(struct code *code)
{
    if (rng_chance(code->rng, 3)) {
        word(code, rng_below(code->rng, 0x10000)); /* udf */
        return;
    }
    word(code, 0xd2a00000 | (NOTHING_AT >> 16) << 5 | SCRATCH);
    emit(code, ".. 111 00. 0. 00000....... 10001 r");
}

void arch_loop_begin(struct code *code)
{
    word(code, 0x52800000 | (1 + rng_below(code->rng, 6)) << 5 | COUNTER);
}

void arch_loop_end(struct code *code)
{
    word(code, 0x51000400 | COUNTER << 5 | COUNTER);
    uint32_t distance = (uint32_t)((code->loop - code->at) / 4);
    word(code, 0x35000000 | (distance & 0x7ffff) << 5 | COUNTER);
}

void arch_end(struct code *code)
{
    uintptr_t end = (uintptr_t)run_ended;
    word(code, 0xd2800000 | (uint32_t)(end & 0xffff) << 5 | WAY_OUT);
    word(code, 0xf2a00000 | (uint32_t)(end >> 16 & 0xffff) << 5 | WAY_OUT);
    word(code, 0xd61f0000 | WAY_OUT << 5);
}

void arch_statement(struct code *code)
{
    static void (*const makers[])(struct code *) = {
        emit_integer,  emit_integer,  emit_integer,  emit_integer, emit_integer,    emit_integer, emit_integer, emit_integer,
        emit_memory,   emit_memory,   emit_memory,   emit_memory,  emit_write_back, emit_indexed, emit_atomic,  emit_stack,
        emit_floating, emit_floating, emit_floating, emit_vector,  emit_vector,     emit_vector,  emit_vector,  emit_extended,
        emit_fpcr,     emit_branch,   emit_branch,   emit_branch,  emit_branch,     emit_call,    emit_indirect,
    };
    if (rng_chance(code->rng, 300)) {
        emit_fault(code);
    } else {
        makers[rng_below(code->rng, sizeof(makers) / sizeof(makers[0]))](code);
    }
}

/* ---- running ---- */

void arch_randomise(struct rng *rng)
{
    for (int i = 0; i < 31; i++) {
        state.x[i] = rng_value(rng);
    }
    for (int i = 0; i < 32; i++) {
        state.v[i][0] = i & 1 ? rng_float(rng, i & 4) : rng_value(rng);
        state.v[i][1] = i & 2 ? rng_float(rng, i & 4) : rng_value(rng);
    }
    state.x[BASE] = DATA_BASE;
    state.x[SCRATCH] = state.x[POINTER] = state.x[COUNTER] = state.x[OTHER] = 0;
    state.sp = STACK_AT + STACK_SIZE - 256;
    state.nzcv = rng_next(rng) & 0xf0000000;
    state.fpcr = rng_below(rng, 4) << 22;
    state.fpsr = 0;
}

uintptr_t arch_pc(ucontext_t *context)
{
    return context->uc_mcontext.pc;
}

void arch_caught(ucontext_t *context)
{
    memcpy(state.x, context->uc_mcontext.regs, sizeof(state.x));
    state.sp = context->uc_mcontext.sp;
    state.nzcv = context->uc_mcontext.pstate & 0xf0000000;
    struct fpsimd_context *fp = (struct fpsimd_context *)context->uc_mcontext.__reserved;
    if (fp->head.magic == FPSIMD_MAGIC) {
        state.fpcr = fp->fpcr;
        state.fpsr = fp->fpsr;
        memcpy(state.v, fp->vregs, sizeof(state.v));
    }
}

void arch_leave(ucontext_t *context)
{
    context->uc_mcontext.pc = (uintptr_t)run_left;
}

bool arch_skip(ucontext_t *context)
{
    context->uc_mcontext.pc += 4;
    return true;
}

const void *arch_visible(size_t *size)
{
    state.host_sp = 0;
    state.x[OTHER] = state.x[29] = state.x[30] = 0;
    *size = sizeof(state);
    return &state;
}

void arch_print(void)
{
    for (int i = 0; i < 31; i++) {
        printf("%sx%-2d %016lx%s", i < 10 ? " " : " ", i, (unsigned long)state.x[i], i % 4 == 3 ? "\n" : "");
    }
    printf("  sp %016lx\nnzcv %08lx fpcr %08lx fpsr %08lx\n", (unsigned long)state.sp, (unsigned long)state.nzcv,
           (unsigned long)state.fpcr, (unsigned long)state.fpsr);
    for (int i = 0; i < 32; i++) {
        printf("v%-2d %016lx%016lx%s", i, (unsigned long)state.v[i][1], (unsigned long)state.v[i][0], i % 2 ? "\n" : "  ");
    }
}
