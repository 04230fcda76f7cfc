#include "lnn_runtime.h"

#include <string.h>

#define BLOCK 8U /* units that are copied by four loads and stores, without a call */

/* From the first unit to the last, so that `to` may lie before `from` in one memory. */
static void lnn_ring_copy(int16_t *to, const int16_t *from, const uint32_t count)
{
    uint32_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK)
    {
        uint32_t words[BLOCK / 2U];
        (void) memcpy(words, &from[i], sizeof words);
        (void) memcpy(&to[i], words, sizeof words);
    }
    for (; i < count; i++)
    {
        to[i] = from[i];
    }
}

static void store(int16_t *data, const uint32_t slot, const uint32_t channels, const int16_t *frame)
{
    for (uint32_t c = 0; c < channels; c++)
    {
        data[slot * channels + c] = frame[c];
    }
}

void lnn_ring_fill(lnn_ring_t *ring, int16_t *data, const uint32_t length, const uint32_t channels,
                   const int16_t *frame)
{
    for (uint32_t slot = 0; slot < length; slot++)
    {
        store(data, slot, channels, frame);
    }
    ring->primed = 1U;
}

LNN_COLD void lnn_ring_skip(lnn_ring_t *ring, int16_t *data, const uint32_t length, const uint32_t channels,
                            const uint32_t count)
{
    const int16_t *const last   = &data[((ring->frames + length - 1U) % length) * channels];
    const uint32_t       copies = (count < length) ? count : length;
    /* An unprimed ring holds nothing yet: the first frame will fill it. With copies == length every slot gets the
     * last frame, its own slot included. */
    for (uint32_t i = 0; (ring->primed != 0U) && (i < copies); i++)
    {
        store(data, (ring->frames + i) % length, channels, last);
    }
    ring->frames += count;
}

uint32_t lnn_ring_slot(const lnn_ring_t *ring, const uint32_t length, const uint32_t first)
{
    /* Counted back from the newest frame, so that an index before frame 0 wraps to the right slot. */
    return (ring->frames % length + length - (ring->frames - first) % length) % length;
}

void lnn_ring_slice(const lnn_ring_t *ring, const int16_t *data, const uint32_t length, const uint32_t channels,
                    const uint32_t first, const uint32_t count, int16_t *out)
{
    uint32_t slot = lnn_ring_slot(ring, length, first);
    uint32_t left = count;
    while (left > 0U)
    {
        const uint32_t run = (left < length - slot) ? left : (length - slot);
        lnn_ring_copy(out, &data[slot * channels], run * channels);
        out += run * channels;
        left -= run;
        slot = 0;
    }
}

static uint32_t next_firing(const lnn_every_t *trigger, const uint32_t frames)
{
    return trigger->first + lnn_every_firings(trigger, frames) * trigger->hop;
}

/* The frame is in the next window, or the last one of the window before. */
static uint32_t slot_of(const lnn_ring_t *ring, const lnn_every_t *reader, const uint32_t frame)
{
    return reader->length - (next_firing(reader, ring->frames) - frame);
}

void lnn_slide_advance(int16_t *data, const lnn_every_t *reader, const uint32_t channels)
{
    const uint32_t kept = (reader->length - reader->hop) * channels;
    lnn_ring_copy(data, &data[reader->hop * channels], kept);
}

LNN_COLD void lnn_slide_skip(lnn_ring_t *ring, int16_t *data, const lnn_every_t *reader, const uint32_t channels,
                             const uint32_t count)
{
    if ((ring->frames == 0U) || (ring->primed == 0U)) /* all slots are alike */
    {
        ring->frames += count;
        return;
    }
    if (count >= reader->length + reader->hop)
    {
        const uint32_t last = slot_of(ring, reader, ring->frames - 1U);
        for (uint32_t slot = 0; slot < reader->length; slot++)
        {
            store(data, slot, channels, &data[last * channels]);
        }
        ring->frames += count;
        return;
    }
    for (uint32_t i = 0; i < count; i++)
    {
        const uint32_t last = slot_of(ring, reader, ring->frames - 1U);
        store(data, slot_of(ring, reader, ring->frames), channels, &data[last * channels]);
        ring->frames++;
        if (lnn_every_fires(reader, ring->frames) != 0U)
        {
            lnn_slide_advance(data, reader, channels);
        }
    }
}

static void drop_head(lnn_events_t *events, uint32_t *stamps)
{
    for (uint32_t i = 1; i < events->count; i++)
    {
        stamps[i - 1U] = stamps[i];
    }
    events->count--;
    stamps[events->count] = 0U;
}

uint32_t lnn_event_is_near(const uint32_t frames, const uint32_t stamp)
{
    return ((stamp < frames) || (stamp - frames <= LNN_MOST_AHEAD)) ? 1U : 0U;
}

LNN_COLD lnn_status_t lnn_events_push(lnn_events_t *events, uint32_t *stamps, const lnn_trigger_t *trigger,
                             lnn_counters_t *counters, const uint32_t frames, const uint32_t stamp)
{
    if (lnn_event_is_near(frames, stamp) == 0U)
    {
        counters->events_rejected++;
        return LNN_ERR_RANGE;
    }
    const uint32_t known  = events->has_last + events->count;
    const uint32_t newest = (events->count > 0U) ? stamps[events->count - 1U] : events->last;
    if ((known > 0U) && (stamp <= newest))
    {
        counters->events_rejected++;
        return LNN_ERR_EVENT_ORDER;
    }
    if (events->count == trigger->capacity)
    {
        counters->event_overflows++;
        return LNN_ERR_EVENT_FULL;
    }
    stamps[events->count] = stamp;
    events->count++;
    return LNN_OK;
}

void lnn_events_note(lnn_events_t *events, uint32_t *stamps, const lnn_trigger_t *trigger, lnn_counters_t *counters,
                     const uint32_t frames, const uint32_t distance)
{
    if (distance > 0U)
    {
        /* One before the record wraps round, far ahead, and is refused and counted as that. */
        (void) lnn_events_push(events, stamps, trigger, counters, frames, frames - distance);
    }
}

static uint16_t limit(const uint32_t value, const uint32_t low, const uint32_t high, lnn_counters_t *counters)
{
    const uint32_t limited = (value < low) ? low : ((value > high) ? high : value);
    counters->dt_saturations += (limited != value) ? 1U : 0U;
    return (uint16_t) limited;
}

static uint32_t is_ready(const lnn_events_t *events, const uint32_t *stamps, const lnn_trigger_t *trigger,
                         const uint32_t frames)
{
    if (lnn_events_wait(events, stamps, trigger, frames) == 0U)
    {
        return 0U;
    }
    return ((trigger->wait == 0U) || (events->count > 1U) || (frames >= stamps[0] + trigger->wait)) ? 1U : 0U;
}

LNN_COLD lnn_status_t lnn_events_take(lnn_events_t *events, uint32_t *stamps, const lnn_trigger_t *trigger,
                             lnn_counters_t *counters, const uint32_t frames, lnn_firing_t *firing)
{
    while (is_ready(events, stamps, trigger, frames) != 0U)
    {
        const uint32_t stamp = stamps[0];
        const uint32_t gap   = (events->count > 1U) ? (stamps[1] - stamp) : trigger->wait;
        if (frames + trigger->pre > stamp + trigger->ring_length)
        {
            counters->events_rejected++;
            drop_head(events, stamps);
            continue;
        }
        firing->stamp   = stamp;
        firing->dt      = limit((events->has_last != 0U) ? (stamp - events->last) : trigger->first_dt, trigger->dt_min,
                                trigger->dt_max, counters);
        firing->dt_next = 0U;
        if (trigger->wait > 0U)
        {
            firing->dt_next = limit((gap < trigger->wait) ? gap : trigger->wait, trigger->next_min, trigger->next_max,
                                    counters);
        }
        events->last     = stamp;
        events->has_last = 1U;
        drop_head(events, stamps);
        return LNN_OK;
    }
    return LNN_IDLE;
}

uint32_t lnn_every_firings(const lnn_every_t *trigger, const uint32_t frames)
{
    return (frames < trigger->first) ? 0U : ((frames - trigger->first) / trigger->hop + 1U);
}

void lnn_every_note(uint32_t *due, const lnn_every_t *trigger, lnn_counters_t *counters, const uint32_t frames)
{
    if (lnn_every_fires(trigger, frames) == 0U)
    {
        return;
    }
    if (*due != 0U)
    {
        counters->event_overflows++;
        return;
    }
    *due = frames;
}

lnn_status_t lnn_every_take(uint32_t *due, const lnn_every_t *trigger, lnn_counters_t *counters, const uint32_t frames,
                            lnn_firing_t *firing)
{
    const uint32_t end = *due;
    *due               = 0U;
    if (end == 0U)
    {
        return LNN_IDLE;
    }
    if (frames + trigger->length > end + trigger->ring_length)
    {
        counters->events_rejected++;
        return LNN_IDLE;
    }
    firing->stamp   = end - 1U;
    firing->dt      = 0U;
    firing->dt_next = 0U;
    return LNN_OK;
}
