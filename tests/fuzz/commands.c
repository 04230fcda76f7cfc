/* Requests to a board: most in good envelopes, in turn and nearly right, some not. Each gets one answer, with its
 * number; the same one again gets the same answer and changes nothing; RESET makes a board as new.
 */
#include "harness.h"
#include "lnn_protocol.h"
#include "lnn_state.h"
#include "quiet_port.h"

enum
{
    HELLO     = 0x01,
    RESET     = 0x02,
    DATA      = 0x03,
    GET_STATE = 0x04,
    SET_STATE = 0x05,
    TYPES     = 0x0A,
    ACK       = 0x80,
    RESULTS   = 0x83,
    ERROR     = 0x8E
};

enum
{
    ANY,
    NOISE,
    SAMPLES,
    AGAIN,
    STATE,
    DETAIL,
    KINDS
};

#define LINE (2U * LNN_BODY_BYTES)
#define REQUEST ((LNN_MAX_PAYLOAD < 1024U) ? LNN_MAX_PAYLOAD : 1024U) /* most bytes of a request's payload */
#define BODY_END (LNN_MODEL_BLOB_BYTES - LNN_BLOB_CRC_BYTES)

typedef struct
{
    uint8_t  bytes[LINE];
    uint32_t count;
} line_t;

static lnn_model_ctx_t ctx;
static lnn_protocol_t  board;
static line_t          written; /* by whoever writes */
static line_t          request; /* the last one, as it lay on the line */
static line_t          answer;

/* What noise is answered with may be more, and is not looked at. */
void lnn_port_write(const uint8_t *bytes, const uint32_t count)
{
    const uint32_t room = (count < LINE - written.count) ? count : (LINE - written.count);
    (void) memcpy(&written.bytes[written.count], bytes, room);
    written.count += room;
}

static void receive(const uint8_t *bytes, const uint32_t count)
{
    written.count = 0U;
    for (uint32_t at = 0; at < count;)
    {
        at += lnn_protocol_receive(&board, &bytes[at], count - at);
        lnn_protocol_answer(&board);
    }
}

/* One whole frame, and nothing beside it; returns its type. */
static uint32_t read_answer(const uint8_t seq)
{
    static lnn_frame_reader_t reader;
    lnn_frame_event_t         event = LNN_FRAME_NONE;
    answer                          = written;
    reader                          = (lnn_frame_reader_t) {0};
    CLAIM(lnn_frame_receive(&reader, answer.bytes, answer.count, &event) == answer.count);
    CLAIM(event == LNN_FRAME_GOOD);
    CLAIM(reader.frame.body[0] >= ACK);
    CLAIM(reader.frame.body[1] == seq);
    return reader.frame.body[0];
}

/* Returns the type of the answer. */
static uint32_t ask(const uint32_t type, const uint8_t seq, const uint8_t *payload, const uint32_t length)
{
    static const uint8_t end                  = 0U;
    uint8_t              body[LNN_BODY_BYTES] = {(uint8_t) type, seq};
    (void) memcpy(&body[LNN_HEAD_BYTES], payload, length);
    receive(&end, 1U); /* whatever came before */
    lnn_frame_seal(body, LNN_HEAD_BYTES + length);
    written.count = 0U;
    lnn_frame_send(body, LNN_HEAD_BYTES + length + LNN_CRC_BYTES);
    request = written;
    receive(request.bytes, request.count);
    return read_answer(seq);
}

static void put_word(uint8_t *at, const uint32_t value)
{
    for (uint32_t i = 0; i < 4U; i++)
    {
        at[i] = (uint8_t) (value >> (8U * i));
    }
}

/* Any type and length; a number that is the next one or not far from it. */
static void ask_anything(input_t *in)
{
    uint8_t        payload[LNN_MAX_PAYLOAD];
    const uint32_t type   = take_u8(in);
    const uint32_t off    = take_u8(in);
    const uint32_t length = take_u16(in) % (REQUEST + 1U);
    take(in, payload, length);
    (void) ask((type < 0xF0U) ? (type % TYPES) : type, (uint8_t) (board.expected + ((off < 8U) ? off : 0U)), payload,
               length);
}

static void make_noise(input_t *in)
{
    uint8_t        bytes[256];
    const uint32_t count = take_u8(in);
    take(in, bytes, count);
    receive(bytes, count);
    request.count = 0U;
}

/* DATA that fills its request, from the next frame on or a little off; stamps as they come, most of them near. */
static void send_samples(input_t *in)
{
    uint8_t        payload[LNN_MAX_PAYLOAD];
    const uint32_t events = take_u8(in) % 4U;
    const uint32_t frames = take_u8(in) % ((REQUEST - 8U - 4U * 3U) / (2U * LNN_MODEL_CHANNELS));
    const uint32_t gap    = take_u8(in);
    const uint32_t first  = lnn_model_frames(&ctx) + ((gap < 240U) ? (gap / 8U) : ((gap - 248U) << 20));
    uint32_t       noise  = take_u8(in);
    put_word(payload, first);
    put_word(&payload[4], frames | (events << 16));
    for (uint32_t i = 0; i < events; i++)
    {
        put_word(&payload[8U + 4U * i], first + take_u8(in) - 64U);
    }
    const uint32_t length = 8U + 4U * events + 2U * LNN_MODEL_CHANNELS * frames;
    for (uint32_t i = 8U + 4U * events; i < length; i++)
    {
        noise      = noise * 1103515245U + 12345U;
        payload[i] = (uint8_t) (noise >> 16);
    }
    (void) ask(DATA, board.expected, payload, length);
}

static void get(uint8_t *blob)
{
    CLAIM(lnn_model_get_state(&ctx, 0U, LNN_MODEL_BLOB_BYTES, blob) == LNN_OK);
}

static void repeat(void)
{
    static uint8_t before[LNN_MODEL_BLOB_BYTES];
    static uint8_t after[LNN_MODEL_BLOB_BYTES];
    static line_t  first;
    if (request.count == 0U)
    {
        return;
    }
    first = answer;
    get(before);
    receive(request.bytes, request.count);
    get(after);
    CLAIM(memcmp(before, after, sizeof before) == 0);
    CLAIM((written.count == first.count) && (memcmp(written.bytes, first.bytes, first.count) == 0));
}

/* The state that the board is in, a few bytes changed, its checksum right; all parts of it or the first ones. */
static void set_state(input_t *in)
{
    static uint8_t blob[LNN_MODEL_BLOB_BYTES];
    static uint8_t after[LNN_MODEL_BLOB_BYTES];
    uint8_t        payload[LNN_MAX_PAYLOAD];
    const uint32_t part    = 16U + 4U * take_u8(in);
    const uint32_t parts   = take_u8(in);
    const uint32_t changes = take_u8(in) % 4U;
    uint32_t       type    = ACK;
    get(blob);
    for (uint32_t i = 0; i < changes; i++)
    {
        const uint32_t at = take_u16(in) % BODY_END;
        blob[at] ^= take_u8(in);
    }
    put_word(&blob[BODY_END], lnn_crc32(0U, blob, BODY_END));
    uint32_t at = 0;
    for (uint32_t i = 0; (i < parts) && (at < LNN_MODEL_BLOB_BYTES) && (type == ACK); i++)
    {
        const uint32_t left   = LNN_MODEL_BLOB_BYTES - at;
        const uint32_t length = (part < left) ? part : left;
        payload[0]            = (uint8_t) at;
        payload[1]            = (uint8_t) (at >> 8);
        (void) memcpy(&payload[2], &blob[at], length);
        type = ask(SET_STATE, board.expected, payload, 2U + length);
        at += length;
    }
    if ((at == LNN_MODEL_BLOB_BYTES) && (type == ACK))
    {
        get(after);
        CLAIM(memcmp(blob, after, sizeof blob) == 0);
    }
}

static void greet(const uint8_t detail)
{
    static const uint8_t version = LNN_PROTOCOL_VERSION;
    (void) ask(HELLO, board.expected, &version, 1U);
    (void) ask(RESET, board.expected, &detail, 1U);
}

/* After RESET the same frame leads to the same state as in a model that nothing has happened to. */
static void is_as_new(void)
{
    static const uint8_t   frame[8U + 2U * LNN_MODEL_CHANNELS] = {0, 0, 0, 0, 1};
    static const int16_t   zeros[LNN_MODEL_CHANNELS]           = {0};
    static lnn_model_ctx_t other;
    static uint8_t         mine[LNN_MODEL_BLOB_BYTES];
    static uint8_t         yours[LNN_MODEL_BLOB_BYTES];
    lnn_model_result_t     result;
    greet(0U);
    CLAIM(ask(DATA, board.expected, frame, sizeof frame) == RESULTS);
    lnn_model_reset(&other);
    (void) lnn_model_push_frame(&other, zeros);
    while (lnn_model_poll(&other, &result) == LNN_OK)
    {
    }
    get(mine);
    CLAIM(lnn_model_get_state(&other, 0U, sizeof yours, yours) == LNN_OK);
    CLAIM(memcmp(mine, yours, sizeof mine) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, const size_t size)
{
    input_t in = {data, size};
    (void) memset(&board, 0, sizeof board);
    request.count = 0U;
    lnn_protocol_start(&board, &ctx);
    if (take_u8(&in) % 8U != 0U)
    {
        greet(1U);
    }
    while (in.left > 0U)
    {
        switch (take_u8(&in) % KINDS)
        {
            case ANY: ask_anything(&in); break;
            case NOISE: make_noise(&in); break;
            case SAMPLES: send_samples(&in); break;
            case AGAIN: repeat(); break;
            case STATE: set_state(&in); break;
            case DETAIL:
            default: greet(take_u8(&in) % 2U); break;
        }
    }
    is_as_new();
    return 0;
}
