/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Random x86-64 code: SSE to SSE4.2, and x87. */
#include "x86_64.h"

#include <stddef.h>

/* Instructions xmm, xmm/m128 in the 0F map: which of the prefixes none, 66, F3, F2 exist (bits 0 to 3). */
static const struct sse {
    uint8_t opcode, prefixes;
    bool imm;
} sse_float[] = {
    { 0x51, 15, false }, { 0x58, 15, false }, { 0x59, 15, false }, { 0x5c, 15, false }, { 0x5d, 15, false }, { 0x5e, 15, false },
    { 0x5f, 15, false }, { 0x54, 3, false },  { 0x55, 3, false },  { 0x56, 3, false },  { 0x57, 3, false },  { 0x14, 3, false },
    { 0x15, 3, false },  { 0xc2, 15, true },  { 0xc6, 3, true },   { 0x5a, 15, false }, { 0x5b, 7, false },  { 0xe6, 14, false },
    { 0x2e, 3, false },  { 0x2f, 3, false },  { 0x7c, 10, false }, { 0x7d, 10, false }, { 0xd0, 10, false }, { 0x12, 12, false },
    { 0x16, 4, false },
};
/* With prefix 66. */
static const uint8_t sse_integer[] = {
    0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x74, 0x75, 0x76, 0xd1, 0xd2, 0xd3, 0xd4,
    0xd5, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xed,
    0xee, 0xef, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe,
};
/* With prefix 66 in the map 0F38: SSSE3, SSE4.1, SSE4.2 (pblendvb and its like read xmm0). */
static const uint8_t sse4[] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x10, 0x14, 0x15, 0x17, 0x1c, 0x1d, 0x1e, 0x20,
    0x21, 0x22, 0x23, 0x24, 0x25, 0x28, 0x29, 0x2b, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c,
    0x3d, 0x3e, 0x3f, 0x40, 0x41,
};
/* With prefix 66 and an immediate in the map 0F3A: round, blend, palignr, dpps, dppd, mpsadbw, pcmpistri and its like. */
static const uint8_t sse4_imm[] = { 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x40, 0x41, 0x42, 0x62, 0x63 };

static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 };

static struct operand xmm_or_memory(struct code *code)
{
    return rng_chance(code->rng, 4) ? at_base(code, 16) : in_reg((int)rng_below(code->rng, 16));
}

int any_xmm(struct code *code)
{
    return (int)rng_below(code->rng, 16);
}

void sse_arithmetic(struct code *code)
{
    struct operand rm = xmm_or_memory(code);
    if (rng_chance(code->rng, 2)) {
        const struct sse *sse = &sse_float[rng_below(code->rng, sizeof(sse_float) / sizeof(sse_float[0]))];
        unsigned which;
        do {
            which = rng_below(code->rng, 4);
        } while (!(sse->prefixes >> which & 1));
        instruction(code, prefixes[which], M0F, sse->opcode, any_xmm(code), rm, 0, false);
        if (sse->imm) {
            immediate(code, sse->opcode == 0xc2 ? rng_below(code->rng, 8) : rng_next(code->rng), 1);
        }
    } else if (code->level < 2 || rng_chance(code->rng, 2)) {
        instruction(code, 0x66, M0F, sse_integer[rng_below(code->rng, sizeof(sse_integer))], any_xmm(code), rm, 0, false);
    } else if (rng_chance(code->rng, 3)) {
        unsigned opcode = sse4_imm[rng_below(code->rng, sizeof(sse4_imm))];
        instruction(code, 0x66, M0F3A, opcode, any_xmm(code), rm, 0, false);
        immediate(code, opcode <= 0x0b ? rng_below(code->rng, 16) : rng_next(code->rng), 1);
    } else {
        instruction(code, 0x66, M0F38, sse4[rng_below(code->rng, sizeof(sse4))], any_xmm(code), rm, 0, false);
    }
}

void sse_move(struct code *code)
{
    /* Loads and stores of 128 bits (aligned and not), of 64 and of 32. */
    static const struct {
        uint8_t prefix, load, store;
        bool aligned, only_memory;
    } moves[] = {
        { 0, 0x28, 0x29, true, false },  { 0, 0x10, 0x11, false, false },   { 0x66, 0x6f, 0x7f, true, false },
        { 0xf3, 0x6f, 0x7f, false, false }, { 0xf3, 0x10, 0x11, false, false }, { 0xf2, 0x10, 0x11, false, false },
        { 0, 0x12, 0x13, false, true },  { 0x66, 0x16, 0x17, false, true }, { 0x66, 0xe7, 0xe7, true, true },
    };
    unsigned which = rng_below(code->rng, sizeof(moves) / sizeof(moves[0]));
    bool store = rng_chance(code->rng, 2) || moves[which].prefix + moves[which].load == 0x66 + 0xe7;
    struct operand rm = moves[which].only_memory || rng_chance(code->rng, 2) ? at_base(code, moves[which].aligned ? 16 : 1)
                                                                             : in_reg(any_xmm(code));
    instruction(code, moves[which].prefix, M0F, store ? moves[which].store : moves[which].load, any_xmm(code), rm, 0, false);
}

void sse_other(struct code *code)
{
    int reg = any_reg(code);
    unsigned size = rng_chance(code->rng, 2) ? 4 : 8;
    switch (rng_below(code->rng, code->level < 2 ? 8 : 11)) {
    case 0: /* movd, movq */
        instruction(code, 0x66, M0F, rng_chance(code->rng, 2) ? 0x6e : 0x7e, any_xmm(code), in_reg(reg), size, false);
        break;
    case 1: /* pmovmskb, movmskps, movmskpd */
        if (rng_chance(code->rng, 2)) {
            instruction(code, 0x66, M0F, 0xd7, reg, in_reg(any_xmm(code)), 0, false);
        } else {
            instruction(code, rng_chance(code->rng, 2) ? 0x66 : 0, M0F, 0x50, reg, in_reg(any_xmm(code)), 0, false);
        }
        break;
    case 2: /* pshufd, pshufhw, pshuflw */
        instruction(code, prefixes[1 + rng_below(code->rng, 3)], M0F, 0x70, any_xmm(code), xmm_or_memory(code), 0, false);
        immediate(code, rng_next(code->rng), 1);
        break;
    case 3: { /* shifts by an immediate */
        static const uint8_t shifts[][2] = { { 0x71, 2 }, { 0x71, 4 }, { 0x71, 6 }, { 0x72, 2 }, { 0x72, 4 },
                                             { 0x72, 6 }, { 0x73, 2 }, { 0x73, 3 }, { 0x73, 6 }, { 0x73, 7 } };
        const uint8_t *shift = shifts[rng_below(code->rng, 10)];
        instruction(code, 0x66, M0F, shift[0], shift[1], in_reg(any_xmm(code)), 0, false);
        immediate(code, rng_below(code->rng, 72), 1);
        break;
    }
    case 4: /* pinsrw, pextrw */
        if (rng_chance(code->rng, 2)) {
            instruction(code, 0x66, M0F, 0xc4, any_xmm(code), in_reg(reg), 0, false);
        } else {
            instruction(code, 0x66, M0F, 0xc5, reg, in_reg(any_xmm(code)), 0, false);
        }
        immediate(code, rng_next(code->rng), 1);
        break;
    case 5: /* cvtsi2ss, cvtsi2sd */
        instruction(code, rng_chance(code->rng, 2) ? 0xf3 : 0xf2, M0F, 0x2a, any_xmm(code), in_reg(reg), size, false);
        break;
    case 6: /* cvt(t)ss2si, cvt(t)sd2si */
        instruction(code, rng_chance(code->rng, 2) ? 0xf3 : 0xf2, M0F, 0x2c | rng_below(code->rng, 2), reg, in_reg(any_xmm(code)),
                    size, false);
        break;
    case 7: { /* ldmxcsr: a rounding mode, sometimes with denormals as zeros and flush to zero; stmxcsr */
        struct operand rm = at_base(code, 4);
        instruction(code, 0, ONE, 0xc7, 0, rm, 4, false);
        immediate(code, 0x1f80 | rng_below(code->rng, 4) << 13 | (rng_chance(code->rng, 3) ? 0x8040 : 0), 4);
        instruction(code, 0, M0F, 0xae, 2, rm, 0, false);
        rm = at_base(code, 4);
        instruction(code, 0, M0F, 0xae, 3, rm, 0, false);
        instruction(code, 0, ONE, 0x83, 4, rm, 4, false);
        immediate(code, ~DENORMAL, 1);
        break;
    }
    case 8: { /* pinsr, pextr, insertps, extractps */
        static const uint8_t opcodes[] = { 0x14, 0x16, 0x17, 0x20, 0x22 };
        unsigned opcode = opcodes[rng_below(code->rng, 5)];
        instruction(code, 0x66, M0F3A, opcode, any_xmm(code), in_reg(reg), opcode == 0x16 || opcode == 0x22 ? size : 0, false);
        immediate(code, rng_next(code->rng), 1);
        break;
    }
    case 9: /* crc32 */
        instruction(code, 0xf2, M0F38, 0xf0 | rng_below(code->rng, 2), reg, in_reg(any_reg(code)), size, true);
        break;
    case 10: /* popcnt */
        instruction(code, 0xf3, M0F, 0xb8, reg, reg_or_memory(code), size, false);
        break;
    }
}

/* ---- x87: loads, a few operations, and as many stores ---- */

/* fldcw: any rounding */
static void control_word(struct code *code, unsigned precision)
{
    struct operand rm = at_base(code, 2);
    instruction(code, 0, ONE, 0xc7, 0, rm, 2, false);
    immediate(code, (0x007f | precision) ^ (rng_below(code->rng, 4) << 10), 2);
    instruction(code, 0, ONE, 0xd9, 5, rm, 0, false);
}

void x87(struct code *code)
{
    /* 80 bits are not laid across pages: native QEMU 10.0 errs there (../across-pages.c). */
    enum { DOUBLE = 0x200, FULL = 0x300, FRNDINT = 0xfc, EXTENDED = 16 };
    unsigned depth = 2;
    if (rng_chance(code->rng, 2)) control_word(code, rng_chance(code->rng, 2) ? DOUBLE : FULL);
    for (unsigned i = 0; i < depth; i++) {
        static const uint8_t loads[][2] = { { 0xd9, 0 }, { 0xdd, 0 }, { 0xdb, 0 }, { 0xdf, 0 }, { 0xdf, 5 } };
        const uint8_t *load = loads[rng_below(code->rng, 5)];
        instruction(code, 0, ONE, load[0], load[1], at_base(code, 1), 0, false);
        if (rng_chance(code->rng, 4)) { /* 80 bits only as they were stored: random ones are no number in any format */
            struct operand rm = at_base(code, EXTENDED);
            instruction(code, 0, ONE, 0xdb, 7, rm, 0, false);
            instruction(code, 0, ONE, 0xdb, 5, rm, 0, false);
        }
    }
    for (unsigned i = rng_below(code->rng, 5); i > 0; i--) {
        static const uint8_t operations[][2] = {
            { 0xd8, 0xc1 }, { 0xd8, 0xc9 }, { 0xd8, 0xe1 }, { 0xd8, 0xe9 }, { 0xd8, 0xf1 }, { 0xd8, 0xf9 }, { 0xdc, 0xc1 },
            { 0xdc, 0xc9 }, { 0xdc, 0xe1 }, { 0xdc, 0xf1 }, { 0xd9, 0xc9 }, { 0xd9, 0xe0 }, { 0xd9, 0xe1 }, { 0xd9, 0xfa },
            { 0xd9, 0xfc }, { 0xdb, 0xe9 }, { 0xdb, 0xf1 }, { 0xda, 0xc1 }, { 0xda, 0xc9 },
        };
        const uint8_t *operation = operations[rng_below(code->rng, sizeof(operations) / 2)];
        if (operation[0] == 0xd9 && operation[1] == FRNDINT) control_word(code, FULL); /* 7.2 errs with less: ../precision.c */
        byte(code, operation[0]);
        byte(code, operation[1]);
    }
    if (rng_chance(code->rng, 2)) { /* fnstsw ax; and al, ~DENORMAL */
        byte(code, 0xdf);
        byte(code, 0xe0);
        byte(code, 0x24);
        byte(code, ~DENORMAL);
    }
    for (unsigned i = 0; i < depth; i++) {
        static const uint8_t stores[][2] = { { 0xd9, 3 }, { 0xdd, 3 }, { 0xdb, 7 }, { 0xdb, 3 }, { 0xdf, 3 }, { 0xdf, 7 }, { 0xdd, 1 } };
        const uint8_t *store = stores[rng_below(code->rng, code->level < 2 ? 6 : 7)];
        bool is_extended = store[0] == 0xdb && store[1] == 7;
        instruction(code, 0, ONE, store[0], store[1], at_base(code, is_extended ? EXTENDED : 1), 0, false);
    }
}
