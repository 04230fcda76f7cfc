/**
 * @file chip.h
 * @brief Registers that every family has, each at its own place: chip_*.h. What only one family's clock has is in clock_*.c.
 */
#ifndef LNN_CHIP_H
#define LNN_CHIP_H

#include "core.h"
#include "lnn_board.h"

#if LNN_FAMILY_F4 + LNN_FAMILY_F7 + LNN_FAMILY_L4 + LNN_FAMILY_H7 + LNN_FAMILY_G0 + LNN_FAMILY_F1 + LNN_FAMILY_U5 +     \
        LNN_FAMILY_L5 + LNN_FAMILY_MPS2 + LNN_FAMILY_NRF51 !=                                                          \
    1
#error "lnn_board.h must name exactly one family"
#endif

#if LNN_FAMILY_G0
#include "chip_g0.h"
#elif LNN_FAMILY_F1
#include "chip_f1.h"
#elif LNN_FAMILY_U5
#include "chip_u5.h"
#elif LNN_FAMILY_L5
#include "chip_l5.h"
#elif LNN_FAMILY_MPS2
#include "chip_mps2.h"
#elif LNN_FAMILY_NRF51
#include "chip_nrf51.h"
#elif LNN_FAMILY_F4 || LNN_FAMILY_F7
#include "chip_f4_f7.h"
#elif LNN_FAMILY_L4
#include "chip_l4.h"
#elif LNN_FAMILY_H7
#include "chip_h7.h"
#endif

#define LNN_RCC_CONTROL LNN_REGISTER(LNN_RCC)

#define LNN_GPIO_PORT(port) (LNN_GPIO + 0x400UL * (port))
#define LNN_GPIO_MODE(port) LNN_REGISTER(LNN_GPIO_PORT(port) + 0x00UL)
#define LNN_GPIO_SPEED(port) LNN_REGISTER(LNN_GPIO_PORT(port) + 0x08UL)
#define LNN_GPIO_PULL(port) LNN_REGISTER(LNN_GPIO_PORT(port) + 0x0CUL)
#define LNN_GPIO_FUNCTION(port, pin) LNN_REGISTER(LNN_GPIO_PORT(port) + 0x20UL + 4UL * ((pin) / 8U))

#define LNN_IWDG_KEY LNN_REGISTER(LNN_IWDG + 0x00UL)
#define LNN_IWDG_PRESCALER LNN_REGISTER(LNN_IWDG + 0x04UL)
#define LNN_IWDG_RELOAD LNN_REGISTER(LNN_IWDG + 0x08UL)

#ifndef LNN_CHIP_UART
#if LNN_UART_CLASSIC
#define LNN_UART_STATUS LNN_REGISTER(LNN_UART_BASE + 0x00UL)
#define LNN_UART_RECEIVED LNN_REGISTER(LNN_UART_BASE + 0x04UL)
#define LNN_UART_SEND LNN_REGISTER(LNN_UART_BASE + 0x04UL)
#define LNN_UART_DIVIDER LNN_REGISTER(LNN_UART_BASE + 0x08UL)
#define LNN_UART_CONTROL LNN_REGISTER(LNN_UART_BASE + 0x0CUL)
#define LNN_UART_CONTROL3 LNN_REGISTER(LNN_UART_BASE + 0x14UL)
#define LNN_UART_CONTROL_ON (1UL << 13)
#else
#define LNN_UART_STATUS LNN_REGISTER(LNN_UART_BASE + 0x1CUL)
#define LNN_UART_CLEAR LNN_REGISTER(LNN_UART_BASE + 0x20UL)
#define LNN_UART_RECEIVED LNN_REGISTER(LNN_UART_BASE + 0x24UL)
#define LNN_UART_SEND LNN_REGISTER(LNN_UART_BASE + 0x28UL)
#define LNN_UART_DIVIDER LNN_REGISTER(LNN_UART_BASE + 0x0CUL)
#define LNN_UART_CONTROL LNN_REGISTER(LNN_UART_BASE + 0x00UL)
#define LNN_UART_CONTROL3 LNN_REGISTER(LNN_UART_BASE + 0x08UL)
#define LNN_UART_CONTROL_ON (1UL << 0)
#endif
#if LNN_UART_CLASSIC /* a byte from the DMA does not take the flag back, as one from the program does */
#define LNN_UART_CLEAR_SENT() (LNN_UART_STATUS = ~LNN_UART_STATUS_SENT)
#else
#define LNN_UART_CLEAR_SENT() (LNN_UART_CLEAR = LNN_UART_STATUS_SENT)
#endif
#define LNN_UART_PUT(byte) (LNN_UART_SEND = (byte))
#define LNN_UART_SET_CONTROL(bits) (LNN_UART_CONTROL = (bits))
#define LNN_UART_SET_DIVIDER(divider) (LNN_UART_DIVIDER = (divider))
#define LNN_UART_TAKE_INTERRUPT() ((void) 0) /* reading the byte takes it back */
#if LNN_UART_CLASSIC                         /* as reading the byte after the status does */
#define LNN_UART_CLEAR_OVERRUN() ((void) 0)
#else
#define LNN_UART_CLEAR_OVERRUN() (LNN_UART_CLEAR = LNN_UART_STATUS_OVERRUN)
#endif
#define LNN_UART_CONTROL_RECEIVER (1UL << 2)
#define LNN_UART_CONTROL_TRANSMITTER (1UL << 3)
#define LNN_UART_CONTROL_IDLE (1UL << 4)      /**< interrupt when the line falls idle */
#define LNN_UART_CONTROL_INTERRUPT (1UL << 5) /**< on a received byte and on an overrun */
#define LNN_UART_CONTROL3_ERROR (1UL << 0)    /**< interrupt on an overrun while the DMA receives */
#define LNN_UART_CONTROL3_DMA_RECEIVE (1UL << 6)
#define LNN_UART_CONTROL3_DMA_SEND (1UL << 7)
#define LNN_UART_STATUS_OVERRUN (1UL << 3)
#define LNN_UART_STATUS_IDLE_ERRORS 0x1FUL /**< idle, overrun, noise, framing, parity: what interrupts beside the DMA */
#define LNN_UART_STATUS_RECEIVED (1UL << 5)
#define LNN_UART_STATUS_SENT (1UL << 6)  /**< the last stop bit has left */
#define LNN_UART_STATUS_EMPTY (1UL << 7) /**< takes the next byte */
#endif

#endif
