/* Prints what a model's units.h makes of values on stdin: compiled as C and as C++, with
 * HEADER, QUANTIZE, DEQUANTIZE, CONTEXT, CONTEXT_BYTES, CHANNELS, OUTPUTS and VALUES defined. */
#include <stdio.h>

#include HEADER

#ifdef __cplusplus
static_assert(sizeof(CONTEXT) == CONTEXT_BYTES, "the header names the size");
#else
_Static_assert(sizeof(CONTEXT) == CONTEXT_BYTES, "the header names the size");
#endif

static float in[VALUES];

int main(void)
{
    (void) !fread(in, sizeof in[0], VALUES, stdin);
    for (uint32_t channel = 0U; channel < CHANNELS; channel++)
    {
        for (uint32_t i = 0U; i < VALUES; i++)
        {
            const int16_t sample = QUANTIZE(channel, in[i]);
            (void) fwrite(&sample, sizeof sample, 1U, stdout);
        }
    }
    for (uint32_t output = 0U; output < OUTPUTS; output++)
    {
        for (int32_t value = INT16_MIN; value <= INT16_MAX; value++)
        {
            const float real = DEQUANTIZE(output, (int16_t) value);
            (void) fwrite(&real, sizeof real, 1U, stdout);
        }
    }
    return 0;
}
