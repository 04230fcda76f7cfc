/* The least that boots: vectors, memory, one interrupt, a step now and then. */
#include <stddef.h>
#include <stdint.h>

#include "lnn_board.h"
#include "model_binding.h"

extern uint32_t _stack_top, _data_load, _data_start, _data_end, _bss_start, _bss_end;

void Reset_Handler(void);
void Default_Handler(void);
void SysTick_Handler(void);
void *memcpy(void *restrict to, const void *restrict from, size_t count);

static lnn_model_ctx_t   model;
static volatile uint32_t ticks = 7U;

void *memcpy(void *restrict to, const void *restrict from, const size_t count)
{
    uint8_t       *out = to;
    const uint8_t *in  = from;
    for (size_t i = 0; i < count; i++)
    {
        out[i] = in[i];
    }
    return to;
}

void Default_Handler(void)
{
    for (;;)
    {
    }
}

void SysTick_Handler(void)
{
    volatile uint32_t room[16];
    room[ticks & 15U] = ticks;
    ticks += room[ticks & 15U];
}

void Reset_Handler(void)
{
    uint32_t *from = &_data_load;
    for (uint32_t *to = &_data_start; to < &_data_end; to++)
    {
        *to = *from;
        from++;
    }
    for (uint32_t *to = &_bss_start; to < &_bss_end; to++)
    {
        *to = 0;
    }
    lnn_model_reset(&model);
    for (;;)
    {
        static const int16_t frame[LNN_MODEL_CHANNELS];
        lnn_model_result_t   result;
        (void) lnn_model_push_frame(&model, frame);
        (void) lnn_model_push_event(&model, lnn_model_frames(&model));
        if (lnn_model_poll(&model, &result) == LNN_OK)
        {
            ticks += (uint32_t) result.outputs[0];
        }
    }
}

typedef union
{
    uint32_t *stack;
    void (*handler)(void);
} vector_t;

__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    {.stack = &_stack_top},       {.handler = Reset_Handler},   {.handler = Default_Handler}, {.handler = Default_Handler},
    {.handler = Default_Handler}, {.handler = Default_Handler}, {.handler = Default_Handler}, {.handler = NULL},
    {.handler = NULL},            {.handler = NULL},            {.handler = NULL},            {.handler = Default_Handler},
    {.handler = NULL},            {.handler = NULL},            {.handler = Default_Handler}, {.handler = SysTick_Handler},
};
