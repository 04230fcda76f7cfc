/* States of a model, and forgeries of them. Most get a right CRC, so that the checks behind it refuse them. */
#ifndef FORGE_H
#define FORGE_H

#include <string.h>

#include "lnn_state.h"
#include "model_binding.h"

#define BODY (LNN_MODEL_BLOB_BYTES - LNN_BLOB_HEAD_BYTES - LNN_BLOB_CRC_BYTES)
#define MOST_SEEDS 64

static uint8_t  seeds[MOST_SEEDS][LNN_MODEL_BLOB_BYTES];
static uint8_t  blob[LNN_MODEL_BLOB_BYTES];
static uint64_t noise;

static uint32_t random_word(void)
{
    noise ^= noise << 13;
    noise ^= noise >> 7;
    noise ^= noise << 17;
    return (uint32_t) (noise >> 16);
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
    static const uint32_t telling[] = {0U,          1U,          2U,          2000U,   0x7FFFFFFFU,
                                       0x80000000U, 0xFFFFFFFFU, 0xFF000000U, 0x8000U, 0x7FFFU};
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

#endif
