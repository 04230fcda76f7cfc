/* Throws forged states and broken requests at a board's protocol; sanitizers watch.
 *
 * Usage: fuzz SEED COUNT WARM, COUNT states to set. Prints accepted, refused and decisions. Now and then the board is
 * reset and has to answer as a new one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "forge.h"
#include "lnn_protocol.h"
#include "quiet_port.h"

enum
{
    HELLO     = 0x01,
    RESET     = 0x02,
    DATA      = 0x03,
    GET_STATE = 0x04,
    SET_STATE = 0x05,
    ACK       = 0x80,
    RESULTS   = 0x83
};

#define LINE (2U * LNN_BODY_BYTES)
#define PART (LNN_MAX_PAYLOAD - 2U)

static lnn_model_ctx_t ctx;
static lnn_protocol_t  board;
static uint8_t         line[LINE];
static uint32_t        on_line;
static uint32_t        is_host; /* whether what is written goes to the board */

void lnn_port_write(const uint8_t *bytes, const uint32_t count)
{
    for (uint32_t i = 0; (is_host != 0U) && (i < count); i++)
    {
        line[on_line++] = bytes[i];
    }
}

/* Returns the type of the reply. */
static uint32_t ask(const uint32_t type, const uint32_t seq, const uint8_t *payload, const uint32_t length)
{
    uint8_t body[LNN_BODY_BYTES] = {(uint8_t) type, (uint8_t) seq};
    (void) memcpy(&body[LNN_HEAD_BYTES], payload, length);
    lnn_frame_seal(body, LNN_HEAD_BYTES + length);
    on_line = 0U;
    is_host = 1U;
    lnn_frame_send(body, LNN_HEAD_BYTES + length + LNN_CRC_BYTES);
    is_host = 0U;
    if (random_word() % 256U == 0U)
    {
        line[random_word() % on_line] ^= (uint8_t) (1U << (random_word() % 8U));
    }
    for (uint32_t at = 0; at < on_line;)
    {
        const uint32_t count = 1U + random_word() % (on_line - at);
        at += lnn_protocol_receive(&board, &line[at], count);
        lnn_protocol_answer(&board);
    }
    return board.reply.body[0];
}

static uint32_t data(const uint32_t frames, const uint32_t events)
{
    uint8_t        payload[8U + 4U * 4U + 2U * LNN_MODEL_CHANNELS * 16U];
    const uint32_t first  = lnn_model_frames(&ctx) + ((random_word() % 64U == 0U) ? random_word() % 700U : 0U);
    const uint32_t head[] = {first, frames | (events << 16)};
    const uint32_t length = 8U + 4U * events + 2U * LNN_MODEL_CHANNELS * frames;
    (void) memcpy(payload, head, sizeof head);
    for (uint32_t i = 0; i < events; i++)
    {
        const uint32_t stamp = first + i;
        (void) memcpy(&payload[8U + 4U * i], &stamp, 4U);
    }
    for (uint32_t i = 8U + 4U * events; i < length; i++)
    {
        payload[i] = (uint8_t) random_word();
    }
    return ask(DATA, board.expected, payload, length);
}

static void anything(void)
{
    uint8_t payload[8];
    for (uint32_t i = 0; i < sizeof payload; i++)
    {
        payload[i] = (uint8_t) ((random_word() % 2U == 0U) ? random_word() : random_word() % 4U);
    }
    const uint32_t frames = 1U + random_word() % 16U;
    switch (random_word() % 4U)
    {
        case 0: (void) data(frames, random_word() % ((frames < 4U) ? frames : 4U)); break;
        case 1: (void) ask(GET_STATE, board.expected, payload, 4U); break;
        case 2: (void) ask(random_word() % 10U, board.expected, payload, random_word() % 9U); break;
        default: (void) ask(random_word() % 10U, random_word(), payload, random_word() % 9U); break;
    }
}

/* In parts, now and then out of turn or with something in between. Returns whether all of it was taken. */
static uint32_t set(void)
{
    static uint8_t part[LNN_MAX_PAYLOAD];
    uint32_t       at = 0;
    while (at < LNN_MODEL_BLOB_BYTES)
    {
        const uint32_t left   = LNN_MODEL_BLOB_BYTES - at;
        const uint32_t most   = (random_word() % 8U == 0U) ? (1U + random_word() % PART) : PART;
        const uint32_t length = (most < left) ? most : left;
        const uint32_t off    = at + ((random_word() % 32U == 0U) ? random_word() % 16U : 0U);
        part[0]               = (uint8_t) off;
        part[1]               = (uint8_t) (off >> 8);
        (void) memcpy(&part[2], &blob[at], length);
        if (ask(SET_STATE, board.expected, part, 2U + length) != ACK)
        {
            return 0U;
        }
        at += length;
        if (random_word() % 16U == 0U)
        {
            anything();
        }
    }
    return 1U;
}

/* A board that is reset is a new one: the state after the same few frames is the same. */
static uint32_t is_as_new(void)
{
    static lnn_model_ctx_t other;
    static const uint8_t   frame[8U + 2U * LNN_MODEL_CHANNELS] = {0, 0, 0, 0, 1};
    int16_t                zeros[LNN_MODEL_CHANNELS]           = {0};
    static uint8_t         mine[LNN_MODEL_BLOB_BYTES];
    static uint8_t         yours[LNN_MODEL_BLOB_BYTES];
    static const uint8_t   version = LNN_PROTOCOL_VERSION;
    static const uint8_t   detail  = 0U;
    lnn_model_result_t     result;
    (void) ask(HELLO, 0U, &version, 1U);
    while (ask(RESET, board.expected, &detail, 1U) != ACK)
    {
        (void) ask(HELLO, 0U, &version, 1U); /* the line may have damaged it */
    }
    if (ask(DATA, board.expected, frame, sizeof frame) != RESULTS)
    {
        return 1U; /* damaged on the line */
    }
    lnn_model_reset(&other);
    (void) lnn_model_push_frame(&other, zeros);
    while (lnn_model_poll(&other, &result) == LNN_OK)
    {
    }
    (void) lnn_model_get_state(&ctx, 0U, sizeof mine, mine);
    (void) lnn_model_get_state(&other, 0U, sizeof yours, yours);
    return (memcmp(mine, yours, sizeof mine) == 0) ? 1U : 0U;
}

int main(int argc, char **argv)
{
    if (argc != 4)
    {
        return 2;
    }
    noise                       = strtoull(argv[1], NULL, 10) * 2U + 1U;
    const unsigned long many    = strtoul(argv[2], NULL, 10);
    const uint32_t      asked   = (uint32_t) strtoul(argv[3], NULL, 10);
    const uint32_t      warm    = (asked < MOST_SEEDS) ? asked : MOST_SEEDS;
    const uint8_t       version = LNN_PROTOCOL_VERSION;
    unsigned long       accepted = 0;
    lnn_protocol_start(&board, &ctx);
    (void) ask(HELLO, 0U, &version, 1U);
    for (uint32_t i = 0; i < warm; i++)
    {
        (void) lnn_model_get_state(&ctx, 0U, sizeof blob, seeds[i]);
        for (uint32_t k = 0; k < 1U + random_word() % 30U; k++)
        {
            (void) data(12U, random_word() % 2U);
        }
    }
    for (unsigned long i = 0; i < many; i++)
    {
        forge(warm);
        accepted += set();
        anything();
        if ((i % 64U == 0U) && (is_as_new() == 0U))
        {
            (void) printf("after %lu states a reset board is not a new one\n", i);
            return 1;
        }
    }
    (void) printf("%lu accepted, %lu refused, %lu decisions\n", accepted, many - accepted, (unsigned long) board.steps);
    return 0;
}
