/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The encoder of x86-64 instructions that x86_64.c and x86_64_float.c share. */
#ifndef X86_64_H
#define X86_64_H

#include "difftest.h"

/* The bit of MXCSR and of x87's status that an operand was denormal: QEMU sets it since 10.0 only. */
enum { DENORMAL = 2 };

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R14 = 14, R15 };

/* An operand that is a register or memory at rbx (or r15, the scratch) + index + displacement. */
struct operand {
    bool memory;
    int reg;         /* the register, or the base */
    int index;       /* -1: none */
    int scale, disp; /* scale: 0 to 3 */
};

/* Maps of opcodes. */
enum { ONE, M0F, M0F38, M0F3A };

void byte(struct code *code, unsigned value);
void immediate(struct code *code, uint64_t value, unsigned size);
/* One instruction up to its immediate. `size` is 1, 2, 4 or 8 bytes; 0 for those that know no operand size. `bytes` says that
   register numbers 4 to 7 of byte size are to be those of REX (spl, bpl, sil, dil), not ah to bh. */
void instruction(struct code *code, unsigned prefix, int map, unsigned opcode, int reg, struct operand rm, unsigned size, bool bytes);

int any_reg(struct code *code);
int any_xmm(struct code *code);
struct operand in_reg(int reg);
/* Memory without an index, at a multiple of `align`. */
struct operand at_base(struct code *code, int align);
/* May write an instruction that makes the index. */
struct operand reg_or_memory(struct code *code);

void sse_arithmetic(struct code *code);
void sse_move(struct code *code);
void sse_other(struct code *code);
void x87(struct code *code);

#endif
