/**
 * @file clock.h
 * @brief The clock tree of the board file, or, where it does not come up, the oscillator the chip starts with.
 */
#ifndef LNN_CLOCK_H
#define LNN_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "chip.h"

/** Register fields of the prescalers, equal in all families: 2^n as n + 3 for APB and n + 7 for AHB, undivided as 0. */
#define LNN_APB_FIELD(div) ((div) == 1U ? 0U : (div) == 2U ? 4U : (div) == 4U ? 5U : (div) == 8U ? 6U : 7U)
#define LNN_AHB_FIELD(div) ((div) == 1U ? 0U : (div) == 2U ? 8U : (div) == 4U ? 9U : (div) == 8U ? 10U : 11U)

/** @brief Bring the clock up within a bounded time, flags and rates are known afterwards. */
void lnn_clock_start(void);

/** @brief LNN_FLAG_* of what did not come up, 0 if all did. */
uint32_t lnn_clock_flags(void);

/** @brief Rate of the core now. */
uint32_t lnn_clock_core_hz(void);

/** @brief Rate that feeds the UART's divider now. */
uint32_t lnn_clock_uart_hz(void);

/** @brief Poll until (register & mask) == value, at least 50 ms long on the clock of reset; false if it never is. */
bool lnn_clock_wait(const volatile uint32_t *place, uint32_t mask, uint32_t value);

/** @brief Family: run on the PLL. @return 0, or the LNN_FLAG_* of what did not come up */
uint32_t lnn_clock_run_pll(void);

/** @brief Family: run undivided on the oscillator of reset, all else off. */
void lnn_clock_run_reset(void);

#endif
