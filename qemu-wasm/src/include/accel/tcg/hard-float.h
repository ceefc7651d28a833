/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of a target's helpers compute with softfloat, and where their operands
 * are, for generated code that lets the host's floating-point unit do it.
 */

#ifndef ACCEL_TCG_HARD_FLOAT_H
#define ACCEL_TCG_HARD_FLOAT_H

typedef enum HardFloatOp {
    HARD_FLOAT_ADD,
    HARD_FLOAT_SUB,
    HARD_FLOAT_MUL,
    HARD_FLOAT_DIV,
    HARD_FLOAT_SQRT,
    HARD_FLOAT_MULADD, /* the first operand times the second, plus the third */
} HardFloatOp;

typedef enum HardFloatType {
    HARD_FLOAT_32,
    HARD_FLOAT_64,
    HARD_FLOAT_32X4,
    HARD_FLOAT_64X2,
} HardFloatType;

typedef enum HardFloatCall {
    /* result = func(operands..., status) */
    HARD_FLOAT_VALUES,
    /* func(result, two operands, status, simd_desc()): addresses of vectors;
       HARD_FLOAT_MULADD adds to the result */
    HARD_FLOAT_GVEC,
    /* func(env, result, operands...): addresses */
    HARD_FLOAT_REGISTERS,
    /* the same, and the rest of 16 bytes is that of the first operand or, for
       HARD_FLOAT_SQRT, of one more before the operand */
    HARD_FLOAT_REGISTERS_MERGE,
} HardFloatCall;

typedef struct HardFloatHelper {
    const void *func;
    HardFloatOp op;
    HardFloatType type;
    HardFloatCall call;
} HardFloatHelper;

typedef struct HardFloat {
    int status; /* offset in env of the float_status of HARD_FLOAT_REGISTERS */
    int n;
    const HardFloatHelper *helpers;
} HardFloat;

#endif
