/* Feeds a generated model from standard input, prints every decision: the host twin of lnn_edge/graph/sim/stream.py.
 *
 * in:  'F' i16[channels] | 'N' the same, not polled | 'E' u32 | 'S' u32 | 'R' (reset) | 'G' (print the state blob) | 'P' blob (put it)
 * out: 'D' u32 stamp, i16[outputs], probes, state prefix | 'B' blob
 */
#include <stdio.h>
#include <string.h>

#include "lnn_state.h"
#include "model_binding.h"

static lnn_model_ctx_t ctx;
static uint8_t         buffer[LNN_MODEL_BLOB_BYTES + LNN_MODEL_PROBE_BYTES];

static void drain(void)
{
    lnn_model_result_t result;
    while (lnn_model_poll(&ctx, &result) == LNN_OK)
    {
        (void) putchar('D');
        (void) fwrite(&result.stamp, 4, 1, stdout);
        (void) fwrite(result.outputs, 2, LNN_MODEL_OUTPUTS, stdout);
        lnn_model_get_probes(&ctx, buffer);
        (void) fwrite(buffer, 1, LNN_MODEL_PROBE_BYTES, stdout);
        (void) lnn_model_get_state(&ctx, LNN_BLOB_HEAD_BYTES, LNN_MODEL_STATE_PREFIX_BYTES, buffer);
        (void) fwrite(buffer, 1, LNN_MODEL_STATE_PREFIX_BYTES, stdout);
    }
}

int main(void)
{
    int16_t  frame[LNN_MODEL_CHANNELS];
    uint32_t word = 0;
    int      item = 0;
    (void) memset(&ctx, 0xA5, sizeof ctx);
    lnn_model_reset(&ctx);
    while ((item = getchar()) != EOF)
    {
        if ((item == 'F') || (item == 'N'))
        {
            (void) !fread(frame, sizeof frame, 1, stdin);
            (void) lnn_model_push_frame(&ctx, frame);
            if (item == 'N')
            {
                continue;
            }
        }
        else if ((item == 'E') || (item == 'S'))
        {
            (void) !fread(&word, 4, 1, stdin);
            (void) ((item == 'E') ? lnn_model_push_event(&ctx, word) : lnn_model_skip_frames(&ctx, word));
        }
        else if (item == 'R')
        {
            lnn_model_reset(&ctx);
        }
        else if (item == 'P')
        {
            (void) !fread(buffer, 1, LNN_MODEL_BLOB_BYTES, stdin);
            (void) memset(&ctx, 0xA5, sizeof ctx);
            (void) lnn_model_set_state(&ctx, 0, LNN_MODEL_BLOB_BYTES, buffer);
        }
        else
        {
            (void) lnn_model_get_state(&ctx, 0, LNN_MODEL_BLOB_BYTES, buffer);
            (void) putchar('B');
            (void) fwrite(buffer, 1, LNN_MODEL_BLOB_BYTES, stdout);
        }
        drain();
    }
    return 0;
}
