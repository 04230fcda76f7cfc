/**
 * @file fault.h
 * @brief Faults: one FAULT frame to the host, then nothing until the watchdog resets the board.
 */
#ifndef LNN_FAULT_H
#define LNN_FAULT_H

#include <stdint.h>

/** @brief Exception handler; it looks at the stack and does not trust it. */
void Fault_Handler(void);

/** @brief Report and stop. @param[in] pc, lr, xpsr as the core pushed them, 0 if there is no such frame; sp as it was */
_Noreturn void lnn_fault_report(uint32_t pc, uint32_t lr, uint32_t xpsr, uint32_t sp);

#endif
