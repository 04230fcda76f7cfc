/* Throws forged states at a model and lets it go on from what it accepts; sanitizers watch.
 *
 * Usage: fuzz SEED COUNT WARM, WARM states taken on the way as seeds. Prints accepted, refused and decisions.
 */
#include <stdio.h>
#include <stdlib.h>

#include "forge.h"

static lnn_model_ctx_t ctx;
static unsigned long   decisions;

static void feed(const uint32_t frames)
{
    for (uint32_t i = 0; i < frames; i++)
    {
        int16_t frame[LNN_MODEL_CHANNELS];
        for (uint32_t c = 0; c < LNN_MODEL_CHANNELS; c++)
        {
            frame[c] = (int16_t) random_word();
        }
        (void) lnn_model_push_frame(&ctx, frame);
        if (random_word() % 16U == 0U)
        {
            (void) lnn_model_push_event(&ctx, lnn_model_frames(&ctx) - random_word() % 8U);
        }
        if (random_word() % 64U == 0U)
        {
            (void) lnn_model_skip_frames(&ctx, random_word() % 700U);
        }
        lnn_model_result_t result;
        while (lnn_model_poll(&ctx, &result) == LNN_OK)
        {
            decisions++;
        }
    }
}

/* In one part or in several. */
static lnn_status_t set(void)
{
    uint32_t     at     = 0;
    lnn_status_t status = LNN_OK;
    while ((at < LNN_MODEL_BLOB_BYTES) && (status == LNN_OK))
    {
        const uint32_t left = LNN_MODEL_BLOB_BYTES - at;
        const uint32_t part = (random_word() % 4U != 0U) ? left : (16U + random_word() % 1000U);
        status              = lnn_model_set_state(&ctx, at, (part < left) ? part : left, &blob[at]);
        at += (part < left) ? part : left;
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 4)
    {
        return 2;
    }
    noise                    = strtoull(argv[1], NULL, 10) * 2U + 1U;
    const unsigned long many = strtoul(argv[2], NULL, 10);
    uint32_t            warm = (uint32_t) strtoul(argv[3], NULL, 10);
    unsigned long       accepted = 0;
    warm                     = (warm < MOST_SEEDS) ? warm : MOST_SEEDS;
    lnn_model_reset(&ctx);
    for (uint32_t i = 0; i < warm; i++)
    {
        (void) lnn_model_get_state(&ctx, 0U, sizeof blob, seeds[i]);
        feed(1U + random_word() % 400U);
    }
    for (uint32_t i = 0; i < warm; i++) /* what the model was in, it can be put into */
    {
        if (lnn_model_set_state(&ctx, 0U, sizeof blob, seeds[i]) != LNN_OK)
        {
            (void) printf("seed %u refused\n", (unsigned) i);
            return 1;
        }
    }
    for (unsigned long i = 0; i < many; i++)
    {
        forge(warm);
        if (set() == LNN_OK)
        {
            accepted++;
            feed(1U + random_word() % 6U);
        }
        else if (lnn_model_is_loading(&ctx) != 0U)
        {
            (void) printf("a refused state is still loading\n");
            return 1;
        }
    }
    (void) printf("%lu accepted, %lu refused, %lu decisions\n", accepted, many - accepted, decisions);
    return 0;
}
