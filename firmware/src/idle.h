/**
 * @file idle.h
 * @brief Sleep until a byte comes. A tick every 25 ms of sleep wakes too; while the program runs nothing ticks, so
 * nothing disturbs the cycle count of a step.
 */
#ifndef LNN_IDLE_H
#define LNN_IDLE_H

#include <stdbool.h>

#define LNN_IDLE_TICKS_PER_S 40U

/** @brief Set the tick for the clock that runs now. */
void lnn_idle_start(void);

/** @brief Sleep unless a byte waits. @return whether a tick has passed */
bool lnn_idle_sleep(void);

void SysTick_Handler(void);

#endif
