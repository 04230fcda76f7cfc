/**
 * @file lnn_average.h
 * @brief Leaky averages, which a model may have many of: one routine for all.
 *
 * Twin of lnn_edge/graph/ops/leaky.py.
 */
#ifndef LNN_AVERAGE_H
#define LNN_AVERAGE_H

#include "lnn_fixed.h"

#if defined(__GNUC__)
#define LNN_SHARED __attribute__((unused)) static LNN_NOINLINE
#else
#define LNN_SHARED static LNN_NOINLINE
#endif

/**
 * @brief s' = s + alpha (x - s), y = s' rounded, of `count` elements; alpha in 2^-32, the state with 14 fraction bits.
 *
 * An empty state, INT32_MIN, becomes x. The states lie where x can be, so no difference exceeds 31 bits. y is limited to
 * [low, 32767].
 */
LNN_SHARED void lnn_op_average(const int16_t *x, const int32_t *state, int32_t *update, int16_t *y, const uint32_t count,
                               const int32_t alpha, const int32_t low)
{
    for (uint32_t i = 0; i < count; i++)
    {
        const int32_t wide = (int32_t) x[i] * 16384;
        int32_t       next = state[i];
        next               = (next == INT32_MIN) ? wide : (next + lnn_requantize(wide - next, alpha, 0));
        update[i]          = next;
        y[i]               = (int16_t) lnn_saturate((next + 8192) >> 14, low, INT16_MAX);
    }
}

#endif
