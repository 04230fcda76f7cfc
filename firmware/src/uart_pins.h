/**
 * @file uart_pins.h
 * @brief The pins of the UART. A file for each kind of port: uart_pins.c, uart_pins_f1.c; chips of LNN_CLOCK_FIXED have none.
 */
#ifndef LNN_UART_PINS_H
#define LNN_UART_PINS_H

/** @brief Lead the UART to its pins. */
void lnn_uart_start_pins(void);

#endif
