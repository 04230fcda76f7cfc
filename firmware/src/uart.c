#include "uart.h"

#include "chip.h"
#include "clock.h"
#include "uart_mover.h"

#define PIN_ALTERNATE 2U
#define PIN_FAST 2U
#define PIN_PULL_UP 1U
#define LEAST_DIVIDER 16U /* with 16 samples a bit */
#define MOST_DIVIDER 0xFFFFU

static uint32_t rate; /* bits per second; 0 before the start */

static void set_field(volatile uint32_t *place, const uint32_t bits, const uint32_t at, const uint32_t value)
{
    const uint32_t mask = (1UL << bits) - 1U;
    *place              = (*place & ~(mask << (bits * at))) | (value << (bits * at));
}

static void start_pin(const uint32_t port, const uint32_t pin, const uint32_t function)
{
    LNN_RCC_GPIO_ENABLE |= 1UL << port;
    (void) LNN_RCC_GPIO_ENABLE; /* the clock is there before the next access */
    set_field(&LNN_GPIO_FUNCTION(port, pin), 4U, pin % 8U, function);
    set_field(&LNN_GPIO_SPEED(port), 2U, pin, PIN_FAST);
    set_field(&LNN_GPIO_PULL(port), 2U, pin, PIN_PULL_UP);
    set_field(&LNN_GPIO_MODE(port), 2U, pin, PIN_ALTERNATE);
}

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
    LNN_UART_CONTROL = 0U;
    LNN_UART_DIVIDER = divider(baud);
    LNN_UART_CONTROL =
        LNN_UART_CONTROL_ON | LNN_UART_CONTROL_RECEIVER | LNN_UART_CONTROL_TRANSMITTER | lnn_uart_interrupts();
    rate = baud;
}

void lnn_uart_start(const uint32_t baud)
{
#if LNN_UART_BUS == 1
    LNN_RCC_APB1_ENABLE |= 1UL << LNN_UART_ENABLE_BIT;
    (void) LNN_RCC_APB1_ENABLE;
#else
    LNN_RCC_APB2_ENABLE |= 1UL << LNN_UART_ENABLE_BIT;
    (void) LNN_RCC_APB2_ENABLE;
#endif
    start_pin(LNN_UART_TX_PORT, LNN_UART_TX_PIN, LNN_UART_TX_AF);
    start_pin(LNN_UART_RX_PORT, LNN_UART_RX_PIN, LNN_UART_RX_AF);
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
            LNN_UART_SEND = bytes[i];
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
