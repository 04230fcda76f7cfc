#include "lnn_frame.h"

#include <string.h>

#include "lnn_port.h"
#include "lnn_state.h"

#define CRC_RESIDUE 0x2144DF1CU
#define COBS_LONGEST 254U /* bytes in a group without an implied zero (code 0xFF) */

static void start_block(lnn_frame_reader_t *reader)
{
    reader->frame.length = 0U;
    reader->left         = 0U;
    reader->zero         = false;
    reader->bad          = false;
    reader->started      = true;
}

static void start_group(lnn_frame_reader_t *reader, const uint8_t code)
{
    lnn_frame_t *const frame = &reader->frame;
    if (reader->zero && (frame->length == LNN_BODY_BYTES))
    {
        reader->bad = true;
    }
    else if (reader->zero)
    {
        frame->body[frame->length] = 0U;
        frame->length++;
    }
    reader->left = code - 1U;
    reader->zero = (reader->left != COBS_LONGEST);
}

/* Bytes within a group stand for themselves; return how many were taken: no zero, and none where they do not fit. */
static uint32_t take_group(lnn_frame_reader_t *reader, const volatile uint8_t *bytes, const uint32_t count)
{
    lnn_frame_t *const frame = &reader->frame;
    uint8_t *const     to    = &frame->body[frame->length];
    const uint32_t     most  = (reader->left < count) ? reader->left : count;
    uint32_t           taken = 0;
    if (most > LNN_BODY_BYTES - frame->length)
    {
        reader->bad = true;
        return 0U;
    }
    while (taken < most)
    {
        const uint8_t byte = bytes[taken];
        if (byte == 0U)
        {
            break;
        }
        to[taken] = byte;
        taken++;
    }
    frame->length += taken;
    reader->left -= taken;
    return taken;
}

static bool is_good(const lnn_frame_reader_t *reader)
{
    const lnn_frame_t *const frame = &reader->frame;
    if (reader->bad || (reader->left != 0U) || (frame->length < LNN_HEAD_BYTES + LNN_CRC_BYTES))
    {
        return false;
    }
    /* What is left of a CRC over bytes and their own CRC. */
    return lnn_crc32(0U, frame->body, frame->length) == CRC_RESIDUE;
}

uint32_t lnn_frame_receive(lnn_frame_reader_t *reader, const volatile uint8_t *bytes, const uint32_t count,
                           lnn_frame_event_t *event)
{
    uint32_t at = 0;
    *event      = LNN_FRAME_NONE;
    while ((at < count) && (*event == LNN_FRAME_NONE))
    {
        const uint8_t byte = bytes[at];
        if ((byte != 0U) && reader->started && (reader->left > 0U) && !reader->bad)
        {
            at += take_group(reader, &bytes[at], count - at);
            continue;
        }
        at++;
        if ((byte == 0U) && reader->started)
        {
            reader->started = false;
            *event          = is_good(reader) ? LNN_FRAME_GOOD : LNN_FRAME_BAD;
        }
        else if ((byte != 0U) && !(reader->started && reader->bad))
        {
            if (!reader->started)
            {
                start_block(reader);
            }
            start_group(reader, byte);
        }
    }
    return at;
}

void lnn_frame_seal(uint8_t *body, const uint32_t length)
{
    const uint32_t crc = lnn_crc32(0U, body, length);
    (void) memcpy(&body[length], &crc, LNN_CRC_BYTES); /* little-endian, as the processor */
}

static uint32_t group_length(const uint8_t *bytes, const uint32_t count)
{
    const uint32_t most   = (count < COBS_LONGEST) ? count : COBS_LONGEST;
    uint32_t       length = 0;
    while ((length < most) && (bytes[length] != 0U))
    {
        length++;
    }
    return length;
}

void lnn_frame_send(const uint8_t *body, const uint32_t length)
{
    static const uint8_t end = 0U;
    uint32_t             at  = 0;
    for (;;)
    {
        const uint32_t group = group_length(&body[at], length - at);
        const uint8_t  code  = (uint8_t) (group + 1U);
        lnn_port_write(&code, 1U);
        lnn_port_write(&body[at], group);
        at += group;
        if (at == length)
        {
            break;
        }
        /* The zero after a short group is implied; one at the very end still opens an empty group. */
        at += (group < COBS_LONGEST) ? 1U : 0U;
    }
    lnn_port_write(&end, 1U);
    lnn_port_flush();
}
