/* What every harness has: an entry that libFuzzer calls, an input that is read bit by bit, and claims that must hold. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM(holds) claim((holds), #holds, __LINE__)

/** @brief An input; behind its end it goes on with zeros. */
typedef struct
{
    const uint8_t *bytes;
    size_t         left;
} input_t;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void claim(const int holds, const char *what, const int line)
{
    if (holds == 0)
    {
        (void) fprintf(stderr, "line %d: not so: %s\n", line, what);
        abort();
    }
}

static inline uint8_t take_u8(input_t *in)
{
    if (in->left == 0U)
    {
        return 0U;
    }
    in->left--;
    return *in->bytes++;
}

static inline uint32_t take_u16(input_t *in)
{
    const uint32_t low = take_u8(in);
    return low | ((uint32_t) take_u8(in) << 8);
}

static inline void take(input_t *in, uint8_t *out, const uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
    {
        out[i] = take_u8(in);
    }
}

#endif
