/**
 * @file lnn_state.h
 * @brief The blob that a model's state is kept in, and whether a state is one that the model can be in.
 *
 * Twin of Stream.state_blob in lnn_edge/graph/sim/stream.py. Format: docs/graph.md.
 */
#ifndef LNN_STATE_H
#define LNN_STATE_H

#include "lnn_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LNN_BLOB_HEAD_BYTES 16U /**< "LNN", version, eight bytes of the graph's hash, bytes of the state */
#define LNN_BLOB_CRC_BYTES 4U

/** @brief Values that the next `count` elements of a tensor may have; a tensor repeats its runs. */
typedef struct
{
    int32_t  low;
    int32_t  high;
    uint32_t count;
} lnn_run_t;

typedef enum
{
    LNN_INT8,
    LNN_INT16,
    LNN_UINT16,
    LNN_INT32,
    LNN_UINT32
} lnn_type_t;

/** @brief A tensor of the state that cannot have every value of its type. */
typedef struct
{
    uint32_t         offset;  /**< in the state */
    uint32_t         size;    /**< elements */
    int32_t          initial; /**< what all elements are at the start of a record, or all lie in their runs */
    const lnn_run_t *runs;
    uint16_t         total; /**< the element that is the sum of `count` elements from `first` on; of 0: there is none */
    uint16_t         first;
    uint16_t         count;
    uint8_t          run_count;
    uint8_t          type; /**< lnn_type_t */
} lnn_limits_t;

/** @brief CRC-32 (IEEE 802.3, as zlib) of what a running CRC stands for and further bytes; 0 to begin with. */
uint32_t lnn_crc32(uint32_t crc, const uint8_t *bytes, uint32_t count);

/** @brief Whether each of the tensors is as at the start of a record, or within its runs and with its total right. */
uint32_t lnn_limits_hold(const uint8_t *state, const lnn_limits_t *limits, uint32_t count);

/** @brief Whether a ring has a count of frames that goes on for another LNN_MOST_AHEAD of them, and a flag. */
uint32_t lnn_ring_is_valid(const lnn_ring_t *ring);

/** @brief Whether the events ascend, fit the queue and are near, and the last one can have been decided. */
uint32_t lnn_events_are_valid(const lnn_events_t *events, const uint32_t *stamps, const lnn_trigger_t *trigger,
                              uint32_t frames);

/** @brief Whether a firing that waits is one of the frames that came. */
uint32_t lnn_every_is_valid(uint32_t due, const lnn_every_t *trigger, uint32_t frames);

#ifdef __cplusplus
}
#endif

#endif
