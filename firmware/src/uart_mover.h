/**
 * @file uart_mover.h
 * @brief Between uart.c and the file that moves the bytes: uart_dma.c or uart_interrupt.c.
 */
#ifndef LNN_UART_MOVER_H
#define LNN_UART_MOVER_H

#include <stdbool.h>
#include <stdint.h>

/* uart.c */

/** @brief Wait for a flag of the status register, 0.3 s at most; false if it does not come. */
bool lnn_uart_wait_for(uint32_t status);

/** @brief Send byte by byte; bytes are dropped before lnn_uart_start. */
void lnn_uart_write_polled(const uint8_t *bytes, uint32_t count);

/* uart_dma.c or uart_interrupt.c */

/** @brief Once, after pins and clock: ring, DMA, interrupts of the controller. */
void lnn_uart_start_mover(void);

/** @brief Bits of LNN_UART_CONTROL that enable its interrupt. */
uint32_t lnn_uart_interrupts(void);

/** @brief Wait until the last accepted byte is with the UART. */
void lnn_uart_drain(void);

#endif
