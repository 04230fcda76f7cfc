#include "cycles.h"

bool lnn_cycles_start(void)
{
#if LNN_CORE_COUNTS_CYCLES
    LNN_SCB_DEBUG |= LNN_SCB_DEBUG_TRACE;
    LNN_DWT_LOCK = LNN_DWT_LOCK_KEY; /* Cortex-M7; the others have no lock and ignore it */
    LNN_DWT_CYCLES = 0U;
    LNN_DWT_CONTROL |= LNN_DWT_CONTROL_CYCLES;
    const uint32_t start = lnn_cycles();
    lnn_core_barrier();
    return lnn_cycles() != start;
#else
    return false;
#endif
}
