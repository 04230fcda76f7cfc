/**
 * @file idle.h
 * @brief Sleep until a byte comes, and a tick every 25 ms while the program waits for a request.
 */
#ifndef LNN_IDLE_H
#define LNN_IDLE_H

#include <stdbool.h>

#define LNN_IDLE_TICKS_PER_S 40U

/** @brief Set the tick for the clock that runs now. */
void lnn_idle_start(void);

/** @brief Sleep until an interrupt, unless a byte waits; the tick runs from here on, and nothing is held back. */
void lnn_idle_sleep(void);

/** @brief Stop the tick until the next sleep: it must not be counted into the cycles of a step. */
void lnn_idle_stop(void);

/** @brief Whether a tick has passed since the last call. */
bool lnn_idle_has_ticked(void);

void SysTick_Handler(void);

#endif
