#include "lnn_state.h"

uint32_t lnn_crc32(const uint32_t crc, const uint8_t *bytes, const uint32_t count)
{
    static const uint32_t of_nibble[16] = {
        0x00000000U, 0x1DB71064U, 0x3B6E20C8U, 0x26D930ACU,
        0x76DC4190U, 0x6B6B51F4U, 0x4DB26158U, 0x5005713CU,
        0xEDB88320U, 0xF00F9344U, 0xD6D6A3E8U, 0xCB61B38CU,
        0x9B64C2B0U, 0x86D3D2D4U, 0xA00AE278U, 0xBDBDF21CU,
    };
    uint32_t rest = ~crc;
    for (uint32_t i = 0; i < count; i++)
    {
        rest ^= bytes[i];
        rest = (rest >> 4) ^ of_nibble[rest & 15U];
        rest = (rest >> 4) ^ of_nibble[rest & 15U];
    }
    return ~rest;
}

/* Elements of 32 bits without a sign count as such with one: their runs begin at 0 and end below 2^31. */
static int32_t element(const uint8_t *tensor, const uint32_t type, const uint32_t index)
{
    switch (type)
    {
        case LNN_INT8: return ((const int8_t *) tensor)[index];
        case LNN_INT16: return ((const int16_t *) (const void *) tensor)[index];
        case LNN_UINT16: return ((const uint16_t *) (const void *) tensor)[index];
        case LNN_INT32:
        case LNN_UINT32:
        default: return ((const int32_t *) (const void *) tensor)[index];
    }
}

static uint32_t adds_up(const uint8_t *tensor, const lnn_limits_t *limits)
{
    int64_t rest = (limits->count > 0U) ? element(tensor, limits->type, limits->total) : 0;
    for (uint32_t i = 0; i < limits->count; i++)
    {
        rest -= element(tensor, limits->type, limits->first + i);
    }
    return (rest == 0) ? 1U : 0U;
}

static uint32_t hold(const uint8_t *tensor, const lnn_limits_t *limits)
{
    uint32_t run        = 0;
    uint32_t used       = 0; /* elements of the run */
    uint32_t is_initial = 1;
    uint32_t is_within  = 1;
    for (uint32_t i = 0; i < limits->size; i++)
    {
        if (used == limits->runs[run].count)
        {
            run  = (run + 1U == limits->run_count) ? 0U : (run + 1U);
            used = 0;
        }
        const int32_t value = element(tensor, limits->type, i);
        is_initial &= (value == limits->initial) ? 1U : 0U;
        is_within &= ((value >= limits->runs[run].low) && (value <= limits->runs[run].high)) ? 1U : 0U;
        used++;
    }
    return is_initial | (is_within & adds_up(tensor, limits));
}

uint32_t lnn_limits_hold(const uint8_t *state, const lnn_limits_t *limits, const uint32_t count)
{
    uint32_t all = 1;
    for (uint32_t i = 0; i < count; i++)
    {
        all &= hold(&state[limits[i].offset], &limits[i]);
    }
    return all;
}

uint32_t lnn_ring_is_valid(const lnn_ring_t *ring)
{
    return ((ring->frames <= UINT32_MAX - LNN_MOST_AHEAD) && (ring->primed <= 1U)) ? 1U : 0U;
}

uint32_t lnn_events_are_valid(const lnn_events_t *events, const uint32_t *stamps, const lnn_trigger_t *trigger,
                              const uint32_t frames)
{
    uint32_t all   = ((events->count <= trigger->capacity) && (events->has_last <= 1U)) ? 1U : 0U;
    uint32_t known = events->has_last;
    uint32_t last  = events->last;
    /* Where a last event was decided, the frames that it needed have come. */
    if (known == 0U)
    {
        all &= (last == 0U) ? 1U : 0U;
    }
    else
    {
        all &= ((last <= frames) && (frames - last >= trigger->post)) ? 1U : 0U;
    }
    for (uint32_t i = 0; (all != 0U) && (i < trigger->capacity); i++)
    {
        if (i >= events->count)
        {
            all = (stamps[i] == 0U) ? 1U : 0U;
            continue;
        }
        all   = (((known == 0U) || (stamps[i] > last)) && (lnn_event_is_near(frames, stamps[i]) != 0U)) ? 1U : 0U;
        known = 1U;
        last  = stamps[i];
    }
    return all;
}

uint32_t lnn_every_is_valid(const uint32_t due, const lnn_every_t *trigger, const uint32_t frames)
{
    return ((due == 0U) || ((due <= frames) && (lnn_every_fires(trigger, due) != 0U))) ? 1U : 0U;
}
