/* Runs the model over a whole recording in memory: how the tool evaluates on the machine that it runs on. */
#include "model_binding.h"

uint32_t lnn_record_context_bytes(void);
uint32_t lnn_record_run(lnn_model_ctx_t *ctx, const int16_t *frames, uint32_t frame_count, const uint32_t *events,
                        uint32_t event_count, uint32_t *stamps, int16_t *outputs, uint32_t most);
uint32_t lnn_record_losses(const lnn_model_ctx_t *ctx);

uint32_t lnn_record_context_bytes(void)
{
    return (uint32_t) sizeof(lnn_model_ctx_t);
}

/* From a reset: event t follows frame t. Returns how many decisions there were, of which `most` are written. */
uint32_t lnn_record_run(lnn_model_ctx_t *ctx, const int16_t *frames, const uint32_t frame_count,
                        const uint32_t *events, const uint32_t event_count, uint32_t *stamps, int16_t *outputs,
                        const uint32_t most)
{
    lnn_model_result_t result;
    uint32_t           decisions = 0;
    uint32_t           event     = 0;
    lnn_model_reset(ctx);
    for (uint32_t i = 0; i < frame_count; i++)
    {
        (void) lnn_model_push_frame(ctx, &frames[(uint64_t) i * LNN_MODEL_CHANNELS]);
        while ((event < event_count) && (events[event] <= i))
        {
            (void) lnn_model_push_event(ctx, events[event]);
            event++;
        }
        while (lnn_model_poll(ctx, &result) == LNN_OK)
        {
            if (decisions < most)
            {
                stamps[decisions] = result.stamp;
                for (uint32_t k = 0; k < LNN_MODEL_OUTPUTS; k++)
                {
                    outputs[(uint64_t) decisions * LNN_MODEL_OUTPUTS + k] = result.outputs[k];
                }
            }
            decisions++;
        }
    }
    return decisions;
}

/* Events and steps that a recording must not lose. */
uint32_t lnn_record_losses(const lnn_model_ctx_t *ctx)
{
    lnn_counters_t counters;
    lnn_model_get_counters(ctx, &counters);
    return counters.event_overflows + counters.events_rejected;
}
