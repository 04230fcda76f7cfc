/**
 * @file uart.h
 * @brief The board's UART, 8N1: received by interrupt into a ring, sent by polling.
 */
#ifndef LNN_UART_H
#define LNN_UART_H

#include <stdbool.h>
#include <stdint.h>

/** @brief Since start. */
typedef struct
{
    uint32_t rx_bytes;
    uint32_t overruns;       /**< bytes lost because the interrupt came late */
    uint32_t ring_overflows; /**< bytes lost because the program came late */
} lnn_uart_counters_t;

/** @brief Pins, clock, rate, interrupt. lnn_clock_start comes first. */
void lnn_uart_start(uint32_t baud);

/** @brief Take the oldest received byte; false if there is none. */
bool lnn_uart_take(uint8_t *byte);

bool lnn_uart_is_empty(void);

/** @brief Send; bytes are dropped before lnn_uart_start, and when the transmitter does not move. */
void lnn_uart_write(const uint8_t *bytes, uint32_t count);

/** @brief Receive nothing more; sending goes on. */
void lnn_uart_deafen(void);

/** @brief Whether the divider comes within 2 % of a rate. */
bool lnn_uart_can_baud(uint32_t baud);

/** @brief Change to a possible rate once all has been sent. */
void lnn_uart_set_baud(uint32_t baud);

/** @brief Rate that was asked for last. */
uint32_t lnn_uart_baud(void);

lnn_uart_counters_t lnn_uart_counters(void);

void Uart_Handler(void);

#endif
