/**
 * @file port.h
 * @brief The board's side of lnn_port.h: start and the passing of time.
 */
#ifndef LNN_PORT_BOARD_H
#define LNN_PORT_BOARD_H

/** @brief Clock, UART, cycle counter, tick and watchdog. */
void lnn_port_start(void);

/** @brief A tick has passed: the program is alive. */
void lnn_port_tick(void);

#endif
