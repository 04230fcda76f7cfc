/**
 * @file chip_mps2.h
 * @brief Arm's MPS2 and MPS3 images as QEMU has them: a CMSDK UART, no clock tree, no pins, no watchdog.
 *
 * Arm Cortex-M System Design Kit TRM (DDI 0479), 4.3 APB UART.
 */
#ifndef LNN_CHIP_MPS2_H
#define LNN_CHIP_MPS2_H

#define LNN_CHIP_UART 1 /* not ST's: what uart.c and uart_interrupt.c need of it is below */

#define LNN_CMSDK_DATA LNN_REGISTER(LNN_UART_BASE + 0x00UL)
#define LNN_CMSDK_STATE LNN_REGISTER(LNN_UART_BASE + 0x04UL)
#define LNN_CMSDK_STATE_SENDING (1UL << 0)  /**< the place of the next byte is taken */
#define LNN_CMSDK_STATE_RECEIVED (1UL << 1)
#define LNN_CMSDK_STATE_OVERRUN (1UL << 3)  /**< written back, it is taken back */
#define LNN_CMSDK_CONTROL LNN_REGISTER(LNN_UART_BASE + 0x08UL)
#define LNN_CMSDK_INTERRUPT LNN_REGISTER(LNN_UART_BASE + 0x0CUL)
#define LNN_CMSDK_INTERRUPT_RECEIVED (1UL << 1)
#define LNN_CMSDK_DIVIDER LNN_REGISTER(LNN_UART_BASE + 0x10UL)

#define LNN_UART_STATUS_OVERRUN (1UL << 3)
#define LNN_UART_STATUS_RECEIVED (1UL << 5)
#define LNN_UART_STATUS_SENT (1UL << 6)
#define LNN_UART_STATUS_EMPTY (1UL << 7)
#define LNN_UART_CONTROL_ON 0UL
#define LNN_UART_CONTROL_TRANSMITTER (1UL << 0)
#define LNN_UART_CONTROL_RECEIVER (1UL << 1)
#define LNN_UART_CONTROL_INTERRUPT (1UL << 3)

static inline uint32_t lnn_cmsdk_status(void)
{
    const uint32_t state = LNN_CMSDK_STATE;
    return (((state & LNN_CMSDK_STATE_OVERRUN) != 0U) ? LNN_UART_STATUS_OVERRUN : 0U) |
           (((state & LNN_CMSDK_STATE_RECEIVED) != 0U) ? LNN_UART_STATUS_RECEIVED : 0U) |
           (((state & LNN_CMSDK_STATE_SENDING) != 0U) ? 0U : (LNN_UART_STATUS_EMPTY | LNN_UART_STATUS_SENT));
}

#define LNN_UART_STATUS lnn_cmsdk_status()
#define LNN_UART_RECEIVED LNN_CMSDK_DATA
#define LNN_UART_PUT(byte) (LNN_CMSDK_DATA = (byte))
#define LNN_UART_SET_CONTROL(bits) (LNN_CMSDK_CONTROL = (bits))
#define LNN_UART_SET_DIVIDER(divider) (LNN_CMSDK_DIVIDER = (divider))
#define LNN_UART_TAKE_INTERRUPT() (LNN_CMSDK_INTERRUPT = LNN_CMSDK_INTERRUPT_RECEIVED)
#define LNN_UART_CLEAR_OVERRUN() (LNN_CMSDK_STATE = LNN_CMSDK_STATE_OVERRUN)

#endif
