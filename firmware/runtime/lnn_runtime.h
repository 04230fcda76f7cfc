/**
 * @file lnn_runtime.h
 * @brief Rings of samples, the event queue and the firing on frames: what joins the stages of a generated model.
 *
 * Twin of lnn_edge/graph/sim/. The memory is the caller's; nothing here allocates.
 */
#ifndef LNN_RUNTIME_H
#define LNN_RUNTIME_H

#include <stdint.h>

#include "lnn_compiler.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Generated files name the version that they were made for and refuse another. */
#define LNN_RUNTIME_VERSION 4

#define LNN_MOST_AHEAD 0x1000000U /**< frames that an event may lie ahead: half a day at 360 Hz */

typedef enum
{
    LNN_OK              = 0,
    LNN_IDLE            = 1,  /**< nothing is ready */
    LNN_ERR_EVENT_FULL  = -1, /**< event dropped: too many undecided events */
    LNN_ERR_EVENT_ORDER = -2, /**< event dropped: its stamp is not after the last one */
    LNN_ERR_RANGE       = -3, /**< argument outside its range, or an event for a model that takes none: no effect */
    LNN_ERR_STATE       = -4  /**< not a state of this model */
} lnn_status_t;

typedef struct
{
    uint32_t event_overflows; /**< events or firings dropped because the queue was full */
    uint32_t events_rejected; /**< events or firings dropped: stamp not ascending, window gone, no events taken */
    uint32_t frames_skipped;  /**< frames reported lost */
    uint32_t dt_saturations;  /**< elapsed times outside their range */
} lnn_counters_t;

/** @brief Ring of frames; the data lie beside it. */
typedef struct
{
    uint32_t frames; /**< index of the next frame */
    uint32_t primed; /**< 1 once it is full: from the start, or since a frame arrived */
} lnn_ring_t;

/** @brief Undecided events in stamp order; the stamps lie beside it. */
typedef struct
{
    uint32_t count;
    uint32_t last;     /**< stamp of the last decided event */
    uint32_t has_last; /**< 1 once an event has been decided */
} lnn_events_t;

/** @brief What the deciding stage waits for, and the formats of its times. */
typedef struct
{
    uint32_t pre;
    uint32_t post;
    uint32_t wait; /**< 0: decide without the next event */
    uint32_t first_dt;
    uint32_t dt_min;
    uint32_t dt_max;
    uint32_t next_min;
    uint32_t next_max;
    uint32_t capacity;
    uint32_t ring_length;
} lnn_trigger_t;

/** @brief When a stage fires that needs no events: on frame n if n + 1 >= first and (n + 1 - first) % hop == 0. */
typedef struct
{
    uint32_t length; /**< frames that the window reaches over, the one that it fires on the last */
    uint32_t hop;
    uint32_t first;
    uint32_t ring_length;
} lnn_every_t;

/** @brief One decision: its stamp, and of an event the elapsed times, saturated. */
typedef struct
{
    uint32_t stamp;
    uint16_t dt;
    uint16_t dt_next;
} lnn_firing_t;

/** @brief Fill the whole ring with one frame: what windows read before the record. */
void lnn_ring_fill(lnn_ring_t *ring, int16_t *data, uint32_t length, uint32_t channels, const int16_t *frame);

/** @brief Account for lost frames: the ring holds the last frame in their place. */
void lnn_ring_skip(lnn_ring_t *ring, int16_t *data, uint32_t length, uint32_t channels, uint32_t count);

/** @brief Slot of frame `first` (modulo 2^32), one that the ring still holds. */
uint32_t lnn_ring_slot(const lnn_ring_t *ring, uint32_t length, uint32_t first);

/** @brief Copy `count` frames from index `first` (modulo 2^32) on. */
void lnn_ring_slice(const lnn_ring_t *ring, const int16_t *data, uint32_t length, uint32_t channels, uint32_t first,
                    uint32_t count, int16_t *out);

/** @brief Move on by a hop; the reader has run. */
void lnn_slide_advance(int16_t *data, const lnn_every_t *reader, uint32_t channels);

/** @brief Account for lost frames: the last frame stands in their place. */
void lnn_slide_skip(lnn_ring_t *ring, int16_t *data, const lnn_every_t *reader, uint32_t channels, uint32_t count);

/** @brief Whether an event is at most LNN_MOST_AHEAD ahead: one beyond would hold up all others for ever. */
uint32_t lnn_event_is_near(uint32_t frames, uint32_t stamp);

/** @brief Queue an event after so many frames. */
lnn_status_t lnn_events_push(lnn_events_t *events, uint32_t *stamps, const lnn_trigger_t *trigger,
                             lnn_counters_t *counters, uint32_t frames, uint32_t stamp);

/** @brief Queue the event that is `distance` frames back from `frames`; 0 is none. */
void lnn_events_note(lnn_events_t *events, uint32_t *stamps, const lnn_trigger_t *trigger, lnn_counters_t *counters,
                     uint32_t frames, uint32_t distance);

/** @brief Whether all frames of the oldest event's window have come. */
LNN_INLINE uint32_t lnn_events_wait(const lnn_events_t *events, const uint32_t *stamps, const lnn_trigger_t *trigger,
                                    const uint32_t frames)
{
    return ((events->count > 0U) && (frames >= stamps[0] + trigger->post)) ? 1U : 0U;
}

/** @brief Take the next event that is ready; LNN_IDLE if there is none. Events whose window has left the ring are
 * dropped and counted. */
lnn_status_t lnn_events_take(lnn_events_t *events, uint32_t *stamps, const lnn_trigger_t *trigger,
                             lnn_counters_t *counters, uint32_t frames, lnn_firing_t *firing);

/** @brief How often a stage fires in so many frames. */
uint32_t lnn_every_firings(const lnn_every_t *trigger, uint32_t frames);

/** @brief Whether a stage fires on the newest of so many frames; a few instructions where the trigger is a constant. */
LNN_INLINE uint32_t lnn_every_fires(const lnn_every_t *trigger, const uint32_t frames)
{
    return ((frames >= trigger->first) && ((frames - trigger->first) % trigger->hop == 0U)) ? 1U : 0U;
}

/** @brief After a frame: fire if it is time. `due` is the number of frames up to the firing that waits, 0 for none; a
 * firing that finds another waiting is dropped and counted. */
void lnn_every_note(uint32_t *due, const lnn_every_t *trigger, lnn_counters_t *counters, uint32_t frames);

/** @brief Take the firing that waits; LNN_IDLE if there is none. It is dropped and counted if its window has left the
 * ring. */
lnn_status_t lnn_every_take(uint32_t *due, const lnn_every_t *trigger, lnn_counters_t *counters, uint32_t frames,
                            lnn_firing_t *firing);

#ifdef __cplusplus
}
#endif

#endif
