/**
 * @file lnn_fixed.h
 * @brief Integer arithmetic of generated models.
 *
 * Twin of lnn_edge/fixed.py, function for function. There is one rounding rule:
 * round half up of acc * M, rounded once. No option changes a result.
 */
#ifndef LNN_FIXED_H
#define LNN_FIXED_H

#include <stdint.h>

_Static_assert((-3 >> 1) == -2, "right shifts of negative numbers must be arithmetic");

#if defined(__GNUC__)
#define LNN_NOINLINE __attribute__((noinline))
#define LNN_INLINE static inline __attribute__((always_inline))
#else
#define LNN_NOINLINE
#define LNN_INLINE static inline
#endif

/** @brief x limited to [low, high]. */
LNN_INLINE int32_t lnn_saturate(const int32_t x, const int32_t low, const int32_t high)
{
    return (x < low) ? low : ((x > high) ? high : x);
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
 * @note One SMMULR on cores that have it; other cores compute the same bits.
 */
LNN_INLINE int32_t lnn_requantize(const int32_t acc, const int32_t multiplier, const int32_t shift)
{
    const int64_t product = (int64_t) lnn_shift_left(acc, shift) * multiplier;
    return (int32_t) ((product + INT64_C(0x80000000)) >> 32);
}

/** @brief Round half up of the sum of two terms acc * multiplier * 2^(shift - 32), rounded once. */
LNN_INLINE int32_t lnn_requantize_sum2(const int32_t acc1, const int32_t multiplier1, const int32_t shift1,
                                       const int32_t acc2, const int32_t multiplier2, const int32_t shift2,
                                       const int32_t low, const int32_t high)
{
    const int64_t sum = (int64_t) lnn_shift_left(acc1, shift1) * multiplier1 +
                        (int64_t) lnn_shift_left(acc2, shift2) * multiplier2;
    const int64_t y = (sum + INT64_C(0x80000000)) >> 32;
    return (y < low) ? low : ((y > high) ? high : (int32_t) y);
}

/** @brief floor((2 n + d) / (2 d)): n / d rounded half up; d > 0, |2 n| + d below 2^31. */
LNN_INLINE int32_t lnn_divide(const int32_t n, const int32_t d)
{
    const int32_t numerator   = 2 * n + d;
    const int32_t denominator = 2 * d;
    const int32_t quotient    = numerator / denominator;
    return ((numerator % denominator) < 0) ? (quotient - 1) : quotient;
}

/** @brief left + (right - left) * fraction / 2^n, rounded half up; n >= 1. */
LNN_INLINE int32_t lnn_interpolate(const int32_t left, const int32_t right, const int32_t fraction, const int32_t n)
{
    const int32_t wide = left * (1 << n) + (right - left) * fraction;
    return (wide + (1 << (n - 1))) >> n;
}

#endif
