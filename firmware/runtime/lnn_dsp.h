/**
 * @file lnn_dsp.h
 * @brief Sums of products, four rows of int8 weights at a time, for cores with the Armv7E-M DSP extension.
 *
 * Exact, and equal in every bit to the plain loops. Activations are int16 pairs; a group is four columns of four rows:
 * four words of weights. Each loop has a twin in C for other compilers, builds without optimization and the host; it
 * reads the same packed weights and spells the instructions out by their meaning.
 */
#ifndef LNN_DSP_H
#define LNN_DSP_H

#include <stdint.h>
#include <string.h>

#include "lnn_fixed.h"

/**
 * The loops in assembly take all of the registers, which GCC gives while it optimizes, keeps no frame pointer and
 * addresses no data by a register; Clang keeps some back. -fstack-protector-all writes to frames that routines do not
 * have. Define LNN_PLAIN_LOOPS where a project reserves a register.
 */
#if defined(__clang__) || defined(__PIC__) || defined(__SSP_ALL__) || defined(LNN_PLAIN_LOOPS)
#define LNN_HAS_DSP_LOOPS 0
#elif LNN_HAS_DSP && defined(__OPTIMIZE__)
#define LNN_HAS_DSP_LOOPS 1
#pragma GCC optimize("omit-frame-pointer")
#else
#define LNN_HAS_DSP_LOOPS 0
#endif

/**
 * A variable of a loop in assembly. Each names its register: left to choose, GCC keeps two of them as one value of 64 bits
 * where the code around does, and has no registers left for the rest.
 */
#if LNN_HAS_DSP_LOOPS
#define LNN_IN(number, type, name) register type name __asm__(number)
#else
#define LNN_IN(number, type, name) type name
#endif

/**
 * A routine in assembly has no frame of the compiler's, reads its parameters in registers and keeps all others itself: nothing
 * that counts coverage or calls may come before it.
 */
#if defined(__GNUC__)
#define LNN_UNUSED __attribute__((unused))
#else
#define LNN_UNUSED
#endif
#if LNN_HAS_DSP_LOOPS
#if __GNUC__ >= 12
#define LNN_UNCOUNTED __attribute__((no_instrument_function, no_profile_instrument_function, no_sanitize_coverage))
#else
#define LNN_UNCOUNTED __attribute__((no_instrument_function, no_profile_instrument_function))
#endif
#define LNN_ROUTINE LNN_UNUSED static LNN_NOINLINE LNN_UNCOUNTED __attribute__((naked))
#else
#define LNN_ROUTINE LNN_UNUSED static LNN_NOINLINE
#endif

#if defined(__GNUC__)
#define LNN_COPY_WORD(to, from) __builtin_memcpy((to), (from), 4)
#else
#define LNN_COPY_WORD(to, from) (void) memcpy((to), (from), 4)
#endif

/** @brief Two neighbours; any alignment. */
LNN_INLINE uint32_t lnn_load_pair(const int16_t *x)
{
    uint32_t pair;
    LNN_COPY_WORD(&pair, x);
    return pair;
}

/** @brief Low halfword of w, sign-extended. */
LNN_INLINE int32_t lnn_low_half(const uint32_t w)
{
    return (int32_t) (w & 0xFFFFU) - (int32_t) ((w & 0x8000U) << 1);
}

/** @brief SXTB16: bytes 0 and 2 of w as a pair of int16. */
LNN_INLINE uint32_t lnn_even_bytes(const uint32_t w)
{
#if LNN_HAS_DSP
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(w));
    return pair;
#else
    const uint32_t bytes = w & 0x00FF00FFU;
    return bytes | (((bytes >> 7) & 0x00010001U) * 0xFF00U);
#endif
}

/** @brief SXTB16 with rotation: bytes 1 and 3 of w as a pair of int16. */
LNN_INLINE uint32_t lnn_odd_bytes(const uint32_t w)
{
#if LNN_HAS_DSP
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(w));
    return pair;
#else
    return lnn_even_bytes(w >> 8);
#endif
}

/** @brief PKHBT: the low halfwords of two words, that of a below. */
LNN_INLINE uint32_t lnn_low_halves(const uint32_t a, const uint32_t b)
{
#if LNN_HAS_DSP
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(a), "r"(b));
    return pair;
#else
    return (a & 0xFFFFU) | (b << 16);
#endif
}

/** @brief PKHTB: the high halfwords of two words, that of a below. */
LNN_INLINE uint32_t lnn_high_halves(const uint32_t a, const uint32_t b)
{
#if LNN_HAS_DSP
    uint32_t pair;
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(pair) : "r"(a), "r"(b));
    return pair;
#else
    return (a >> 16) | (b & 0xFFFF0000U);
#endif
}

/** @brief SMLAD: acc + a_low * b_low + a_high * b_high, modulo 2^32. */
LNN_INLINE uint32_t lnn_dual_mac(const uint32_t a, const uint32_t b, const uint32_t acc)
{
#if LNN_HAS_DSP
    uint32_t sum;
    __asm__("smlad %0, %1, %2, %3" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
    return sum;
#else
    const int32_t low  = lnn_low_half(a) * lnn_low_half(b);
    const int32_t high = lnn_low_half(a >> 16) * lnn_low_half(b >> 16);
    return acc + (uint32_t) low + (uint32_t) high;
#endif
}

/**
 * @brief 256 times what lies between two int16 neighbours of a table, `fraction` of 256 from the first; exact.
 * @param entry    the first
 * @param fraction in [0, 255]; its product with 65535, plus 256, holds both weights
 * @param more     what is added
 */
LNN_INLINE int32_t lnn_blend_pair(const int16_t *entry, const uint32_t fraction, const int32_t more)
{
    return (int32_t) lnn_dual_mac(lnn_load_pair(entry), fraction * 65535U + 256U, (uint32_t) more);
}

/**
 * @brief Between two int16 neighbours of a table, `fraction` of 256 from the first, rounded half up.
 * @param entry    the first
 * @param fraction in [0, 255]; its product with 65535, plus 256, holds both weights
 * @param more     what the table's entries are less by
 */
LNN_INLINE int32_t lnn_interpolate_pair(const int16_t *entry, const uint32_t fraction, const int32_t more)
{
    return lnn_blend_pair(entry, fraction, 128 + 256 * more) >> 8;
}

/** @brief 4 * groups values from int8 to int16. */
LNN_INLINE void lnn_widen(const int8_t *x, const int32_t groups, int16_t *out)
{
    for (int32_t i = 0; i < groups; i++)
    {
        uint32_t word;
        LNN_COPY_WORD(&word, x);
        const uint32_t even   = lnn_even_bytes(word);
        const uint32_t odd    = lnn_odd_bytes(word);
        const uint32_t first  = lnn_low_halves(even, odd);
        const uint32_t second = lnn_high_halves(even, odd);
        LNN_COPY_WORD(out, &first);
        LNN_COPY_WORD(out + 2, &second);
        x += 4;
        out += 4;
    }
}

/**
 * @brief The same, each four in the order 0, 2, 1, 3, in which they come out of a word.
 * @param x may lie behind out, by 4 * groups bytes or more
 */
LNN_INLINE void lnn_widen_crossed(const int8_t *x, const uint32_t groups, int16_t *out)
{
    for (uint32_t i = 0U; i < groups; i++)
    {
        uint32_t word;
        LNN_COPY_WORD(&word, x);
        const uint32_t even = lnn_even_bytes(word);
        const uint32_t odd  = lnn_odd_bytes(word);
        LNN_COPY_WORD(out, &even);
        LNN_COPY_WORD(out + 2, &odd);
        x += 4;
        out += 4;
    }
}

/** @brief Halfwords in [-128, 127] limited to [-127, 127]. */
LNN_INLINE uint32_t lnn_without_lowest(const uint32_t pair)
{
#if LNN_HAS_DSP
    uint32_t y;
    __asm__("qsub8 %0, %1, %2\n\tsadd8 %0, %0, %2" : "=&r"(y) : "r"(pair), "r"(0x00010001U));
    return y;
#else
    const uint32_t low  = ((pair & 0xFFFFU) == 0xFF80U) ? 1U : 0U;
    const uint32_t high = ((pair >> 16) == 0xFF80U) ? 0x10000U : 0U;
    return pair + low + high;
#endif
}

/** @brief 4 * groups values that are int16 already, to where the padding can follow them. */
LNN_INLINE void lnn_copy(const int16_t *x, const int32_t groups, int16_t *out)
{
    for (int32_t i = 0; i < groups; i++)
    {
        const uint32_t first  = lnn_load_pair(x);
        const uint32_t second = lnn_load_pair(x + 2);
        LNN_COPY_WORD(out, &first);
        LNN_COPY_WORD(out + 2, &second);
        x += 4;
        out += 4;
    }
}

/** @brief high = (raw - low) / 256 where raw = 256 high + low modulo 2^32; exact for |high| < 2^23. */
LNN_INLINE int32_t lnn_high_row(const uint32_t raw, const uint32_t low)
{
    return (int32_t) (raw - low) >> 8;
}

/**
 * @brief Four sums over int8 activations, two rows in one halfword.
 *
 * A halfword holds 256 w1 + w0, so one SMLAD sums 256 S1 + S0 of two rows, another one S0 of the low bytes.
 * @param weight groups of {rows 0, 1: columns 0, 1}, {rows 2, 3: columns 0, 1}, {0, 1: 2, 3}, {2, 3: 2, 3}
 * @param x      4 * groups activations in [-128, 127]
 * @param groups at least 1
 * @param sums   one per row; rows 1 and 3 stay below 2^23 (proved when the kernel is chosen)
 */
LNN_INLINE void lnn_dot4_pairs(const uint32_t *weight, const int16_t *x, const int32_t groups, int32_t sums[4])
{
    LNN_IN("r6", uint32_t, raw0)  = 0U;
    LNN_IN("r7", uint32_t, low0)  = 0U;
    LNN_IN("r10", uint32_t, raw1) = 0U;
    LNN_IN("r11", uint32_t, low1) = 0U;
    LNN_IN("r2", int32_t, left)   = groups;
#if LNN_HAS_DSP_LOOPS
    LNN_IN("r0", const uint32_t *, from) = weight;
    LNN_IN("r1", const int16_t *, at)    = x;
    LNN_IN("r3", uint32_t, two);
    __asm__ volatile("1: ldm %[w]!, {r4, r5, r8, r12}\n"
                     "   ldr %[two], [%[x]], #4\n"
                     "   smlad %[raw0], r4, %[two], %[raw0]\n"
                     "   sxtb16 r4, r4\n"
                     "   smlad %[raw1], r5, %[two], %[raw1]\n"
                     "   sxtb16 r5, r5\n"
                     "   smlad %[low0], r4, %[two], %[low0]\n"
                     "   smlad %[low1], r5, %[two], %[low1]\n"
                     "   ldr %[two], [%[x]], #4\n"
                     "   subs %[left], %[left], #1\n"
                     "   smlad %[raw0], r8, %[two], %[raw0]\n"
                     "   sxtb16 r8, r8\n"
                     "   smlad %[raw1], r12, %[two], %[raw1]\n"
                     "   sxtb16 r12, r12\n"
                     "   smlad %[low0], r8, %[two], %[low0]\n"
                     "   smlad %[low1], r12, %[two], %[low1]\n"
                     "   bne 1b\n"
                     : [raw0] "+r"(raw0), [low0] "+r"(low0), [raw1] "+r"(raw1), [low1] "+r"(low1), [w] "+r"(from),
                       [x] "+r"(at), [left] "+r"(left), [two] "=&r"(two)
                     :
                     : "r4", "r5", "r8", "r12", "cc", "memory");
#else
    for (; left > 0; left--)
    {
        for (int32_t half = 0; half < 2; half++)
        {
            const uint32_t pair = lnn_load_pair(x);
            raw0                = lnn_dual_mac(weight[0], pair, raw0);
            low0                = lnn_dual_mac(lnn_even_bytes(weight[0]), pair, low0);
            raw1                = lnn_dual_mac(weight[1], pair, raw1);
            low1                = lnn_dual_mac(lnn_even_bytes(weight[1]), pair, low1);
            weight += 2;
            x += 2;
        }
    }
#endif
    sums[0] = (int32_t) low0;
    sums[1] = lnn_high_row(raw0, low0);
    sums[2] = (int32_t) low1;
    sums[3] = lnn_high_row(raw1, low1);
}

#if LNN_HAS_DSP_LOOPS
#define LNN_PAIRS_GROUP \
    "   ldm %[w]!, {r4, r5, r8, r12}\n" \
    "   ldrd %[two], %[next], [%[x]], #8\n" \
    "   smlad %[raw0], r4, %[two], %[raw0]\n" \
    "   sxtb16 r4, r4\n" \
    "   smlad %[raw1], r5, %[two], %[raw1]\n" \
    "   sxtb16 r5, r5\n" \
    "   smlad %[low0], r4, %[two], %[low0]\n" \
    "   smlad %[low1], r5, %[two], %[low1]\n" \
    "   smlad %[raw0], r8, %[next], %[raw0]\n" \
    "   sxtb16 r8, r8\n" \
    "   smlad %[raw1], r12, %[next], %[raw1]\n" \
    "   sxtb16 r12, r12\n" \
    "   smlad %[low0], r8, %[next], %[low0]\n" \
    "   smlad %[low1], r12, %[next], %[low1]\n"
#define LNN_PAIRS(text) \
    __asm__ volatile(text \
                     : [raw0] "+r"(raw0), [low0] "+r"(low0), [raw1] "+r"(raw1), [low1] "+r"(low1), [w] "+r"(weight), \
                       [x] "+r"(at), [left] "+r"(left), [two] "=&r"(two), [next] "=&r"(next) \
                     : \
                     : "r4", "r5", "r8", "r12", "cc", "memory")
#define LNN_PAIRS_LOOP(text) LNN_PAIRS("1:\n" text "   subs %[left], %[left], #1\n   bne 1b\n")
#endif

/**
 * @brief Four sums over int8 activations that begin with their biases, two rows in one halfword as in lnn_dot4_pairs.
 * @param block  256 b1 + b0, b0, 256 b3 + b2, b2, then the weights of lnn_dot4_pairs
 * @param x      4 * groups activations in [-128, 127], aligned to words
 * @param groups at least 1; a constant, so that one of the loops stays
 * @param sums   one per row; rows 1 and 3 without their biases stay below 2^23 (proved when the kernel is chosen)
 * @return       behind the weights
 */
LNN_INLINE const uint32_t *lnn_sum_pairs(const uint32_t *block, const int16_t *x, const int32_t groups, int32_t sums[4])
{
    LNN_IN("r6", uint32_t, raw0)           = block[0];
    LNN_IN("r7", uint32_t, low0)           = block[1];
    LNN_IN("r10", uint32_t, raw1)          = block[2];
    LNN_IN("r11", uint32_t, low1)          = block[3];
    LNN_IN("r0", const uint32_t *, weight) = &block[4];
#if LNN_HAS_DSP_LOOPS
    LNN_IN("r1", const int16_t *, at) = x;
    LNN_IN("r2", int32_t, left)       = groups / ((groups % 4 == 0) ? 4 : ((groups % 3 == 0) ? 3 : 2));
    LNN_IN("r3", uint32_t, two);
    LNN_IN("lr", uint32_t, next);
    if (groups % 4 == 0)
    {
        LNN_PAIRS_LOOP(LNN_PAIRS_GROUP LNN_PAIRS_GROUP LNN_PAIRS_GROUP LNN_PAIRS_GROUP);
    }
    else if (groups % 3 == 0)
    {
        LNN_PAIRS_LOOP(LNN_PAIRS_GROUP LNN_PAIRS_GROUP LNN_PAIRS_GROUP);
    }
    else
    {
        if (groups > 1)
        {
            LNN_PAIRS_LOOP(LNN_PAIRS_GROUP LNN_PAIRS_GROUP);
        }
        if (groups % 2 == 1)
        {
            LNN_PAIRS(LNN_PAIRS_GROUP);
        }
    }
#else
    for (int32_t half = 0; half < 2 * groups; half++)
    {
        const uint32_t pair = lnn_load_pair(x);
        raw0                = lnn_dual_mac(weight[0], pair, raw0);
        low0                = lnn_dual_mac(lnn_even_bytes(weight[0]), pair, low0);
        raw1                = lnn_dual_mac(weight[1], pair, raw1);
        low1                = lnn_dual_mac(lnn_even_bytes(weight[1]), pair, low1);
        weight += 2;
        x += 2;
    }
#endif
    sums[0] = (int32_t) low0;
    sums[1] = lnn_high_row(raw0, low0);
    sums[2] = (int32_t) low1;
    sums[3] = lnn_high_row(raw1, low1);
    return weight;
}

#if LNN_HAS_DSP_LOOPS
#define LNN_TRIPLES_HALF(two) \
    "   ldm %[w]!, {r4, r5, r8}\n" \
    "   smlad %[raw0], r4, " two ", %[raw0]\n" \
    "   sxtb16 r4, r4\n" \
    "   smlad %[raw1], r5, " two ", %[raw1]\n" \
    "   sxtb16 r5, r5\n" \
    "   smlad %[raw2], r8, " two ", %[raw2]\n" \
    "   sxtb16 r8, r8\n" \
    "   smlad %[low0], r4, " two ", %[low0]\n" \
    "   smlad %[low1], r5, " two ", %[low1]\n" \
    "   smlad %[low2], r8, " two ", %[low2]\n"
#define LNN_TRIPLES_GROUP \
    "   ldrd %[two], %[next], [%[x]], #8\n" LNN_TRIPLES_HALF("%[two]") LNN_TRIPLES_HALF("%[next]")
#define LNN_TRIPLES_LOOP(text) \
    __asm__ volatile("1:\n" text "   subs %[left], %[left], #1\n   bne 1b\n" \
                     : [raw0] "+r"(raw0), [low0] "+r"(low0), [raw1] "+r"(raw1), [low1] "+r"(low1), \
                       [raw2] "+r"(raw2), [low2] "+r"(low2), [w] "+r"(weight), [x] "+r"(at), [left] "+r"(left), \
                       [two] "=&r"(two), [next] "=&r"(next) \
                     : \
                     : "r4", "r5", "r8", "cc", "memory")
#endif

/**
 * @brief Six sums as in lnn_sum_pairs: six words of biases, then six words of weights for each group.
 * @param block  biases; weights: {rows 0, 1: columns 0, 1}, {2, 3: 0, 1}, {4, 5: 0, 1}, {0, 1: 2, 3}, {2, 3: 2, 3}, {4, 5: 2, 3}
 * @param x      4 * groups activations in [-128, 127], aligned to words
 * @param groups at least 1; a constant
 * @param sums   one per row; rows 1, 3 and 5 with their biases stay below 2^23 (proved when the kernel is chosen)
 * @return       behind the weights
 */
LNN_INLINE const uint32_t *lnn_sum_triples(const uint32_t *block, const int16_t *x, const int32_t groups,
                                           int32_t sums[6])
{
    LNN_IN("r6", uint32_t, raw0)           = block[0];
    LNN_IN("r7", uint32_t, low0)           = block[1];
    LNN_IN("r9", uint32_t, raw1)           = block[2];
    LNN_IN("r10", uint32_t, low1)          = block[3];
    LNN_IN("r11", uint32_t, raw2)          = block[4];
    LNN_IN("r12", uint32_t, low2)          = block[5];
    LNN_IN("r0", const uint32_t *, weight) = &block[6];
#if LNN_HAS_DSP_LOOPS
    LNN_IN("r1", const int16_t *, at) = x;
    LNN_IN("r2", int32_t, left)       = (groups % 2 == 0) ? (groups / 2) : groups;
    LNN_IN("r3", uint32_t, two);
    LNN_IN("lr", uint32_t, next);
    if (groups % 2 == 0)
    {
        LNN_TRIPLES_LOOP(LNN_TRIPLES_GROUP LNN_TRIPLES_GROUP);
    }
    else
    {
        LNN_TRIPLES_LOOP(LNN_TRIPLES_GROUP);
    }
#else
    for (int32_t half = 0; half < 2 * groups; half++)
    {
        const uint32_t pair = lnn_load_pair(x);
        raw0                = lnn_dual_mac(weight[0], pair, raw0);
        low0                = lnn_dual_mac(lnn_even_bytes(weight[0]), pair, low0);
        raw1                = lnn_dual_mac(weight[1], pair, raw1);
        low1                = lnn_dual_mac(lnn_even_bytes(weight[1]), pair, low1);
        raw2                = lnn_dual_mac(weight[2], pair, raw2);
        low2                = lnn_dual_mac(lnn_even_bytes(weight[2]), pair, low2);
        weight += 3;
        x += 2;
    }
#endif
    sums[0] = (int32_t) low0;
    sums[1] = lnn_high_row(raw0, low0);
    sums[2] = (int32_t) low1;
    sums[3] = lnn_high_row(raw1, low1);
    sums[4] = (int32_t) low2;
    sums[5] = lnn_high_row(raw2, low2);
    return weight;
}

/**
 * @brief Four sums over int16 activations, one word of weights per row and group.
 * @param weight groups of one word per row, its bytes the columns 0, 2, 1, 3
 * @param x      4 * groups activations
 * @param groups at least 1
 * @param sums   one per row; below 2^31 (proved when the graph is built)
 */
LNN_INLINE void lnn_dot4_words(const uint32_t *weight, const int16_t *x, const int32_t groups, int32_t sums[4])
{
    LNN_IN("r6", uint32_t, sum0)  = 0U;
    LNN_IN("r7", uint32_t, sum1)  = 0U;
    LNN_IN("r10", uint32_t, sum2) = 0U;
    LNN_IN("r11", uint32_t, sum3) = 0U;
    LNN_IN("r2", int32_t, left)   = groups;
#if LNN_HAS_DSP_LOOPS
    LNN_IN("r0", const uint32_t *, from) = weight;
    LNN_IN("r1", const int16_t *, at)    = x;
    LNN_IN("r3", uint32_t, two);
    LNN_IN("lr", uint32_t, even);
    __asm__ volatile("1: ldm %[w]!, {r4, r5, r8, r12}\n"
                     "   ldr %[two], [%[x]], #4\n"
                     "   sxtb16 %[even], r4\n"
                     "   smlad %[sum0], %[even], %[two], %[sum0]\n"
                     "   sxtb16 %[even], r5\n"
                     "   smlad %[sum1], %[even], %[two], %[sum1]\n"
                     "   sxtb16 %[even], r8\n"
                     "   smlad %[sum2], %[even], %[two], %[sum2]\n"
                     "   sxtb16 %[even], r12\n"
                     "   smlad %[sum3], %[even], %[two], %[sum3]\n"
                     "   ldr %[two], [%[x]], #4\n"
                     "   sxtb16 r4, r4, ror #8\n"
                     "   smlad %[sum0], r4, %[two], %[sum0]\n"
                     "   sxtb16 r5, r5, ror #8\n"
                     "   smlad %[sum1], r5, %[two], %[sum1]\n"
                     "   sxtb16 r8, r8, ror #8\n"
                     "   smlad %[sum2], r8, %[two], %[sum2]\n"
                     "   sxtb16 r12, r12, ror #8\n"
                     "   smlad %[sum3], r12, %[two], %[sum3]\n"
                     "   subs %[left], %[left], #1\n"
                     "   bne 1b\n"
                     : [sum0] "+r"(sum0), [sum1] "+r"(sum1), [sum2] "+r"(sum2), [sum3] "+r"(sum3), [w] "+r"(from),
                       [x] "+r"(at), [left] "+r"(left), [two] "=&r"(two), [even] "=&r"(even)
                     :
                     : "r4", "r5", "r8", "r12", "cc", "memory");
#else
    for (; left > 0; left--)
    {
        for (uint32_t shift = 0U; shift <= 8U; shift += 8U)
        {
            const uint32_t pair = lnn_load_pair(x);
            sum0                = lnn_dual_mac(lnn_even_bytes(weight[0] >> shift), pair, sum0);
            sum1                = lnn_dual_mac(lnn_even_bytes(weight[1] >> shift), pair, sum1);
            sum2                = lnn_dual_mac(lnn_even_bytes(weight[2] >> shift), pair, sum2);
            sum3                = lnn_dual_mac(lnn_even_bytes(weight[3] >> shift), pair, sum3);
            x += 2;
        }
        weight += 4;
    }
#endif
    sums[0] = (int32_t) sum0;
    sums[1] = (int32_t) sum1;
    sums[2] = (int32_t) sum2;
    sums[3] = (int32_t) sum3;
}

/**
 * @brief Four sums over int16 activations, one word of weights per row and two columns.
 * @param weight groups of {columns 0, 1} of rows 0 to 3, then {columns 2, 3} of them
 * @param x      4 * groups activations
 * @param groups at least 1
 * @param sums   one per row; below 2^31 (proved when the graph is built)
 */
LNN_INLINE void lnn_dot4_halves(const uint32_t *weight, const int16_t *x, const int32_t groups, int32_t sums[4])
{
    LNN_IN("r6", uint32_t, sum0)  = 0U;
    LNN_IN("r7", uint32_t, sum1)  = 0U;
    LNN_IN("r10", uint32_t, sum2) = 0U;
    LNN_IN("r11", uint32_t, sum3) = 0U;
    LNN_IN("r2", int32_t, left)   = groups;
#if LNN_HAS_DSP_LOOPS
    LNN_IN("r0", const uint32_t *, from) = weight;
    LNN_IN("r1", const int16_t *, at)    = x;
    LNN_IN("r3", uint32_t, two);
    __asm__ volatile("1: ldr %[two], [%[x]], #4\n"
                     "   ldm %[w]!, {r4, r5, r8, r12}\n"
                     "   smlad %[sum0], r4, %[two], %[sum0]\n"
                     "   smlad %[sum1], r5, %[two], %[sum1]\n"
                     "   smlad %[sum2], r8, %[two], %[sum2]\n"
                     "   smlad %[sum3], r12, %[two], %[sum3]\n"
                     "   ldr %[two], [%[x]], #4\n"
                     "   ldm %[w]!, {r4, r5, r8, r12}\n"
                     "   smlad %[sum0], r4, %[two], %[sum0]\n"
                     "   smlad %[sum1], r5, %[two], %[sum1]\n"
                     "   smlad %[sum2], r8, %[two], %[sum2]\n"
                     "   smlad %[sum3], r12, %[two], %[sum3]\n"
                     "   subs %[left], %[left], #1\n"
                     "   bne 1b\n"
                     : [sum0] "+r"(sum0), [sum1] "+r"(sum1), [sum2] "+r"(sum2), [sum3] "+r"(sum3), [w] "+r"(from),
                       [x] "+r"(at), [left] "+r"(left), [two] "=&r"(two)
                     :
                     : "r4", "r5", "r8", "r12", "cc", "memory");
#else
    for (; left > 0; left--)
    {
        for (int32_t half = 0; half < 2; half++)
        {
            const uint32_t pair = lnn_load_pair(x);
            sum0                = lnn_dual_mac(weight[0], pair, sum0);
            sum1                = lnn_dual_mac(weight[1], pair, sum1);
            sum2                = lnn_dual_mac(weight[2], pair, sum2);
            sum3                = lnn_dual_mac(weight[3], pair, sum3);
            weight += 4;
            x += 2;
        }
    }
#endif
    sums[0] = (int32_t) sum0;
    sums[1] = (int32_t) sum1;
    sums[2] = (int32_t) sum2;
    sums[3] = (int32_t) sum3;
}

/**
 * @brief Currents and conductances of the synapses of a neuron, added to `sums`.
 * @param synapse three words each: offset and half a step; slope and source; driven and conductance
 * @param count   of synapses
 * @param x       what sources index
 * @param middle  entry of the sigmoid's table where the argument is 0; entries are less by 2^14
 * @param shift   in [1, 30]; a constant
 * @param sums    num and den modulo 2^32, which begin with 2^14 for each driven conductance and conductance
 * @return        behind the last synapse
 */
LNN_INLINE const int32_t *lnn_synapse_sums(const int32_t *synapse, const uint32_t count, const int16_t *x,
                                           const int16_t *middle, const int32_t shift, uint32_t sums[2])
{
    LNN_IN("r6", uint32_t, num)  = sums[0];
    LNN_IN("r7", uint32_t, den)  = sums[1];
    LNN_IN("r2", uint32_t, left) = count;
#if LNN_HAS_DSP_LOOPS
    LNN_IN("r0", const int32_t *, from)   = synapse;
    LNN_IN("r1", const int16_t *, source) = x;
    LNN_IN("r3", uint32_t, part);
    LNN_IN("r10", const int16_t *, table) = middle;
    LNN_IN("r11", uint32_t, ones)         = 65535U;
    LNN_IN("r12", uint32_t, one)          = 256U;
    LNN_IN("lr", uint32_t, half)          = 128U;
    if (left > 0U)
    {
        __asm__ volatile("1: ldm %[w]!, {r4, r5, r8}\n"
                         "   uxth %[part], r5\n"
                         "   ldrsh %[part], [%[x], %[part], lsl #1]\n"
                         "   smlatb r4, r5, %[part], r4\n"
                         "   ssat r4, #16, r4, asr %[shift]\n"
                         "   uxtb %[part], r4\n"
                         "   asr r4, r4, #8\n"
                         "   mla %[part], %[part], %[ones], %[one]\n"
                         "   ldr r4, [%[middle], r4, lsl #1]\n"
                         "   smlad r4, r4, %[part], %[half]\n"
                         "   asr r4, r4, #8\n"
                         "   smlatb %[num], r8, r4, %[num]\n"
                         "   smlabb %[den], r8, r4, %[den]\n"
                         "   subs %[left], %[left], #1\n"
                         "   bne 1b\n"
                         : [num] "+r"(num), [den] "+r"(den), [w] "+r"(from), [left] "+r"(left), [part] "=&r"(part)
                         : [x] "r"(source), [middle] "r"(table), [shift] "i"(shift), [ones] "r"(ones), [one] "r"(one),
                           [half] "r"(half)
                         : "r4", "r5", "r8", "cc", "memory");
    }
    synapse = from;
#else
    for (; left > 0U; left--)
    {
        const int32_t sum      = x[synapse[1] & 0xFFFF] * (synapse[1] >> 16) + synapse[0];
        const int32_t argument = lnn_saturate_int16(sum >> shift);
        const int32_t gate     = lnn_interpolate_pair(&middle[argument >> 8], (uint32_t) argument & 255U, 0);
        num += (uint32_t) ((synapse[2] >> 16) * gate);
        den += (uint32_t) ((synapse[2] & 0xFFFF) * gate);
        synapse += 3;
    }
#endif
    sums[0] = num;
    sums[1] = den;
    return synapse;
}

#endif
