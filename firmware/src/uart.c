#include "uart.h"

#include "chip.h"
#include "clock.h"
#include "uart_mover.h"
#include "uart_pins.h"

#define LEAST_DIVIDER 16U /* with 16 samples a bit */
#define MOST_DIVIDER 0xFFFFU

static uint32_t rate; /* bits per second; 0 before the start */

static uint32_t divider(const uint32_t baud)
{
    return (lnn_clock_uart_hz() + baud / 2U) / baud;
}

bool lnn_uart_wait_for(const uint32_t status)
{
    /* Five cycles or more each: 0.3 s, longer than any frame that the divider can make. */
    for (uint32_t polls = 0; polls < lnn_clock_core_hz() / 16U; polls++)
    {
        if ((LNN_UART_STATUS & status) != 0U)
        {
            return true;
        }
    }
    return false;
}

static void apply_baud(const uint32_t baud)
{
    LNN_UART_SET_CONTROL(0U);
    LNN_UART_SET_DIVIDER(divider(baud));
    LNN_UART_SET_CONTROL(LNN_UART_CONTROL_ON | LNN_UART_CONTROL_RECEIVER | LNN_UART_CONTROL_TRANSMITTER |
                         lnn_uart_interrupts());
    rate = baud;
}

void lnn_uart_start(const uint32_t baud)
{
#if !LNN_CLOCK_FIXED
#if LNN_UART_BUS == 1
    LNN_RCC_APB1_ENABLE |= 1UL << LNN_UART_ENABLE_BIT;
    (void) LNN_RCC_APB1_ENABLE;
#else
    LNN_RCC_APB2_ENABLE |= 1UL << LNN_UART_ENABLE_BIT;
    (void) LNN_RCC_APB2_ENABLE;
#endif
    lnn_uart_start_pins();
#endif
    lnn_uart_start_mover();
    apply_baud(baud);
    LNN_NVIC_ENABLE(LNN_UART_IRQ) = 1UL << (LNN_UART_IRQ % 32U);
}

void lnn_uart_write_polled(const uint8_t *bytes, const uint32_t count)
{
    for (uint32_t i = 0; (rate != 0U) && (i < count); i++)
    {
        if (lnn_uart_wait_for(LNN_UART_STATUS_EMPTY))
        {
            LNN_UART_PUT(bytes[i]);
        }
    }
}

bool lnn_uart_can_baud(const uint32_t baud)
{
    if ((baud == 0U) || (baud > lnn_clock_uart_hz() / LEAST_DIVIDER) || (divider(baud) > MOST_DIVIDER))
    {
        return false;
    }
    const uint32_t clock = lnn_clock_uart_hz();
    const uint32_t exact = baud * divider(baud); /* the clock at which the rate would be right */
    return ((exact > clock) ? (exact - clock) : (clock - exact)) <= exact / 50U;
}

void lnn_uart_set_baud(const uint32_t baud)
{
    lnn_uart_drain();
    (void) lnn_uart_wait_for(LNN_UART_STATUS_SENT);
    apply_baud(baud);
}

uint32_t lnn_uart_baud(void)
{
    return rate;
}
