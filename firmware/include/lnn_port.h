/**
 * @file lnn_port.h
 * @brief What the protocol needs from the machine it runs on: a board (src/port.c) or the host (port/host).
 */
#ifndef LNN_PORT_H
#define LNN_PORT_H

#include <stdbool.h>
#include <stdint.h>

/** Bits of lnn_port_facts_t.flags. With any of the first four the core runs on the clock it started with. */
#define LNN_FLAG_OSCILLATOR (1U << 0)    /**< the oscillator that feeds the PLL did not start */
#define LNN_FLAG_PLL (1U << 1)           /**< the PLL did not lock */
#define LNN_FLAG_OVERDRIVE (1U << 2)     /**< over-drive or core voltage not ready */
#define LNN_FLAG_SWITCH (1U << 3)        /**< the clock switch failed */
#define LNN_FLAG_CYCLE_COUNTER (1U << 4) /**< the cycle counter runs */
#define LNN_FLAG_IMAGE_GOOD (1U << 5)    /**< code and constants in flash are those that were built */
#define LNN_FLAG_IMAGE_DAMAGED (1U << 6) /**< they are not */

/** Bits of lnn_port_facts_t.reset_cause, the same for every chip. */
#define LNN_RESET_POWER (1U << 0)           /**< power-on or brown-out */
#define LNN_RESET_PIN (1U << 1)             /**< the reset pin, which every reset pulls */
#define LNN_RESET_SOFTWARE (1U << 2)        /**< asked for by a program or a debugger */
#define LNN_RESET_WATCHDOG (1U << 3)        /**< the independent watchdog: the program hung, or stopped on a fault */
#define LNN_RESET_WINDOW_WATCHDOG (1U << 4) /**< the window watchdog */
#define LNN_RESET_LOW_POWER (1U << 5)       /**< a low-power mode that was not allowed */

#define LNN_PIDR_BYTES 8U
#define LNN_NAME_BYTES 32U

typedef struct
{
    uint32_t    flags;
    uint32_t    core_clock_hz;
    uint32_t    baud;
    uint32_t    reset_cause; /**< LNN_RESET_* */
    uint8_t     dwt_pidr[LNN_PIDR_BYTES];
    const char *board_name; /**< zero-terminated, cut after LNN_NAME_BYTES */
} lnn_port_facts_t;

typedef struct
{
    uint32_t rx_bytes;
    uint32_t uart_overruns;
    uint32_t rx_ring_overflows;
    uint32_t stack_free_bytes;
} lnn_port_counters_t;

/** @brief Accept bytes to send. */
void lnn_port_write(const uint8_t *bytes, uint32_t count);

/** @brief Send what was accepted: a block is whole. */
void lnn_port_flush(void);

/** @brief Cycle counter, modulo 2^32; constant where there is none. */
uint32_t lnn_port_cycles(void);

void lnn_port_get_facts(lnn_port_facts_t *facts);

void lnn_port_get_counters(lnn_port_counters_t *counters);

/** @brief Whether the divider comes within 2 % of a rate. */
bool lnn_port_can_baud(uint32_t baud);

/** @brief Finish sending, then switch; the old rate returns unless a request comes within 1 s. */
void lnn_port_try_baud(uint32_t baud);

/** @brief A valid request has come: the rate in use is good, and no timer may disturb what now runs. */
void lnn_port_begin_request(void);

#endif
