/* A model that goes wrong on demand: the first sample of a frame says how. */
#ifndef MODEL_BINDING_H
#define MODEL_BINDING_H

#include <stdint.h>

#include "lnn_runtime.h"

#define LNN_MODEL_NAME "trouble"
#define LNN_MODEL_CHANNELS 1U
#define LNN_MODEL_OUTPUTS 1U
#define LNN_MODEL_STATE_BYTES 4U
#define LNN_MODEL_BLOB_BYTES 24U
#define LNN_MODEL_STATE_PREFIX_BYTES 4U
#define LNN_MODEL_PROBE_BYTES 0U
#define LNN_MODEL_MAX_PAYLOAD 1024U
#define LNN_MODEL_PREPARES 0
#define LNN_MODEL_HAS_TRACE 0

typedef struct
{
    uint32_t frames;
} lnn_model_ctx_t;

typedef struct
{
    uint32_t stamp;
    int16_t  outputs[LNN_MODEL_OUTPUTS];
} lnn_model_result_t;

extern const uint8_t lnn_model_sha256[32];

void         lnn_model_reset(lnn_model_ctx_t *ctx);
lnn_status_t lnn_model_push_frame(lnn_model_ctx_t *ctx, const int16_t frame[LNN_MODEL_CHANNELS]);
lnn_status_t lnn_model_push_event(lnn_model_ctx_t *ctx, uint32_t stamp);
lnn_status_t lnn_model_skip_frames(lnn_model_ctx_t *ctx, uint32_t count);
lnn_status_t lnn_model_poll(lnn_model_ctx_t *ctx, lnn_model_result_t *result);
lnn_status_t lnn_model_get_state(const lnn_model_ctx_t *ctx, uint32_t offset, uint32_t length, uint8_t *out);
lnn_status_t lnn_model_set_state(lnn_model_ctx_t *ctx, uint32_t offset, uint32_t length, const uint8_t *in);
uint32_t     lnn_model_is_loading(const lnn_model_ctx_t *ctx);
void         lnn_model_get_probes(const lnn_model_ctx_t *ctx, uint8_t *out);
uint32_t     lnn_model_frames(const lnn_model_ctx_t *ctx);
void         lnn_model_get_counters(const lnn_model_ctx_t *ctx, lnn_counters_t *out);

#endif
