/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What distributions compile for: this file is compiled for i686, x86-64-v2 and x86-64-v3, and uses instructions of that level.
   Prints `LEVEL-RUNS` with its own level's name and a sum that is the same on every processor. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__SSE4_2__)
#include <immintrin.h>
#endif

static const char text[] = "Pack my box with five dozen liquor jugs.";

int main(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof(text); i++) {
        sum = sum * 31 + (unsigned char)text[i];
    }
#if defined(__SSE4_2__)
    /* SSE4.2, SSSE3, POPCNT and CMPXCHG16B */
    __m128i block = _mm_loadu_si128((const __m128i *)text);
    __m128i reversed = _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    sum += _mm_crc32_u64(7, (uint64_t)_mm_extract_epi64(reversed, 1));
    sum += (uint64_t)_mm_cmpestri(_mm_set1_epi8('b'), 1, block, 16, _SIDD_CMP_EQUAL_ANY) << 8;
    sum += (uint64_t)_mm_popcnt_u64(sum) << 16;
    static _Alignas(16) unsigned __int128 pair = 5;
    sum += __sync_bool_compare_and_swap(&pair, (unsigned __int128)5, (unsigned __int128)sum << 1) ? 1 << 24 : 0;
#endif
#if defined(__AVX2__)
    /* AVX2, FMA and BMI2 */
    __m256i wide = _mm256_loadu_si256((const __m256i *)text);
    sum += (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(wide, _mm256_set1_epi8('m')));
    double product[4];
    _mm256_storeu_pd(product, _mm256_fmadd_pd(_mm256_set1_pd(3.0), _mm256_set1_pd(0.5), _mm256_set1_pd(1.0)));
    sum += (uint64_t)(product[3] * 2.0) << 20;
    sum += _pext_u64(sum, 0x0f0f0f0f0f0f0f0f);
#endif
    printf(LEVEL "-RUNS %016llx\n", (unsigned long long)sum);
    return 0;
}
