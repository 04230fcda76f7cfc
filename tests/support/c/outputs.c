/* Runs frames from stdin through a model and prints each output of each decision, element by element, as its integer and
 * its real value: compiled as C and as C++, with HEADER, MODEL, CHANNELS and EACH(X), X(NAME, name) of each output. */
#include <stdio.h>

#include HEADER

#define JOIN(a, b) a##b
#define OF(model, what) JOIN(model, what)

#define WRITE(NAME, name)                                                                                   \
    for (uint32_t i = 0U; i < OF(MODEL_IN_CAPITALS, _OUTPUT_##NAME##_SIZE); i++)                             \
    {                                                                                                       \
        const int16_t value = OF(MODEL, _output_##name)(&result)[i];                                        \
        const float   real  = OF(MODEL, _dequantize_output_##name)(value);                                  \
        (void) fwrite(&value, sizeof value, 1U, stdout);                                                    \
        (void) fwrite(&real, sizeof real, 1U, stdout);                                                      \
    }

static OF(MODEL, _ctx_t) model;

int main(void)
{
    int16_t frame[CHANNELS];
    OF(MODEL, _result_t) result;
    OF(MODEL, _reset)(&model);
    while (fread(frame, sizeof frame, 1U, stdin) == 1U)
    {
        (void) OF(MODEL, _push_frame)(&model, frame);
        while (OF(MODEL, _poll)(&model, &result) == LNN_OK)
        {
            EACH(WRITE)
        }
    }
    return 0;
}
