/**
 * @file lnn_frame.h
 * @brief Frames of the wire protocol: COBS blocks that end in 0x00 and carry type, seq, payload and CRC.
 */
#ifndef LNN_FRAME_H
#define LNN_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "model_binding.h"

#define LNN_MAX_PAYLOAD LNN_MODEL_MAX_PAYLOAD /**< results with this model's state, as many as 1024 hold, one at least */
#define LNN_HEAD_BYTES 2U /**< type, seq */
#define LNN_CRC_BYTES 4U
#define LNN_BODY_BYTES (LNN_HEAD_BYTES + LNN_MAX_PAYLOAD + LNN_CRC_BYTES)

/** @brief Body of one frame: type, seq, payload, crc. */
typedef struct
{
    uint8_t  body[LNN_BODY_BYTES];
    uint32_t length; /**< bytes of the body */
} lnn_frame_t;

/** @brief A frame being decoded. Zero-initialised it waits for a block. */
typedef struct
{
    lnn_frame_t frame;
    uint32_t    left;    /**< bytes still to come in this COBS group */
    bool        zero;    /**< the group is followed by a zero, unless it is the last */
    bool        started; /**< at least one byte of the block has arrived */
    bool        bad;     /**< block too long */
} lnn_frame_reader_t;

typedef enum
{
    LNN_FRAME_NONE, /**< no block ended */
    LNN_FRAME_GOOD, /**< reader->frame holds a frame whose length and CRC are right */
    LNN_FRAME_BAD   /**< a damaged block ended */
} lnn_frame_event_t;

/**
 * @brief Decode bytes of the stream, to the end of one block at most.
 *
 * @param[out] event What ended. A good frame stays valid until the next call.
 * @return Bytes taken.
 */
uint32_t lnn_frame_receive(lnn_frame_reader_t *reader, const volatile uint8_t *bytes, uint32_t count,
                           lnn_frame_event_t *event);

/** @brief Write the CRC-32 of body[length] behind it. */
void lnn_frame_seal(uint8_t *body, uint32_t length);

/** @brief Send a sealed body (length with its CRC) through lnn_port_write. */
void lnn_frame_send(const uint8_t *body, uint32_t length);

#endif
