/**
 * @file startup.h
 * @brief From reset to main, and the stack that it prepared.
 */
#ifndef LNN_STARTUP_H
#define LNN_STARTUP_H

#include <stdint.h>

/* From the linker script, 8-aligned; _stack_guard 2^LNN_STACK_GUARD_BITS. */
extern uint32_t _stack_guard[], _stack_limit[], _stack_top[], _data_load[], _data_start[], _data_end[], _bss_start[],
    _bss_end[], _image_start[], _image_end[];

#define LNN_STACK_GUARD_BITS 5U

void Reset_Handler(void);

/** @brief Bytes of the stack that nothing has written to since reset. */
uint32_t lnn_stack_free_bytes(void);

int main(void);

#endif
