#include "lnn_protocol.h"

#include <stddef.h>

#include "lnn_port.h"
#include "lnn_state.h"

enum
{
    HELLO     = 0x01,
    RESET     = 0x02,
    DATA      = 0x03,
    GET_STATE = 0x04,
    SET_STATE = 0x05,
    TRACE     = 0x06,
    STATS     = 0x07,
    BAUD      = 0x08
};

enum
{
    ACK         = 0x80,
    INFO        = 0x81,
    RESULTS     = 0x83,
    STATE       = 0x84,
    TRACED      = 0x86,
    STATS_REPLY = 0x87,
    ERROR       = 0x8E
};

enum
{
    UNKNOWN_TYPE = 1,
    BAD_LENGTH   = 2,
    BAD_SEQUENCE = 3,
    BAD_ARGUMENT = 4,
    UNSUPPORTED  = 5,
    NO_SESSION   = 6
};

#define DATA_HEAD 8U
#define STATE_HEAD 2U
#define RESULTS_HEAD 4U
#define RECORD_BYTES (8U + 2U * LNN_MODEL_OUTPUTS)
#define DETAIL_BYTES (RECORD_BYTES + LNN_MODEL_PROBE_BYTES + LNN_MODEL_STATE_PREFIX_BYTES)
#define DETAIL_SUPPORTED (RESULTS_HEAD + DETAIL_BYTES <= LNN_MAX_PAYLOAD)

_Static_assert(RESULTS_HEAD + RECORD_BYTES <= LNN_MAX_PAYLOAD, "a result must fit a frame");
_Static_assert(LNN_MODEL_BLOB_BYTES <= 0xFFFFU, "state offsets are 16 bits wide");
_Static_assert(LNN_MODEL_PROBE_BYTES <= 0xFFFFU, "INFO gives the probes' size in 16 bits");
_Static_assert(LNN_MODEL_CHANNELS <= 0xFFFFU && LNN_MODEL_OUTPUTS <= 0xFFFFU, "INFO gives these in 16 bits");
_Static_assert(DATA_HEAD + 2U * LNN_MODEL_CHANNELS <= LNN_MAX_PAYLOAD, "a frame of samples must fit a request");

/** @brief Payload of the request in hand. */
typedef struct
{
    const uint8_t *bytes;
    uint32_t       length;
} payload_t;

/** @brief A checked DATA request. */
typedef struct
{
    uint32_t       first;
    uint32_t       frames;
    uint32_t       events;
    const uint8_t *stamps;
    const uint8_t *samples;
} data_t;

/** @brief What INFO tells of the model in numbers. */
typedef struct
{
    uint16_t channels;
    uint16_t outputs;
    uint8_t  detail;
    uint8_t  trace;
    uint16_t state;
    uint16_t prefix;
    uint16_t probes;
    uint16_t payload;
} numbers_t;

_Static_assert(sizeof(numbers_t) == 14U, "INFO has these without a gap");
_Static_assert(offsetof(lnn_port_facts_t, reset_cause) == offsetof(lnn_port_facts_t, flags) + 12U,
               "INFO has flags, clock, rate and reset cause one after the other");
_Static_assert(sizeof(lnn_counters_t) == 16U, "STATS has these without a gap");
_Static_assert(offsetof(lnn_protocol_t, bad_frames) == offsetof(lnn_protocol_t, rx_frames) + 4U
                   && offsetof(lnn_port_counters_t, rx_ring_overflows) == offsetof(lnn_port_counters_t, uart_overruns) + 4U
                   && offsetof(lnn_protocol_t, steps) == offsetof(lnn_protocol_t, duplicates) + 8U,
               "STATS has each of these after the other");
_Static_assert(offsetof(lnn_costs_t, decisions) == offsetof(lnn_costs_t, largest_push) + 20U,
               "STATS has the costs one after the other");

static uint16_t get_u16(const uint8_t *bytes)
{
    return (uint16_t) (bytes[0] | ((uint32_t) bytes[1] << 8));
}

static uint32_t get_u32(const uint8_t *bytes)
{
    return get_u16(bytes) | ((uint32_t) get_u16(&bytes[2]) << 16);
}

/* Space for the bytes that are put into a reply is certain: sizes are checked before, or fixed and small. */

static uint8_t *put_space(lnn_protocol_t *p, const uint32_t count)
{
    uint8_t *const place = &p->reply.body[p->reply.length];
    p->reply.length += count;
    return place;
}

static void put_u8(lnn_protocol_t *p, const uint32_t value)
{
    *put_space(p, 1U) = (uint8_t) value;
}

static void put_u16(lnn_protocol_t *p, const uint32_t value)
{
    put_u8(p, value);
    put_u8(p, value >> 8);
}

static void put_u32(lnn_protocol_t *p, const uint32_t value)
{
    put_u16(p, value);
    put_u16(p, value >> 16);
}

/* Numbers that lie side by side go out as they lie: the processor is little-endian, as the protocol is. */
static void put_bytes(lnn_protocol_t *p, const void *from, const uint32_t count)
{
    const uint8_t *const bytes = from;
    for (uint32_t i = 0; i < count; i++)
    {
        put_u8(p, bytes[i]);
    }
}

static void put_name(lnn_protocol_t *p, const char *name)
{
    for (uint32_t i = 0; i < LNN_NAME_BYTES; i++)
    {
        put_u8(p, (uint8_t) *name);
        name += (*name != '\0') ? 1 : 0;
    }
}

/* A reply carries the seq of the request in hand. */
static void reply_begin(lnn_protocol_t *p, const uint32_t type)
{
    p->reply.length = 0U;
    put_u8(p, type);
    put_u8(p, p->in.frame.body[1]);
}

static void reply_error(lnn_protocol_t *p, const uint32_t code, const char *text)
{
    reply_begin(p, ERROR);
    put_u8(p, code);
    put_u8(p, p->expected);
    for (; *text != '\0'; text++)
    {
        put_u8(p, (uint8_t) *text);
    }
}

static void answer_hello(lnn_protocol_t *p, const payload_t in)
{
    static const uint8_t   versions[] = {LNN_PROTOCOL_VERSION, LNN_FIRMWARE_VERSION};
    static const numbers_t numbers    = {
           .channels = LNN_MODEL_CHANNELS,
           .outputs  = LNN_MODEL_OUTPUTS,
           .detail   = DETAIL_SUPPORTED ? 1U : 0U,
           .trace    = LNN_MODEL_HAS_TRACE,
           .state    = LNN_MODEL_BLOB_BYTES,
           .prefix   = LNN_MODEL_STATE_PREFIX_BYTES,
           .probes   = LNN_MODEL_PROBE_BYTES,
           .payload  = LNN_MAX_PAYLOAD,
    };
    lnn_port_facts_t facts;
    if (in.bytes[0] != LNN_PROTOCOL_VERSION)
    {
        reply_error(p, UNSUPPORTED, "protocol version 3 only");
        return;
    }
    lnn_port_get_facts(&facts);
    p->open = true;
    reply_begin(p, INFO);
    put_bytes(p, versions, sizeof versions);
    put_bytes(p, &facts.flags, 16U); /* flags, core_clock_hz, baud, reset_cause */
    put_bytes(p, &numbers, sizeof numbers);
    put_bytes(p, facts.dwt_pidr, LNN_PIDR_BYTES);
    put_bytes(p, lnn_model_sha256, 32U);
    put_name(p, LNN_MODEL_NAME);
    put_name(p, facts.board_name);
}

static void add_call(lnn_protocol_t *p, uint32_t *largest, const uint32_t cycles)
{
    p->costs.frame += cycles;
    if (cycles > *largest)
    {
        *largest = cycles;
    }
}

static void end_frame(lnn_costs_t *costs)
{
    costs->frames += costs->frame;
    if (costs->frame > costs->largest_frame)
    {
        costs->largest_frame = costs->frame;
    }
    costs->frame = 0U;
}

/* What was computed on the frames since the last decision is part of its cost. */
static uint32_t take_prepared(lnn_protocol_t *p)
{
#if LNN_MODEL_PREPARES
    const uint32_t cycles = p->prepared;
    p->prepared           = 0U;
    return cycles;
#else
    (void) p;
    return 0U;
#endif
}

static void answer_reset(lnn_protocol_t *p, const payload_t in)
{
    if (in.bytes[0] > 1U)
    {
        reply_error(p, BAD_ARGUMENT, "detail is 0 or 1");
        return;
    }
    if ((in.bytes[0] == 1U) && !DETAIL_SUPPORTED)
    {
        reply_error(p, UNSUPPORTED, "a detailed record does not fit");
        return;
    }
    p->detail = (in.bytes[0] == 1U);
    (void) take_prepared(p);
    p->costs = (lnn_costs_t) {0};
    lnn_model_reset(p->model);
    reply_begin(p, ACK);
}

static void put_record(lnn_protocol_t *p, const lnn_model_result_t *result, const uint32_t cycles)
{
    put_u32(p, result->stamp);
    put_u32(p, cycles);
    for (uint32_t i = 0; i < LNN_MODEL_OUTPUTS; i++)
    {
        put_u16(p, (uint16_t) result->outputs[i]);
    }
    if (p->detail)
    {
        lnn_model_get_probes(p->model, put_space(p, LNN_MODEL_PROBE_BYTES));
        (void) lnn_model_get_state(p->model, LNN_BLOB_HEAD_BYTES, LNN_MODEL_STATE_PREFIX_BYTES,
                                   put_space(p, LNN_MODEL_STATE_PREFIX_BYTES));
    }
}

/* Runs what is ready; false if the reply is full before the model is idle. */
static bool run_steps(lnn_protocol_t *p)
{
    const uint32_t record = p->detail ? DETAIL_BYTES : RECORD_BYTES;
    while (p->reply.length + record <= LNN_HEAD_BYTES + LNN_MAX_PAYLOAD)
    {
        lnn_model_result_t result;
        const uint32_t     start  = lnn_port_cycles();
        const lnn_status_t status = lnn_model_poll(p->model, &result);
        const uint32_t     cycles = lnn_port_cycles() - start;
        /* A poll without a frame in hand that finds nothing is of the request, not of the model. */
        if ((status == LNN_OK) || (p->costs.frame > 0U))
        {
            add_call(p, &p->costs.largest_poll, cycles);
        }
        if (status != LNN_OK)
        {
            end_frame(&p->costs);
            return true;
        }
        p->costs.decisions += cycles;
        p->steps++;
        put_record(p, &result, cycles + take_prepared(p));
        p->reply.body[LNN_HEAD_BYTES + 2U]++;
    }
    return false;
}

static void push_frame(lnn_protocol_t *p, const uint8_t *samples)
{
    int16_t frame[LNN_MODEL_CHANNELS];
    for (uint32_t c = 0; c < LNN_MODEL_CHANNELS; c++)
    {
        frame[c] = (int16_t) get_u16(&samples[2U * c]);
    }
    const uint32_t start = lnn_port_cycles();
    (void) lnn_model_push_frame(p->model, frame);
    const uint32_t cycles = lnn_port_cycles() - start;
    add_call(p, &p->costs.largest_push, cycles);
#if LNN_MODEL_PREPARES
    p->prepared += cycles;
#endif
}

static uint32_t stamp_at(const data_t *data, const uint32_t event)
{
    return get_u32(&data->stamps[4U * event]);
}

/* Refused events are counted by the model. */
static uint32_t push_events(lnn_protocol_t *p, const data_t *data, uint32_t event, const uint32_t index)
{
    while ((event < data->events) && (stamp_at(data, event) <= index))
    {
        const uint32_t start = lnn_port_cycles();
        (void) lnn_model_push_event(p->model, stamp_at(data, event));
        p->costs.frame += lnn_port_cycles() - start;
        event++;
    }
    return event;
}

static bool stamps_are_valid(const data_t *data)
{
    for (uint32_t i = 0; i < data->events; i++)
    {
        const bool beyond  = stamp_at(data, i) >= data->first + data->frames;
        const bool descend = (i > 0U) && (stamp_at(data, i) < stamp_at(data, i - 1U));
        if (beyond || descend || (data->frames == 0U))
        {
            return false;
        }
    }
    return true;
}

static void process(lnn_protocol_t *p, const data_t *data)
{
    uint32_t consumed = 0;
    uint32_t event    = 0;
    bool     idle     = run_steps(p);
    /* Without frames nothing is told of a gap: the frame after it does, so that the cut into requests has no effect. */
    if (idle && (data->frames > 0U) && (data->first != lnn_model_frames(p->model)))
    {
        (void) lnn_model_skip_frames(p->model, data->first - lnn_model_frames(p->model));
    }
    while (idle && (consumed < data->frames))
    {
        push_frame(p, &data->samples[2U * LNN_MODEL_CHANNELS * consumed]);
        event = push_events(p, data, event, data->first + consumed);
        consumed++;
        idle = run_steps(p);
    }
    p->reply.body[LNN_HEAD_BYTES]      = (uint8_t) consumed;
    p->reply.body[LNN_HEAD_BYTES + 1U] = (uint8_t) (consumed >> 8);
    p->reply.body[LNN_HEAD_BYTES + 3U] = (uint8_t) (idle ? 0U : 1U);
}

static void answer_data(lnn_protocol_t *p, const payload_t in)
{
    const uint32_t frames = get_u16(&in.bytes[4]);
    const uint32_t events = in.bytes[6];
    if (in.length != DATA_HEAD + 4U * events + 2U * LNN_MODEL_CHANNELS * frames)
    {
        reply_error(p, BAD_LENGTH, "wrong length");
        return;
    }
    const data_t data = {
        .first   = get_u32(in.bytes),
        .frames  = frames,
        .events  = events,
        .stamps  = &in.bytes[DATA_HEAD],
        .samples = &in.bytes[DATA_HEAD + 4U * events],
    };
    /* Modulo 2^32: an index in the lower half of the circle is ahead, the others are past. */
    if (data.first - lnn_model_frames(p->model) > 0x7FFFFFFFU)
    {
        reply_error(p, BAD_ARGUMENT, "first was already processed");
        return;
    }
    if (!stamps_are_valid(&data))
    {
        reply_error(p, BAD_ARGUMENT, "stamps descend or lie beyond");
        return;
    }
    reply_begin(p, RESULTS);
    put_u32(p, 0U); /* consumed, count, more: filled while records are added */
    process(p, &data);
}

static void answer_get_state(lnn_protocol_t *p, const payload_t in)
{
    const uint32_t offset = get_u16(in.bytes);
    const uint32_t length = get_u16(&in.bytes[2]);
    if ((length > LNN_MAX_PAYLOAD - STATE_HEAD) || (offset + length > LNN_MODEL_BLOB_BYTES))
    {
        reply_error(p, BAD_ARGUMENT, "beyond the state or the frame");
        return;
    }
    reply_begin(p, STATE);
    put_u16(p, offset);
    (void) lnn_model_get_state(p->model, offset, length, put_space(p, length));
}

static void answer_set_state(lnn_protocol_t *p, const payload_t in)
{
    const uint32_t offset = get_u16(in.bytes);
    const uint32_t length = in.length - STATE_HEAD;
    const lnn_status_t status = lnn_model_set_state(p->model, offset, length, &in.bytes[STATE_HEAD]);
    if (status == LNN_OK)
    {
        reply_begin(p, ACK);
        return;
    }
    reply_error(p, BAD_ARGUMENT,
                (status == LNN_ERR_STATE) ? "not a state of this model"
                                          : "parts of a state follow one another");
}

static void answer_trace(lnn_protocol_t *p, const payload_t in)
{
#if LNN_MODEL_HAS_TRACE
    const uint8_t *bytes  = in.bytes;
    const uint32_t offset = get_u16(&in.bytes[2]);
    const uint32_t total  = lnn_model_trace(p->model, get_u16(in.bytes), &bytes);
    if ((total == 0U) || (total > 0xFFFFU) || (offset > total))
    {
        reply_error(p, BAD_ARGUMENT, "no step is ready, or no such operator or offset");
        return;
    }
    const uint32_t space = LNN_MAX_PAYLOAD - STATE_HEAD;
    reply_begin(p, TRACED);
    put_u16(p, total);
    put_bytes(p, &bytes[offset], (total - offset < space) ? (total - offset) : space);
#else
    (void) in;
    reply_error(p, UNSUPPORTED, "not a diagnostic build");
#endif
}

static void answer_stats(lnn_protocol_t *p)
{
    lnn_port_counters_t port;
    lnn_counters_t      model;
    lnn_port_get_counters(&port);
    lnn_model_get_counters(p->model, &model);
    reply_begin(p, STATS_REPLY);
    put_u32(p, port.rx_bytes);
    put_bytes(p, &p->rx_frames, 8U);       /* and bad_frames */
    put_bytes(p, &port.uart_overruns, 8U); /* and rx_ring_overflows */
    put_bytes(p, &p->duplicates, 12U);     /* and sequence_errors, steps */
    put_bytes(p, &model, sizeof model);
    put_u32(p, port.stack_free_bytes);
    put_bytes(p, &p->costs.largest_push, 28U); /* largest_poll, largest_frame, frames, decisions behind it */
}

/* Returns the rate to switch to once the reply is out, 0 for none. */
static uint32_t answer_baud(lnn_protocol_t *p, const payload_t in)
{
    const uint32_t baud = get_u32(in.bytes);
    if (!lnn_port_can_baud(baud))
    {
        reply_error(p, BAD_ARGUMENT, "no divider for this rate");
        return 0U;
    }
    reply_begin(p, ACK);
    return baud;
}

/* Length of a request's payload, or its least length where that varies; above LNN_MAX_PAYLOAD: no such request. */
static uint32_t needed_length(const uint32_t type)
{
    static const uint16_t lengths[] = {
        [HELLO] = 1U, [RESET] = 1U, [DATA] = DATA_HEAD, [GET_STATE] = 4U, [SET_STATE] = STATE_HEAD,
        [TRACE] = 4U, [STATS] = 0U, [BAUD] = 4U,
    };
    return ((type >= HELLO) && (type <= BAUD)) ? lengths[type] : (LNN_MAX_PAYLOAD + 1U);
}

/* Makes the reply; returns the rate to switch to after it, 0 for none. */
static uint32_t answer(lnn_protocol_t *p, const uint32_t type, const payload_t in)
{
    const uint32_t needed = needed_length(type);
    const bool     varies = (type == DATA) || (type == SET_STATE);
    uint32_t       baud   = 0;
    if (needed > LNN_MAX_PAYLOAD)
    {
        reply_error(p, UNKNOWN_TYPE, "unknown type");
        return 0U;
    }
    if (varies ? (in.length < needed) : (in.length != needed))
    {
        reply_error(p, BAD_LENGTH, "wrong length");
        return 0U;
    }
    if (((type == DATA) || (type == GET_STATE) || (type == TRACE)) && (lnn_model_is_loading(p->model) != 0U))
    {
        reply_error(p, BAD_ARGUMENT, "the rest of a state has to come first");
        return 0U;
    }
    switch (type)
    {
        case HELLO: answer_hello(p, in); break;
        case RESET: answer_reset(p, in); break;
        case DATA: answer_data(p, in); break;
        case GET_STATE: answer_get_state(p, in); break;
        case SET_STATE: answer_set_state(p, in); break;
        case TRACE: answer_trace(p, in); break;
        case STATS: answer_stats(p); break;
        default: baud = answer_baud(p, in); break;
    }
    return baud;
}

/* The stored reply is of the last request that was processed, so this error is made elsewhere. */
static void refuse_sequence(lnn_protocol_t *p)
{
    const uint8_t code                      = p->open ? BAD_SEQUENCE : NO_SESSION;
    uint8_t       error[4U + LNN_CRC_BYTES] = {ERROR, p->in.frame.body[1], code, p->expected};
    p->sequence_errors++;
    lnn_frame_seal(error, 4U);
    lnn_frame_send(error, sizeof error);
}

static void handle_request(lnn_protocol_t *p)
{
    const uint8_t *const body = p->in.frame.body;
    const payload_t in  = {&body[LNN_HEAD_BYTES], p->in.frame.length - LNN_HEAD_BYTES - LNN_CRC_BYTES};
    const uint8_t   seq = body[1];
    const uint32_t  crc = get_u32(&in.bytes[in.length]);
    if (p->answered && (seq == p->last_seq) && (crc == p->last_crc))
    {
        p->duplicates++;
        lnn_frame_send(p->reply.body, p->reply.length);
        return;
    }
    if ((body[0] != HELLO) && (!p->open || (seq != p->expected)))
    {
        refuse_sequence(p);
        return;
    }
    p->answered = true;
    p->last_seq = seq;
    p->last_crc = crc;
    p->expected = (uint8_t) (seq + 1U);
    const uint32_t baud = answer(p, body[0], in);
    lnn_frame_seal(p->reply.body, p->reply.length);
    p->reply.length += LNN_CRC_BYTES;
    lnn_frame_send(p->reply.body, p->reply.length);
    if (baud != 0U)
    {
        lnn_port_try_baud(baud);
    }
}

void lnn_protocol_start(lnn_protocol_t *protocol, lnn_model_ctx_t *model)
{
    protocol->model = model;
    lnn_model_reset(model);
}

uint32_t lnn_protocol_receive(lnn_protocol_t *protocol, const volatile uint8_t *bytes, const uint32_t count)
{
    lnn_frame_event_t event = LNN_FRAME_NONE;
    const uint32_t    taken = lnn_frame_receive(&protocol->in, bytes, count, &event);
    protocol->asked         = (event == LNN_FRAME_GOOD);
    protocol->bad_frames += (event == LNN_FRAME_BAD) ? 1U : 0U;
    return taken;
}

void lnn_protocol_answer(lnn_protocol_t *protocol)
{
    if (protocol->asked)
    {
        protocol->asked = false;
        protocol->rx_frames++;
        lnn_port_begin_request();
        handle_request(protocol);
    }
}
