/* The lines that an existing CubeMX project needs to run the shipped beat classifier.
 *
 * Files to add to the project: model/ecg_beats_cfc.{h,c}, model/ecg_beats_cfc_weights.{h,c} and
 * firmware/runtime/lnn_{dsp,fixed,runtime}.h, lnn_runtime.c of an exported project; both folders on the include path.
 * Call beats_sample() from the ADC's conversion-complete callback's queue, 360 times a second, and beats_peak() with the
 * sample index of each R peak that your detector reports. Both belong to one thread.
 */
#include "main.h"

#include "ecg_beats_cfc.h"

static ecg_beats_cfc_ctx_t model; /* state, ring and arena: all the memory it needs */

static void beats_decide(void)
{
    ecg_beats_cfc_result_t result;
    while (ecg_beats_cfc_poll(&model, &result) == LNN_OK)
    {
        uint32_t best = 0U;
        for (uint32_t i = 1U; i < ECG_BEATS_CFC_OUTPUTS; i++)
        {
            if (result.outputs[i] > result.outputs[best]) /* as ecg_beats_cfc.h says: the largest, the first of equals */
            {
                best = i;
            }
        }
        const uint32_t is_v = (best == (uint32_t) ECG_BEATS_CFC_CLASS_V) ? 1U : 0U;
        HAL_GPIO_WritePin(GPIOB, GPIO_PIN_0, (is_v != 0U) ? GPIO_PIN_SET : GPIO_PIN_RESET); /* LED on V beats */
    }
}

void beats_start(void)
{
    ecg_beats_cfc_reset(&model);
}

/** @brief One sample of each lead: 200 steps per mV, 1024 is 0 mV; the first lead is MLII. */
void beats_sample(const int16_t lead1, const int16_t lead2)
{
    const int16_t frame[ECG_BEATS_CFC_CHANNELS] = {lead1, lead2};
    (void) ecg_beats_cfc_push_frame(&model, frame);
    beats_decide();
}

/** @brief An R peak at sample index `stamp`, counted from beats_start(). */
void beats_peak(const uint32_t stamp)
{
    if (ecg_beats_cfc_push_event(&model, stamp) != LNN_OK)
    {
        Error_Handler(); /* out of order, or more than eight peaks wait */
    }
}
