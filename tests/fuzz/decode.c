/* The firmware's frames for a caller in another language: a whole stream at once. */
#include <string.h>

#include "lnn_frame.h"
#include "quiet_port.h"

static uint8_t *out;

uint32_t decode_stream(const uint8_t *bytes, uint32_t count, uint8_t *bodies, uint32_t *lengths, uint32_t *bad);
uint32_t encode_body(uint8_t *body, uint32_t length, uint8_t *block);

void lnn_port_write(const uint8_t *bytes, const uint32_t count)
{
    (void) memcpy(out, bytes, count);
    out += count;
}

/* Writes the bodies of good frames one behind the other, and their lengths; returns how many there are. */
uint32_t decode_stream(const uint8_t *bytes, const uint32_t count, uint8_t *bodies, uint32_t *lengths, uint32_t *bad)
{
    static lnn_frame_reader_t reader;
    uint32_t                  found = 0;
    reader                          = (lnn_frame_reader_t) {0};
    *bad                            = 0U;
    for (uint32_t at = 0; at < count;)
    {
        lnn_frame_event_t event = LNN_FRAME_NONE;
        at += lnn_frame_receive(&reader, &bytes[at], count - at, &event);
        *bad += (event == LNN_FRAME_BAD) ? 1U : 0U;
        if (event == LNN_FRAME_GOOD)
        {
            lengths[found] = reader.frame.length;
            (void) memcpy(bodies, reader.frame.body, reader.frame.length);
            bodies += reader.frame.length;
            found++;
        }
    }
    return found;
}

/* Takes type, seq and payload with room for the CRC; returns the bytes of the block. */
uint32_t encode_body(uint8_t *body, const uint32_t length, uint8_t *block)
{
    out = block;
    lnn_frame_seal(body, length);
    lnn_frame_send(body, length + LNN_CRC_BYTES);
    return (uint32_t) (out - block);
}
