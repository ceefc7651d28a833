/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in env a target's get_tb_cpu_state() finds what identifies a
 * translation block, for generated code that looks for the next block itself.
 */

#ifndef ACCEL_TCG_TB_STATE_LAYOUT_H
#define ACCEL_TCG_TB_STATE_LAYOUT_H

typedef struct TBStateLayout {
    /* The layout holds while (flags & @mask) == @value. */
    uint32_t mask, value;
    int pc;             /* offset in env of the program counter, 64 bits */
    int flags;          /* offset of the flags, 32 bits */
    int more_flags;     /* offset of 32 bits, those of @more_mask are flags, too */
    uint32_t more_mask; /* 0 for none */
    int cs_base;        /* offset of cs_base, 64 bits, or -1: it does not change
                           while the flags do not */
    int zero;           /* offset of 32 bits that have to be zero, or -1 */
} TBStateLayout;

#endif
