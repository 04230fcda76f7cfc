/* Bytes off the line, in any cut: the decoder stays in its buffer and finds the next frame after whatever came before. */
#include "harness.h"
#include "lnn_frame.h"
#include "quiet_port.h"

#define LINE (LNN_BODY_BYTES + LNN_BODY_BYTES / 254U + 2U)

static uint8_t  line[LINE];
static uint32_t on_line;

void lnn_port_write(const uint8_t *bytes, const uint32_t count)
{
    CLAIM(count <= LINE - on_line);
    (void) memcpy(&line[on_line], bytes, count);
    on_line += count;
}

/* Bit by bit, as the polynomial is defined: a witness for the table of nibbles. */
static uint32_t crc_of(const uint8_t *bytes, const uint32_t count)
{
    uint32_t rest = 0xFFFFFFFFU;
    for (uint32_t i = 0; i < 8U * count; i++)
    {
        const uint32_t bit = (rest ^ ((uint32_t) bytes[i / 8U] >> (i % 8U))) & 1U;
        rest               = (rest >> 1) ^ (bit * 0xEDB88320U);
    }
    return ~rest;
}

static void check(const lnn_frame_t *frame)
{
    CLAIM((frame->length >= LNN_HEAD_BYTES + LNN_CRC_BYTES) && (frame->length <= LNN_BODY_BYTES));
    const uint32_t       end = frame->length - LNN_CRC_BYTES;
    const uint32_t       crc = crc_of(frame->body, end);
    for (uint32_t i = 0; i < LNN_CRC_BYTES; i++)
    {
        CLAIM(frame->body[end + i] == (uint8_t) (crc >> (8U * i)));
    }
}

/* By one reader in cuts, by another byte by byte: both find the same, and at the same place. */
static uint32_t receive(lnn_frame_reader_t readers[2], const uint8_t *bytes, const uint32_t count, const uint32_t cut)
{
    uint32_t at   = 0;
    uint32_t good = 0;
    while (at < count)
    {
        const uint32_t    part = (count - at < cut) ? (count - at) : cut;
        lnn_frame_event_t event[2];
        const uint32_t    taken = lnn_frame_receive(&readers[0], &bytes[at], part, &event[0]);
        CLAIM((taken > 0U) && (taken <= part) && (readers[0].frame.length <= LNN_BODY_BYTES));
        for (uint32_t i = 0; i < taken; i++)
        {
            CLAIM(lnn_frame_receive(&readers[1], &bytes[at + i], 1U, &event[1]) == 1U);
            CLAIM((i + 1U == taken) || (event[1] == LNN_FRAME_NONE));
        }
        CLAIM((event[0] == event[1]) && ((event[0] != LNN_FRAME_NONE) || (taken == part)));
        at += taken;
        CLAIM((event[0] == LNN_FRAME_NONE) || (bytes[at - 1U] == 0U));
        if (event[0] == LNN_FRAME_GOOD)
        {
            check(&readers[0].frame);
            CLAIM(readers[0].frame.length == readers[1].frame.length);
            CLAIM(memcmp(readers[0].frame.body, readers[1].frame.body, readers[0].frame.length) == 0);
            good++;
        }
    }
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, const size_t size)
{
    static const uint8_t      end = 0U;
    static lnn_frame_reader_t readers[2];
    uint8_t                   body[LNN_BODY_BYTES] = {0};
    const uint32_t            cut                  = 1U + ((size > 0U) ? data[size - 1U] : 0U);
    (void) memset(readers, 0, sizeof readers);
    (void) receive(readers, data, (uint32_t) size, cut);
    (void) receive(readers, &end, 1U, 1U);
    uint32_t length = (size < LNN_BODY_BYTES - LNN_CRC_BYTES) ? (uint32_t) size : (LNN_BODY_BYTES - LNN_CRC_BYTES);
    (void) memcpy(body, data, length);
    length  = (length < LNN_HEAD_BYTES) ? LNN_HEAD_BYTES : length;
    on_line = 0U;
    lnn_frame_seal(body, length);
    lnn_frame_send(body, length + LNN_CRC_BYTES);
    CLAIM(receive(readers, line, on_line - 1U, cut) == 0U);
    CLAIM(receive(readers, &line[on_line - 1U], 1U, cut) == 1U);
    CLAIM(readers[0].frame.length == length + LNN_CRC_BYTES);
    CLAIM(memcmp(readers[0].frame.body, body, length + LNN_CRC_BYTES) == 0);
    return 0;
}
