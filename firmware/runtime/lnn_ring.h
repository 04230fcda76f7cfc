/**
 * @file lnn_ring.h
 * @brief What happens once a frame or tap: a few instructions each, as all sizes are known where it is called.
 *
 * Beside lnn_runtime.h, which counts and fills them. `channels` are the 16-bit units of a frame; frames of an even
 * number of them are aligned to words.
 */
#ifndef LNN_RING_H
#define LNN_RING_H

#include <stdint.h>
#include <string.h>

#include "lnn_fixed.h"
#include "lnn_runtime.h"

#define LNN_CHUNK 32U /**< units that compilers copy by loads and stores, without a call */

/** @brief Copy a frame. */
LNN_INLINE void lnn_frame_copy(const int16_t *from, const uint32_t channels, int16_t *to)
{
    const uint32_t chunk = (channels < LNN_CHUNK) ? channels : LNN_CHUNK;
    const uint32_t whole = channels / chunk * chunk;
    for (uint32_t c = 0; c < whole; c += chunk)
    {
        (void) memcpy(&to[c], &from[c], 2U * (size_t) chunk);
    }
    (void) memcpy(&to[whole], &from[whole], 2U * (size_t) (channels - whole));
}

/** @brief Append a frame to a ring that is full from the start. */
LNN_INLINE void lnn_ring_append(lnn_ring_t *ring, int16_t *data, const uint32_t length, const uint32_t channels,
                                const int16_t *frame)
{
    lnn_frame_copy(frame, channels, &data[ring->frames % length * channels]);
    ring->frames++;
}

/** @brief Append a frame to a ring that the first one fills. */
LNN_INLINE void lnn_ring_push(lnn_ring_t *ring, int16_t *data, const uint32_t length, const uint32_t channels,
                              const int16_t *frame)
{
    if (ring->primed == 0U)
    {
        lnn_ring_fill(ring, data, length, channels, frame);
    }
    lnn_ring_append(ring, data, length, channels, frame);
}

/** @brief Append a frame to a ring that slides: as long as the window of its only reader, which is its memory. */
LNN_INLINE void lnn_slide_push(lnn_ring_t *ring, int16_t *data, const uint32_t length, const uint32_t hop,
                               const uint32_t first, const uint32_t channels, const int16_t *frame)
{
    if (ring->primed == 0U)
    {
        lnn_ring_fill(ring, data, length, channels, frame);
    }
    const uint32_t until = (ring->frames < first) ? (first - ring->frames) : (hop - (ring->frames - first) % hop);
    lnn_frame_copy(frame, channels, &data[(length - until) * channels]);
    ring->frames++;
}

/** @brief Frame `back` before the next one, from 1 to `length`, where it lies. */
LNN_INLINE const int16_t *lnn_ring_at(const lnn_ring_t *ring, const int16_t *data, const uint32_t length,
                                      const uint32_t channels, const uint32_t back)
{
    return &data[(ring->frames % length + length - back) % length * channels];
}

/** @brief Copy a frame of a ring into the arena. */
LNN_INLINE void lnn_tap_copy(const int16_t *from, const uint32_t channels, int16_t *to)
{
#if defined(__GNUC__)
    if (channels % 2U == 0U)
    {
        from = (const int16_t *) __builtin_assume_aligned(from, 4);
        to   = (int16_t *) __builtin_assume_aligned(to, 4);
    }
#endif
    lnn_frame_copy(from, channels, to);
}

/** @brief Copy `count` frames, `dilation` apart, the first of them `back` before the next one, at most `length`. */
LNN_INLINE void lnn_ring_taps(const lnn_ring_t *ring, const int16_t *data, const uint32_t length,
                              const uint32_t channels, const uint32_t back, const uint32_t dilation,
                              const uint32_t count, int16_t *out)
{
    uint32_t slot = (ring->frames % length + length - back) % length;
    for (uint32_t i = 0; i < count; i++)
    {
        lnn_tap_copy(&data[slot * channels], channels, &out[i * channels]);
        slot += dilation; /* below `length`, where another one follows */
        slot -= (slot >= length) ? length : 0U;
    }
}

#endif
