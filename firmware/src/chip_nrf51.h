/**
 * @file chip_nrf51.h
 * @brief Nordic's nRF51 as QEMU's micro:bit has it: its UART, a fixed clock, no watchdog.
 *
 * nRF51 Series Reference Manual, 29 UART. QEMU stands for Armv6-M here; the chip itself has not run this.
 */
#ifndef LNN_CHIP_NRF51_H
#define LNN_CHIP_NRF51_H

#define LNN_CHIP_UART 1 /* not ST's: what uart.c and uart_interrupt.c need of it is below */

#define LNN_NRF_START_RECEIVER LNN_REGISTER(LNN_UART_BASE + 0x000UL)
#define LNN_NRF_START_TRANSMITTER LNN_REGISTER(LNN_UART_BASE + 0x008UL)
#define LNN_NRF_RECEIVED LNN_REGISTER(LNN_UART_BASE + 0x108UL)
#define LNN_NRF_SENT LNN_REGISTER(LNN_UART_BASE + 0x11CUL)
#define LNN_NRF_INTERRUPTS LNN_REGISTER(LNN_UART_BASE + 0x304UL) /**< to enable */
#define LNN_NRF_ERRORS LNN_REGISTER(LNN_UART_BASE + 0x480UL)
#define LNN_NRF_ERRORS_OVERRUN (1UL << 0) /**< written back, it is taken back */
#define LNN_NRF_ENABLE LNN_REGISTER(LNN_UART_BASE + 0x500UL)
#define LNN_NRF_ENABLE_ON 4UL
#define LNN_NRF_DATA_IN LNN_REGISTER(LNN_UART_BASE + 0x518UL)
#define LNN_NRF_DATA_OUT LNN_REGISTER(LNN_UART_BASE + 0x51CUL)
#define LNN_NRF_RATE LNN_REGISTER(LNN_UART_BASE + 0x524UL) /**< baud * 2^32 / 16 MHz, the low 12 bits 0 */

#define LNN_UART_STATUS_OVERRUN (1UL << 3)
#define LNN_UART_STATUS_RECEIVED (1UL << 5)
#define LNN_UART_STATUS_SENT (1UL << 6)
#define LNN_UART_STATUS_EMPTY (1UL << 7)
#define LNN_UART_CONTROL_ON (1UL << 0)
#define LNN_UART_CONTROL_TRANSMITTER 0UL
#define LNN_UART_CONTROL_RECEIVER 0UL
#define LNN_UART_CONTROL_INTERRUPT (1UL << 2) /**< of LNN_NRF_INTERRUPTS */

static inline uint32_t lnn_nrf_status(void)
{
    return (((LNN_NRF_ERRORS & LNN_NRF_ERRORS_OVERRUN) != 0U) ? LNN_UART_STATUS_OVERRUN : 0U) |
           ((LNN_NRF_RECEIVED != 0U) ? LNN_UART_STATUS_RECEIVED : 0U) |
           ((LNN_NRF_SENT != 0U) ? (LNN_UART_STATUS_EMPTY | LNN_UART_STATUS_SENT) : 0U);
}

static inline void lnn_nrf_put(const uint8_t byte)
{
    LNN_NRF_SENT     = 0U;
    LNN_NRF_DATA_OUT = byte;
}

static inline void lnn_nrf_control(const uint32_t bits)
{
    if (bits == 0U)
    {
        LNN_NRF_ENABLE = 0U;
        return;
    }
    LNN_NRF_ENABLE            = LNN_NRF_ENABLE_ON;
    LNN_NRF_START_RECEIVER    = 1U;
    LNN_NRF_START_TRANSMITTER = 1U;
    LNN_NRF_SENT              = 1U; /* nothing is on its way */
    LNN_NRF_INTERRUPTS        = bits & LNN_UART_CONTROL_INTERRUPT;
}

#define LNN_UART_STATUS lnn_nrf_status()
#define LNN_UART_RECEIVED LNN_NRF_DATA_IN
#define LNN_UART_PUT(byte) lnn_nrf_put(byte)
#define LNN_UART_SET_CONTROL(bits) lnn_nrf_control(bits)
#define LNN_UART_SET_DIVIDER(divider) (LNN_NRF_RATE = ((0x80000000UL / (divider) * 2UL) + 0x800UL) & 0xFFFFF000UL)
#define LNN_UART_TAKE_INTERRUPT() (LNN_NRF_RECEIVED = 0U)
#define LNN_UART_CLEAR_OVERRUN() (LNN_NRF_ERRORS = LNN_NRF_ERRORS_OVERRUN)

#endif
