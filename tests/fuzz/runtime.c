/* A model's calls in any order: frames, events, gaps, polls, states. Beside it runs a second one that takes its state
 * over now and then; from there on both must do the same.
 */
#include "harness.h"
#include "lnn_state.h"
#include "model_binding.h"

enum
{
    FRAMES,
    EVENT,
    SKIP,
    POLL,
    TAKE_OVER,
    FORGE,
    RESET,
    KINDS
};

#define BODY_END (LNN_MODEL_BLOB_BYTES - LNN_BLOB_CRC_BYTES)

typedef struct
{
    lnn_model_ctx_t model[2];
    uint32_t        count; /* of models that run: the second does since it took over a state */
} pair_t;

static pair_t pair;

static void get(const uint32_t which, uint8_t *blob)
{
    CLAIM(lnn_model_get_state(&pair.model[which], 0U, LNN_MODEL_BLOB_BYTES, blob) == LNN_OK);
}

static void push(input_t *in)
{
    uint32_t       noise = take_u8(in);
    const uint32_t count = 1U + take_u8(in) % 64U;
    for (uint32_t i = 0; i < count; i++)
    {
        int16_t frame[LNN_MODEL_CHANNELS];
        for (uint32_t c = 0; c < LNN_MODEL_CHANNELS; c++)
        {
            noise    = noise * 1103515245U + 12345U;
            frame[c] = (int16_t) (uint16_t) (noise >> 16);
        }
        for (uint32_t m = 0; m < pair.count; m++)
        {
            CLAIM(lnn_model_push_frame(&pair.model[m], frame) == LNN_OK);
        }
    }
}

static void push_event(input_t *in)
{
    const uint32_t     stamp  = lnn_model_frames(&pair.model[0]) + take_u8(in) - 128U;
    const lnn_status_t status = lnn_model_push_event(&pair.model[0], stamp);
    CLAIM((pair.count == 1U) || (lnn_model_push_event(&pair.model[1], stamp) == status));
}

/* Counts of frames stay far from 2^32, where a record ends. */
static void skip(input_t *in)
{
    const uint32_t wide  = take_u8(in) % 24U;
    const uint32_t count = take_u16(in) << ((lnn_model_frames(&pair.model[0]) < 0x40000000U) ? (wide / 2U) : 0U);
    if (lnn_model_frames(&pair.model[0]) < 0x80000000U)
    {
        for (uint32_t m = 0; m < pair.count; m++)
        {
            CLAIM(lnn_model_skip_frames(&pair.model[m], count) == LNN_OK);
        }
    }
}

static void poll(input_t *in)
{
    const uint32_t most = 1U + take_u8(in) % 8U;
    for (uint32_t i = 0; i < most; i++)
    {
        lnn_model_result_t result[2] = {0};
        const lnn_status_t status    = lnn_model_poll(&pair.model[0], &result[0]);
        CLAIM((status == LNN_OK) || (status == LNN_IDLE));
        if (pair.count > 1U)
        {
            CLAIM(lnn_model_poll(&pair.model[1], &result[1]) == status);
        }
        if (status != LNN_OK)
        {
            return;
        }
        CLAIM(result[0].stamp < lnn_model_frames(&pair.model[0]));
        if (pair.count > 1U)
        {
            CLAIM(result[0].stamp == result[1].stamp);
            CLAIM(memcmp(result[0].outputs, result[1].outputs, sizeof result[0].outputs) == 0);
        }
    }
}

/* In parts; returns what the last one says. */
static lnn_status_t set(const uint32_t which, const uint8_t *blob, const uint32_t part)
{
    lnn_status_t status = LNN_OK;
    for (uint32_t at = 0; (at < LNN_MODEL_BLOB_BYTES) && (status == LNN_OK); at += part)
    {
        const uint32_t left = LNN_MODEL_BLOB_BYTES - at;
        status              = lnn_model_set_state(&pair.model[which], at, (part < left) ? part : left, &blob[at]);
    }
    CLAIM(lnn_model_is_loading(&pair.model[which]) == 0U);
    return status;
}

/* Whatever the model has come to, it can be put into; a forged state may be at the end of what is counted. */
static void take_over(input_t *in)
{
    static uint8_t blob[LNN_MODEL_BLOB_BYTES];
    if (lnn_model_frames(&pair.model[0]) > UINT32_MAX - LNN_MOST_AHEAD)
    {
        return;
    }
    get(0U, blob);
    CLAIM(set(1U, blob, LNN_BLOB_HEAD_BYTES + take_u8(in)) == LNN_OK);
    pair.count = 2U;
}

/* A state that nobody was in, its checksum right: taken as it is, or refused and the model reset. */
static void forge(input_t *in)
{
    static uint8_t blob[LNN_MODEL_BLOB_BYTES];
    static uint8_t after[LNN_MODEL_BLOB_BYTES];
    const uint32_t changes = 1U + take_u8(in) % 4U;
    get(0U, blob);
    for (uint32_t i = 0; i < changes; i++)
    {
        const uint32_t at = LNN_BLOB_HEAD_BYTES + take_u16(in) % (BODY_END - LNN_BLOB_HEAD_BYTES);
        blob[at] ^= take_u8(in);
    }
    const uint32_t crc = lnn_crc32(0U, blob, BODY_END);
    for (uint32_t i = 0; i < LNN_BLOB_CRC_BYTES; i++)
    {
        blob[BODY_END + i] = (uint8_t) (crc >> (8U * i));
    }
    const lnn_status_t status = set(0U, blob, LNN_MODEL_BLOB_BYTES);
    CLAIM((status == LNN_OK) || (status == LNN_ERR_STATE));
    if (status == LNN_ERR_STATE)
    {
        lnn_model_reset(&pair.model[1]);
        get(1U, blob);
    }
    get(0U, after);
    CLAIM(memcmp(blob, after, sizeof blob) == 0);
    pair.count = 1U;
}

static void are_equal(void)
{
    static uint8_t blob[2][LNN_MODEL_BLOB_BYTES];
    get(0U, blob[0]);
    get(1U, blob[1]);
    CLAIM(memcmp(blob[0], blob[1], sizeof blob[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, const size_t size)
{
    input_t in = {data, size};
    (void) memset(&pair, 0xA5, sizeof pair);
    lnn_model_reset(&pair.model[0]);
    lnn_model_reset(&pair.model[1]);
    pair.count = 2U;
    while (in.left > 0U)
    {
        switch (take_u8(&in) % KINDS)
        {
            case FRAMES: push(&in); break;
            case EVENT: push_event(&in); break;
            case SKIP: skip(&in); break;
            case POLL: poll(&in); break;
            case TAKE_OVER: take_over(&in); break;
            case FORGE: forge(&in); break;
            case RESET:
            default:
                for (uint32_t m = 0; m < pair.count; m++)
                {
                    lnn_model_reset(&pair.model[m]);
                }
                break;
        }
    }
    if (pair.count > 1U)
    {
        are_equal();
    }
    return 0;
}
