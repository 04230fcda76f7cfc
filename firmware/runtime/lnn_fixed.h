/**
 * @file lnn_fixed.h
 * @brief Integer arithmetic of generated models.
 *
 * Twin of lnn_edge/graph/fixed.py, function for function. There is one rounding rule:
 * round half up of acc * M, rounded once. No option changes a result.
 */
#ifndef LNN_FIXED_H
#define LNN_FIXED_H

#include <stdint.h>

#include "lnn_compiler.h"

/** The core has SMMULR, SMLAD and SXTB16, and the compiler takes them from us. */
#if defined(__GNUC__) && defined(__ARM_FEATURE_SIMD32)
#define LNN_HAS_DSP 1
#else
#define LNN_HAS_DSP 0
#endif

/** @brief x limited to [low, high]. */
LNN_INLINE int32_t lnn_saturate(const int32_t x, const int32_t low, const int32_t high)
{
    return (x < low) ? low : ((x > high) ? high : x);
}

/** @brief x limited to int8: SSAT where the core has it. */
LNN_INLINE int32_t lnn_saturate_int8(const int32_t x)
{
#if LNN_HAS_DSP
    int32_t y;
    __asm__("ssat %0, #8, %1" : "=r"(y) : "r"(x));
    return y;
#else
    return lnn_saturate(x, INT8_MIN, INT8_MAX);
#endif
}

/** @brief x limited to int16: SSAT where the core has it. */
LNN_INLINE int32_t lnn_saturate_int16(const int32_t x)
{
#if LNN_HAS_DSP
    int32_t y;
    __asm__("ssat %0, #16, %1" : "=r"(y) : "r"(x));
    return y;
#else
    return lnn_saturate(x, INT16_MIN, INT16_MAX);
#endif
}

/** @brief x limited to [-32767, 32767]: SSAT, and a saturating halfword where the core has it. */
LNN_INLINE int32_t lnn_saturate_symmetric_int16(const int32_t x)
{
#if LNN_HAS_DSP
    uint32_t y; /* one less */
    __asm__("ssat %0, #16, %1\n\tqsub16 %0, %0, %2" : "=&r"(y) : "r"(x), "r"(1U));
    return (int16_t) y + 1;
#else
    return lnn_saturate(x, -INT16_MAX, INT16_MAX);
#endif
}

/** @brief x limited to [-127, 127]: the same with bytes. */
LNN_INLINE int32_t lnn_saturate_symmetric_int8(const int32_t x)
{
#if LNN_HAS_DSP
    uint32_t y; /* one less */
    __asm__("ssat %0, #8, %1\n\tqsub8 %0, %0, %2" : "=&r"(y) : "r"(x), "r"(1U));
    return (int8_t) y + 1;
#else
    return lnn_saturate(x, -INT8_MAX, INT8_MAX);
#endif
}

/** @brief x * 2^n as a product, defined for negative x; the caller proves that it fits. */
LNN_INLINE int32_t lnn_shift_left(const int32_t x, const int32_t n)
{
    return (int32_t) ((uint32_t) x << (uint32_t) n);
}

/**
 * @brief Round half up of acc * multiplier * 2^(shift - 32).
 * @param acc        |acc| << shift below 2^31 (proved when the graph is built)
 * @param multiplier in [1, 2^31)
 * @param shift      in [0, 30]
 * @note SMMULR on cores that have it (GCC 12 does not find it by itself); the same bits elsewhere.
 */
LNN_INLINE int32_t lnn_requantize(const int32_t acc, const int32_t multiplier, const int32_t shift)
{
#if LNN_HAS_DSP
    int32_t y;
    __asm__("smmulr %0, %1, %2" : "=r"(y) : "r"(lnn_shift_left(acc, shift)), "r"(multiplier));
    return y;
#else
    const int64_t product = (int64_t) lnn_shift_left(acc, shift) * multiplier;
    return (int32_t) ((product + INT64_C(0x80000000)) >> 32);
#endif
}

/** @brief The same with a zero point added, which SMMLAR does on its way. */
LNN_INLINE int32_t lnn_requantize_around(const int32_t acc, const int32_t multiplier, const int32_t shift,
                                         const int32_t zero)
{
    if (zero == 0)
    {
        return lnn_requantize(acc, multiplier, shift);
    }
#if LNN_HAS_DSP
    int32_t y;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(y) : "r"(lnn_shift_left(acc, shift)), "r"(multiplier), "r"(zero));
    return y;
#else
    return lnn_requantize(acc, multiplier, shift) + zero;
#endif
}

/** @brief Round half up of the sum of two terms acc * multiplier * 2^(shift - 32), rounded once. */
LNN_INLINE int32_t lnn_requantize_sum2(const int32_t acc1, const int32_t multiplier1, const int32_t shift1,
                                       const int32_t acc2, const int32_t multiplier2, const int32_t shift2)
{
#if LNN_HAS_DSP
    uint32_t low  = 0x80000000U;
    int32_t  high = 0;
    __asm__("smlal %0, %1, %2, %3" : "+r"(low), "+r"(high) : "r"(lnn_shift_left(acc1, shift1)), "r"(multiplier1));
    __asm__("smlal %0, %1, %2, %3" : "+r"(low), "+r"(high) : "r"(lnn_shift_left(acc2, shift2)), "r"(multiplier2));
    return high;
#else
    int64_t sum = INT64_C(0x80000000); /* the sum fits 64 bits (proved) */
    sum += (int64_t) lnn_shift_left(acc1, shift1) * multiplier1;
    sum += (int64_t) lnn_shift_left(acc2, shift2) * multiplier2;
    return (int32_t) (sum >> 32);
#endif
}

/**
 * @brief (kept gate + added 2^bits + 2^14) >> 15, limited to 32 bits, as the high word of the sum tells.
 * @param kept  state
 * @param gate  in [0, 2^15]
 * @param added |added| at most 2^30
 * @param bits  in [0, 15]
 */
LNN_INLINE int32_t lnn_remember(const int32_t kept, const int32_t gate, const int32_t added, const int32_t bits)
{
    int64_t sum = 16384; /* fits 64 bits (proved) */
    sum += (int64_t) kept * gate;
    sum += (int64_t) added * (1 << bits);
    const int32_t high  = (int32_t) (sum >> 32);
    int32_t       value = (int32_t) (((uint32_t) high << 17) | ((uint32_t) sum >> 15));
    if ((high < -16384) || (high > 16383))
    {
        value = (high < 0) ? INT32_MIN : INT32_MAX;
    }
    return value;
}

/** @brief floor((2 n + d) / (2 d)): n / d rounded half up; d > 0, |2 n| + d below 2^31. */
LNN_INLINE int32_t lnn_divide(const int32_t n, const int32_t d)
{
    const int32_t numerator   = 2 * n + d;
    const int32_t denominator = 2 * d;
    const int32_t quotient    = numerator / denominator;
    return quotient + ((numerator % denominator) >> 31); /* one less where the remainder is negative */
}

/** @brief x as one word; the caller proves that it fits. */
LNN_INLINE int32_t lnn_narrow(const int64_t x)
{
    int32_t y = (int32_t) x;
#if defined(__GNUC__)
    __asm__("" : "+r"(y)); /* GCC would go on with both words */
#endif
    return y;
}

/** @brief x / 2^n rounded half up, n in [1, 31]; the caller proves that it fits. */
LNN_INLINE int32_t lnn_shift_rounded(const int64_t x, const int32_t n)
{
    const uint32_t high = (uint32_t) (x >> 32) << (32 - n);
    uint32_t       low  = (uint32_t) x;
#if LNN_HAS_DSP
    __asm__("lsrs %0, %0, %2\n\tadc %0, %0, %1" : "+&r"(low) : "r"(high), "r"(n) : "cc"); /* the carry is a half */
    return (int32_t) low;
#else
    return (int32_t) ((high | (low >> n)) + ((low >> (n - 1)) & 1U));
#endif
}

/** @brief Number of zero bits above the highest one; x above 0. */
LNN_INLINE int32_t lnn_leading_zeros(const uint32_t x)
{
#if defined(__GNUC__)
    return __builtin_clz(x);
#else
    int32_t n = 0;
    while ((x << n) < 0x80000000U)
    {
        n++;
    }
    return n;
#endif
}

/**
 * @brief r with r * 2^(zeros - 47) at most 1 / d, and less than 2^-14 of it below.
 * @param d     above 0
 * @param zeros lnn_leading_zeros(d)
 */
LNN_INLINE uint32_t lnn_reciprocal(const uint32_t d, const int32_t zeros)
{
    return 0x80000000U / (((d << zeros) >> 16) + 1U);
}

/**
 * @brief floor(total / 2^29) limited to [-2^29, 2^29 - 1], as the high word of total tells.
 * @param residue receives what is cut off, a half where the value is limited
 */
LNN_INLINE int32_t lnn_limit_section(const int64_t total, int32_t *residue)
{
    const int32_t  high  = (int32_t) (total >> 32);
    const uint32_t low   = (uint32_t) total;
    int32_t        value = (int32_t) (((uint32_t) high << 3) | (low >> 29));
    *residue             = (int32_t) (low & 536870911U);
    if ((high < -67108864) || (high > 67108863))
    {
        *residue = 268435456;
        value    = (high < 0) ? -536870912 : 536870911;
    }
#if defined(__GNUC__)
    __asm__("" : "+r"(value)); /* one register: GCC would widen both branches to 64 bits */
#endif
    return value;
}

/** @brief left * 2^n + (right - left) * fraction; n >= 1. */
LNN_INLINE int32_t lnn_blend(const int32_t left, const int32_t right, const int32_t fraction, const int32_t n)
{
    return left * (1 << n) + (right - left) * fraction;
}

/** @brief left + (right - left) * fraction / 2^n, rounded half up; n >= 1. */
LNN_INLINE int32_t lnn_interpolate(const int32_t left, const int32_t right, const int32_t fraction, const int32_t n)
{
    return (lnn_blend(left, right, fraction, n) + (1 << (n - 1))) >> n;
}

/** @brief A complex value, the real part first: LDRD where the core is known to have it. */
LNN_INLINE void lnn_load_complex(const int32_t *from, int32_t *re, int32_t *im)
{
#if LNN_HAS_DSP
    __asm__("ldrd %0, %1, %2" : "=r"(*re), "=r"(*im) : "Q"(*(const int32_t(*)[2]) from));
#else
    *re = from[0];
    *im = from[1];
#endif
}

/** @brief The same to memory. */
LNN_INLINE void lnn_store_complex(int32_t *to, const int32_t re, const int32_t im)
{
#if LNN_HAS_DSP
    __asm__("strd %1, %2, %0" : "=Q"(*(int32_t(*)[2]) to) : "r"(re), "r"(im));
#else
    to[0] = re;
    to[1] = im;
#endif
}

/** @brief (a cosine + b sine + 2^29) >> 30: one part of a complex product; 2^30 means 1. */
LNN_INLINE int32_t lnn_rotate(const int32_t a, const int32_t cosine, const int32_t b, const int32_t sine)
{
#if LNN_HAS_DSP
    const int64_t sum = (int64_t) a * cosine + (int64_t) b * sine;
    uint32_t      y   = (uint32_t) sum;
    __asm__("lsrs %0, %0, #30\n\tadc %0, %0, %1, lsl #2" : "+&r"(y) : "r"((uint32_t) (sum >> 32)) : "cc"); /* the carry is a half */
    return (int32_t) y;
#else
    return (int32_t) (((int64_t) a * cosine + (int64_t) b * sine + (INT64_C(1) << 29)) >> 30);
#endif
}

/**
 * @brief floor(sqrt(x)).
 * @param most what x does not exceed; a constant
 * @note Heron's steps from within an eighth of the root: 2^-7, 2^-15.3, 2^-31 of it too large, then exact or one above. Two
 *       do for roots below 2^14.
 */
LNN_INLINE uint32_t lnn_isqrt(const uint32_t x, const uint32_t most)
{
    if (x == 0U)
    {
        return 0U;
    }
    const int32_t half = (31 - lnn_leading_zeros(x)) >> 1;
    uint32_t root      = (x >> (half + 2)) + ((7U << half) >> 3) + 1U;
    root               = (root + x / root) >> 1;
    root               = (root + x / root) >> 1;
    root               = (most < (1U << 28)) ? root : ((root + x / root) >> 1);
    return (root * root > x) ? (root - 1U) : root;
}

/**
 * @brief floor(G sqrt(re^2 + im^2) + 1/2), at most limit, with G^2 = multiplier * 2^-(34 + shift); rounded once.
 * @param re         re^2 + im^2 below 2^62 (proved when the graph is built)
 * @param im         imaginary part
 * @param multiplier in [2^30, 2^31)
 * @param shift      in [0, 62]
 * @param limit      in [1, 32767]
 */
LNN_INLINE int32_t lnn_magnitude(const int32_t re, const int32_t im, const int32_t multiplier, const int32_t shift,
                                 const int32_t limit)
{
    const uint64_t square = (uint64_t) ((int64_t) re * re + (int64_t) im * im);
    const uint64_t low    = ((uint64_t) (uint32_t) square * (uint32_t) multiplier) >> 32;
    const uint64_t scaled = ((uint64_t) (uint32_t) (square >> 32) * (uint32_t) multiplier + low) >> shift;
    const uint32_t most   = 4U * (uint32_t) limit * (uint32_t) limit;
    return (int32_t) ((lnn_isqrt((scaled < most) ? (uint32_t) scaled : most, most) + 1U) >> 1);
}

#endif
