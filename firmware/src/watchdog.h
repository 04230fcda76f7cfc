/**
 * @file watchdog.h
 * @brief The independent watchdog: resets the board 8 s after the last feeding. Chips without LNN_IWDG go without.
 */
#ifndef LNN_WATCHDOG_H
#define LNN_WATCHDOG_H

#include "chip.h"

#define LNN_WATCHDOG_START 0xCCCCUL
#define LNN_WATCHDOG_UNLOCK 0x5555UL
#define LNN_WATCHDOG_FEED 0xAAAAUL

/** @brief Start it; only a reset stops it. */
static inline void lnn_watchdog_start(void)
{
#ifdef LNN_IWDG
    LNN_IWDG_KEY       = LNN_WATCHDOG_START;
    LNN_IWDG_KEY       = LNN_WATCHDOG_UNLOCK;
    LNN_IWDG_PRESCALER = 4UL;    /* 32 kHz / 64 */
    LNN_IWDG_RELOAD    = 3999UL; /* / 4000 = 8 s; the oscillator is good to about a third on F4 and F7 */
#endif
}

static inline void lnn_watchdog_feed(void)
{
#ifdef LNN_IWDG
    LNN_IWDG_KEY = LNN_WATCHDOG_FEED;
#endif
}

#endif
