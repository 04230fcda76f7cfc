/* Throws forged states at a model and lets it go on from what it accepts; sanitizers watch.
 *
 * Usage: fuzz SEED COUNT WARM, WARM states taken on the way as seeds. Prints accepted, refused and decisions.
 * Most forgeries get a right CRC, so that the checks behind it are what refuses them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lnn_state.h"
#include "model_binding.h"

#define BODY (LNN_MODEL_BLOB_BYTES - LNN_BLOB_HEAD_BYTES - LNN_BLOB_CRC_BYTES)
#define MOST_SEEDS 64

static lnn_model_ctx_t ctx;
static uint8_t         seeds[MOST_SEEDS][LNN_MODEL_BLOB_BYTES];
static uint8_t         blob[LNN_MODEL_BLOB_BYTES];
static uint64_t        noise;
static unsigned long   decisions;

static uint32_t random_word(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 7;
    noise ^= noise << 17;
    return (uint32_t) (noise >> 16);
}

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

static void put_word(const uint32_t at, const uint32_t value)
{
    for (uint32_t i = 0; i < 4U; i++)
    {
        blob[at + i] = (uint8_t) (value >> (8U * i));
    }
}

static void forge(const uint32_t seed_count)
{
    static const uint32_t telling[] = {0U, 1U, 2U, 2000U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU, 0xFF000000U, 0x8000U, 0x7FFFU};
    (void) memcpy(blob, seeds[random_word() % seed_count], sizeof blob);
    const uint32_t changes = random_word() % 6U;
    for (uint32_t i = 0; i < changes; i++)
    {
        /* Counts and queues follow the tensors: aim at them more often than their size is. */
        const uint32_t prefix = LNN_MODEL_STATE_PREFIX_BYTES;
        const uint32_t span   = (random_word() % 2U == 0U) ? BODY : ((BODY < prefix + 128U) ? BODY : (prefix + 128U));
        const uint32_t from   = (span == BODY) ? 0U : prefix;
        const uint32_t at     = LNN_BLOB_HEAD_BYTES + from + random_word() % (span - from);
        const uint32_t word   = (at & ~3U) + 4U > LNN_BLOB_HEAD_BYTES + BODY ? LNN_BLOB_HEAD_BYTES : (at & ~3U);
        switch (random_word() % 5U)
        {
            case 0: blob[at] ^= (uint8_t) (1U << (random_word() % 8U)); break;
            case 1: blob[at] = (uint8_t) random_word(); break;
            case 2: put_word(word, telling[random_word() % (sizeof telling / sizeof *telling)]); break;
            case 3: put_word(word, random_word()); break;
            default: (void) memcpy(&blob[word], &seeds[random_word() % seed_count][word], 4U); break;
        }
    }
    if (random_word() % 64U == 0U)
    {
        blob[random_word() % LNN_BLOB_HEAD_BYTES] ^= (uint8_t) (1U << (random_word() % 8U));
    }
    if (random_word() % 64U != 0U)
    {
        put_word(LNN_BLOB_HEAD_BYTES + BODY, lnn_crc32(0U, blob, LNN_BLOB_HEAD_BYTES + BODY));
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
