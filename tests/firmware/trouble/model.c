#include "model_binding.h"

enum
{
    UNDEFINED = 1,
    NO_MEMORY = 2,
    DIVISION  = 3,
    OVERFLOW  = 4,
    HANG      = 5
};

const uint8_t lnn_model_sha256[32] = {0};

static volatile uint32_t zero;

void execute_nothing(void);
void read_nowhere(void);
void divide_by_zero(void);
void hang(void);
uint32_t dig(uint32_t depth);

__attribute__((noinline)) void execute_nothing(void)
{
    __asm volatile("udf #0");
}

__attribute__((noinline)) void read_nowhere(void)
{
    (void) *(const volatile uint32_t *) 0x60000000UL;
}

__attribute__((noinline)) void divide_by_zero(void)
{
    zero = 7U / zero;
}

__attribute__((noinline)) uint32_t dig(const uint32_t depth)
{
    volatile uint32_t room[16];
    room[depth % 16U] = depth;
    return (depth == UINT32_MAX) ? depth : (dig(depth + 1U) + room[depth % 16U]);
}

__attribute__((noinline)) void hang(void)
{
    while (zero == 0U)
    {
    }
}

lnn_status_t lnn_model_push_frame(lnn_model_ctx_t *ctx, const int16_t frame[LNN_MODEL_CHANNELS])
{
    ctx->frames++;
    switch (frame[0])
    {
        case UNDEFINED: execute_nothing(); break;
        case NO_MEMORY: read_nowhere(); break;
        case DIVISION: divide_by_zero(); break;
        case OVERFLOW: zero = dig(0U); break;
        case HANG: hang(); break;
        default: break;
    }
    return LNN_OK;
}

void lnn_model_reset(lnn_model_ctx_t *ctx)
{
    ctx->frames = 0U;
}

lnn_status_t lnn_model_push_event(lnn_model_ctx_t *ctx, const uint32_t stamp)
{
    (void) ctx;
    (void) stamp;
    return LNN_OK;
}

lnn_status_t lnn_model_skip_frames(lnn_model_ctx_t *ctx, const uint32_t count)
{
    ctx->frames += count;
    return LNN_OK;
}

lnn_status_t lnn_model_poll(lnn_model_ctx_t *ctx, lnn_model_result_t *result)
{
    (void) ctx;
    (void) result;
    return LNN_IDLE;
}

lnn_status_t lnn_model_get_state(const lnn_model_ctx_t *ctx, const uint32_t offset, const uint32_t length, uint8_t *out)
{
    for (uint32_t i = 0; i < length; i++)
    {
        out[i] = (uint8_t) (ctx->frames >> (8U * ((offset + i) % 4U)));
    }
    return LNN_OK;
}

lnn_status_t lnn_model_set_state(lnn_model_ctx_t *ctx, const uint32_t offset, const uint32_t length, const uint8_t *in)
{
    (void) ctx;
    (void) offset;
    (void) length;
    (void) in;
    return LNN_ERR_RANGE;
}

uint32_t lnn_model_is_loading(const lnn_model_ctx_t *ctx)
{
    (void) ctx;
    return 0U;
}

void lnn_model_get_probes(const lnn_model_ctx_t *ctx, uint8_t *out)
{
    (void) ctx;
    (void) out;
}

uint32_t lnn_model_frames(const lnn_model_ctx_t *ctx)
{
    return ctx->frames;
}

void lnn_model_get_counters(const lnn_model_ctx_t *ctx, lnn_counters_t *out)
{
    (void) ctx;
    *out = (lnn_counters_t) {0};
}
