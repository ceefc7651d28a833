// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What x87's precision control changes, and what not (Intel SDM 1, 8.1.5.2): addition, subtraction, multiplication, division and the
 * square root are rounded by it, all else is as with full precision. Prints what is wrong, and `N passed, M failed`.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SINGLE = 0x007f, DOUBLE = 0x027f, FULL = 0x037f };

/* Two results, as they are stored: ST(0), and ST(1) or what was stored elsewhere. */
struct outcome {
    uint8_t top[10], next[10];
};

static int passed, failed;

static void count(int right, const char *what, uint16_t control, long double a, long double b)
{
    if (right) {
        passed++;
        return;
    }
    failed++;
    printf("%s with control word %03x: %La %La\n", what, control, a, b);
}

#define CLOBBERED "memory", "ax", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"

/* A function that runs ASSEMBLY with b below a on the stack, and returns the two topmost numbers. */
#define ON_STACK(NAME, ASSEMBLY)                                                                                               \
    static struct outcome NAME(uint16_t control, long double a, long double b)                                                 \
    {                                                                                                                          \
        struct outcome out;                                                                                                    \
        __asm__ volatile("fninit; fldt %3; fldt %2; fldcw %4; " ASSEMBLY "; fstpt %0; fstpt %1; fninit"                        \
                         : "=m"(out.top), "=m"(out.next)                                                                       \
                         : "m"(a), "m"(b), "m"(control)                                                                        \
                         : CLOBBERED);                                                                                    \
        return out;                                                                                                            \
    }

ON_STACK(frndint, "frndint")
ON_STACK(fscale, "fscale")
ON_STACK(fxtract, "fxtract")
ON_STACK(fprem, "1: fprem; fnstsw %%ax; test $4, %%ah; jnz 1b")
ON_STACK(fprem1, "1: fprem1; fnstsw %%ax; test $4, %%ah; jnz 1b")
ON_STACK(fchs, "fchs")
ON_STACK(fabs_, "fabs")
ON_STACK(fpi, "fldpi")
ON_STACK(fyl2x, "fabs; fyl2x; fld1")
ON_STACK(fpatan, "fpatan; fld1")
ON_STACK(fsin, "fsin")
ON_STACK(fcos, "fcos")
ON_STACK(f2xm1, "fld1; fscale; fstp %%st(1); fxtract; fstp %%st(1); f2xm1; fld1")
ON_STACK(fcmov, "fcomi; fcmovbe %%st(1), %%st")

/* A function that loads the number that a is when stored by STORE, with LOAD. */
#define LOADED(NAME, TYPE, STORE, LOAD)                                                                                        \
    static struct outcome NAME(uint16_t control, long double a, long double b)                                                 \
    {                                                                                                                          \
        struct outcome out;                                                                                                    \
        TYPE stored;                                                                                                           \
        (void)b;                                                                                                               \
        __asm__ volatile("fninit; fldt %3; " STORE " %2; fldcw %4; " LOAD " %2; fstpt %0; fld1; fstpt %1; fninit"               \
                         : "=m"(out.top), "=m"(out.next), "=m"(stored)                                                         \
                         : "m"(a), "m"(control)                                                                                \
                         : CLOBBERED);                                                                                          \
        return out;                                                                                                            \
    }

LOADED(flds, float, "fstps", "flds")
LOADED(fldl, double, "fstpl", "fldl")
LOADED(fldt, long double, "fstpt", "fldt")
LOADED(filds, int16_t, "fistps", "filds")
LOADED(fildl, int32_t, "fistpl", "fildl")
LOADED(fildll, int64_t, "fistpll", "fildll")
LOADED(fbld, long double, "fbstp", "fbld")
/* Operands in memory: what is left after a comparison. */
LOADED(fcoml, double, "fstl", "fcoml")
LOADED(ficoml, int32_t, "fistl", "ficoml")

static const struct {
    const char *name;
    struct outcome (*run)(uint16_t, long double, long double);
} unchanged[] = {
    { "frndint", frndint }, { "fscale", fscale }, { "fxtract", fxtract }, { "fprem", fprem }, { "fprem1", fprem1 },
    { "fchs", fchs },       { "fabs", fabs_ },    { "fldpi", fpi },       { "fyl2x", fyl2x }, { "fpatan", fpatan },
    { "fsin", fsin },       { "fcos", fcos },     { "f2xm1", f2xm1 },     { "fcmov", fcmov }, { "flds", flds },
    { "fldl", fldl },       { "fldt", fldt },     { "filds", filds },     { "fildl", fildl }, { "fildll", fildll },
    { "fbld", fbld },       { "fcoml", fcoml },   { "ficoml", ficoml },
};

/* Arithmetic: what it is with operands and result of that precision, by the processor's other unit. */
#define ARITHMETIC(NAME, TYPE, ASSEMBLY, EXPRESSION)                                                                           \
    static int NAME(uint16_t control, TYPE a, TYPE b)                                                                          \
    {                                                                                                                          \
        long double x = a, y = b, result;                                                                                      \
        volatile TYPE expected = EXPRESSION;                                                                                   \
        __asm__ volatile("fninit; fldt %2; fldt %1; fldcw %3; " ASSEMBLY "; fstpt %0; fninit"                                  \
                         : "=m"(result)                                                                                        \
                         : "m"(x), "m"(y), "m"(control)                                                                        \
                         : CLOBBERED);                                                                                          \
        return result == expected || (isnan(result) && isnan(expected));                                                       \
    }
#define ARITHMETICS(SUFFIX, TYPE, SQRT)                                                                                        \
    ARITHMETIC(add##SUFFIX, TYPE, "fadd %%st(1), %%st", a + b)                                                                 \
    ARITHMETIC(sub##SUFFIX, TYPE, "fsub %%st(1), %%st", a - b)                                                                 \
    ARITHMETIC(mul##SUFFIX, TYPE, "fmulp", a *b)                                                                               \
    ARITHMETIC(div##SUFFIX, TYPE, "fdiv %%st(1), %%st", a / b)                                                                 \
    ARITHMETIC(sqrt##SUFFIX, TYPE, "fabs; fsqrt", SQRT(a < 0 ? -a : a))

ARITHMETICS(_single, float, sqrtf)
ARITHMETICS(_double, double, sqrt)

int main(void)
{
    static const long double values[] = {
        1234.567890L, 1.1L, 0.1L, -7.25L, 3.0L, 1e-3L, 16777217.0L, 32767.4L, -1.0L / 3, 2147483647.0L, 9007199254740993.0L, 123456789012345678.0L,
    };
    const size_t n = sizeof(values) / sizeof(values[0]);
    static const uint16_t controls[] = { SINGLE, DOUBLE };
    for (size_t i = 0; i < n * n; i++) {
        long double a = values[i / n], b = values[i % n];
        for (size_t op = 0; op < sizeof(unchanged) / sizeof(unchanged[0]); op++) {
            struct outcome full = unchanged[op].run(FULL, a, b);
            for (int c = 0; c < 2; c++) {
                struct outcome lowered = unchanged[op].run(controls[c], a, b);
                count(!memcmp(&full, &lowered, sizeof(full)), unchanged[op].name, controls[c], a, b);
            }
        }
#define COUNT(NAME, CONTROL) count(NAME(CONTROL, a, b), #NAME, CONTROL, a, b)
        COUNT(add_single, SINGLE), COUNT(sub_single, SINGLE), COUNT(mul_single, SINGLE), COUNT(div_single, SINGLE);
        COUNT(sqrt_single, SINGLE);
        COUNT(add_double, DOUBLE), COUNT(sub_double, DOUBLE), COUNT(mul_double, DOUBLE), COUNT(div_double, DOUBLE);
        COUNT(sqrt_double, DOUBLE);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
