/**
 * @file uart.h
 * @brief The board's UART, 8N1: received into a ring, sent in blocks.
 *
 * uart.c holds what both ways of moving bytes share. uart_dma.c moves them by DMA, uart_interrupt.c one by one.
 */
#ifndef LNN_UART_H
#define LNN_UART_H

#include <stdbool.h>
#include <stdint.h>

#define LNN_UART_RING_BYTES 512U /**< twice what comes until the program is told; nothing is due while a request is answered */

/** @brief Since start. */
typedef struct
{
    uint32_t rx_bytes;
    uint32_t overruns;       /**< bytes lost because interrupt or DMA came late */
    uint32_t ring_overflows; /**< bytes lost because the program came late */
} lnn_uart_counters_t;

/** @brief Pins, clock, rate, interrupts. lnn_clock_start comes first. */
void lnn_uart_start(uint32_t baud);

/** @brief Point to received bytes, the oldest first; return how many lie there in a row, 0 if there are none. */
uint32_t lnn_uart_unread(const volatile uint8_t **bytes);

/** @brief Give back the room of the oldest of them. */
void lnn_uart_drop(uint32_t count);

bool lnn_uart_is_empty(void);

/** @brief Accept bytes to send; they are dropped before lnn_uart_start, and when the transmitter does not move. */
void lnn_uart_write(const uint8_t *bytes, uint32_t count);

/** @brief Send what was accepted. */
void lnn_uart_flush(void);

/** @brief Hold back the interrupt of an idle line, which would be counted into a step. */
void lnn_uart_hold(void);

/** @brief Let it come again. */
void lnn_uart_release(void);

/** @brief Receive nothing more and send by polling from now on: for a program that has failed. */
void lnn_uart_fall_back(void);

/** @brief Whether the divider comes within 2 % of a rate. */
bool lnn_uart_can_baud(uint32_t baud);

/** @brief Change to a possible rate once all has been sent. */
void lnn_uart_set_baud(uint32_t baud);

/** @brief Rate that was asked for last. */
uint32_t lnn_uart_baud(void);

lnn_uart_counters_t lnn_uart_counters(void);

void Uart_Handler(void);

#endif
