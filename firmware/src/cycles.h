/**
 * @file cycles.h
 * @brief The cycle counter of the DWT block. Where there is none it stands still.
 */
#ifndef LNN_CYCLES_H
#define LNN_CYCLES_H

#include <stdbool.h>

#include "core.h"

/** @brief Start counting; false if the counter does not move. */
bool lnn_cycles_start(void);

/** @brief Cycles, modulo 2^32. */
static inline uint32_t lnn_cycles(void)
{
#if LNN_CORE_COUNTS_CYCLES
    return LNN_DWT_CYCLES;
#else
    return 0U;
#endif
}

#endif
