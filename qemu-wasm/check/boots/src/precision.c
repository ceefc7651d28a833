/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* x87's precision control affects FADD, FSUB, FMUL, FDIV and FSQRT only (Intel's manual, volume 1, 8.1.5.2): loads of any size
   are exact under each of its values, while a sum is rounded to 24, 53 or 64 bits. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define UNDER_CONTROL(result, control, instructions, ...)                                                                       \
    __asm__ volatile("fninit; fldcw %1; " instructions "; fstpt %0; fninit" : "=m"(result) : "m"(control), __VA_ARGS__)

struct extended {
    unsigned char bytes[10];
};

struct precision {
    uint16_t control;
    double small;          /* one and a half units in the last place of 1 */
    uint64_t sum_mantissa; /* of 1 and that, rounded to even */
};

static const struct precision precisions[] = {
    {0x007f, 0x3p-24, (1ull << 63) + (2ull << 40)},
    {0x027f, 0x3p-53, (1ull << 63) + (2ull << 11)},
    {0x037f, 0x3p-64, (1ull << 63) + 2},
};

static void load_all(uint16_t control, struct extended loaded[3])
{
    double of_64_bits = 9876.54321;
    float of_32_bits = 2.7f;
    int64_t integer = 0x123456789abcdef1;
    UNDER_CONTROL(loaded[0], control, "fldl %2", "m"(of_64_bits));
    UNDER_CONTROL(loaded[1], control, "flds %2", "m"(of_32_bits));
    UNDER_CONTROL(loaded[2], control, "fildll %2", "m"(integer));
}

int main(void)
{
    int failures = 0;
    struct extended exact[3];
    load_all(0x037f, exact);
    for (unsigned i = 0; i < sizeof(precisions) / sizeof(precisions[0]); i++) {
        const struct precision *precision = &precisions[i];
        struct extended loaded[3], sum;
        uint64_t mantissa;
        load_all(precision->control, loaded);
        failures += memcmp(exact, loaded, sizeof(exact)) != 0;
        double one = 1;
        UNDER_CONTROL(sum, precision->control, "fldl %2; faddl %3", "m"(one), "m"(precision->small));
        memcpy(&mantissa, sum.bytes, sizeof(mantissa));
        failures += mantissa != precision->sum_mantissa;
    }
    puts(failures ? "PRECISION-FAIL" : "PRECISION-PASS");
    return failures != 0;
}
