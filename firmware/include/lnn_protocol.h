/**
 * @file lnn_protocol.h
 * @brief Wire protocol, version 3: requests in, replies out. The contract is docs/protocol.md.
 *
 * Knows no hardware: bytes come in by lnn_protocol_receive, the rest goes through lnn_port.h.
 */
#ifndef LNN_PROTOCOL_H
#define LNN_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "lnn_frame.h"
#include "model_binding.h"

#define LNN_PROTOCOL_VERSION 3U
#define LNN_FIRMWARE_VERSION 0U, 1U, 0U
#define LNN_TYPE_FAULT 0x8FU /**< sent unasked */

/** @brief What the model's calls took by the cycle counter, since RESET. */
typedef struct
{
    uint32_t frame; /**< of the frame in hand, which may end in a later request; 0: none is */
    uint32_t largest_push;
    uint32_t largest_poll;
    uint32_t largest_frame; /**< a frame with its events and every poll until the model is idle */
    uint64_t frames;        /**< all frames added up */
    uint64_t decisions;     /**< the part of it that polls which decided took */
} lnn_costs_t;

typedef struct
{
    lnn_model_ctx_t   *model;
    lnn_frame_reader_t in;
    lnn_frame_t        reply;    /**< last reply, repeated when its request is */
    bool               asked;    /**< `in` holds a request that waits for its answer */
    bool               open;     /**< a HELLO has been accepted */
    bool               answered; /**< last_seq and last_crc are valid */
    bool               detail;   /**< records carry probes and state */
    uint8_t            expected; /**< seq of the next request */
    uint8_t            last_seq;
    uint32_t           last_crc;
    uint32_t           rx_frames;
    uint32_t           bad_frames;
    uint32_t           duplicates;
    uint32_t           sequence_errors;
    uint32_t           steps;
    lnn_costs_t        costs;
#if LNN_MODEL_PREPARES
    uint32_t           prepared; /**< cycles spent on frames since the last decision */
#endif
} lnn_protocol_t;

/** @brief Reset the model and wait for a HELLO. `protocol` is zero-initialised (static). */
void lnn_protocol_start(lnn_protocol_t *protocol, lnn_model_ctx_t *model);

/** @brief Take bytes from the host, to the end of one request at most; return how many. */
uint32_t lnn_protocol_receive(lnn_protocol_t *protocol, const volatile uint8_t *bytes, uint32_t count);

/** @brief Answer the request that has ended, if one has; runs the model. Call it after every lnn_protocol_receive. */
void lnn_protocol_answer(lnn_protocol_t *protocol);

#endif
