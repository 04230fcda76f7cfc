#include "cycles.h"

bool lnn_cycles_start(void)
{
    LNN_SCB_DEBUG |= LNN_SCB_DEBUG_TRACE;
    LNN_DWT_LOCK = LNN_DWT_LOCK_KEY; /* Cortex-M7; Cortex-M4 has no lock and ignores it */
    LNN_DWT_CYCLES = 0U;
    LNN_DWT_CONTROL |= LNN_DWT_CONTROL_CYCLES;
    const uint32_t start = lnn_cycles();
    lnn_core_barrier();
    return lnn_cycles() != start;
}
