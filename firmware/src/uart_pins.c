/* Pins of all families but the STM32F1: a mode, a function, a speed and a pull of each pin. */
#include "uart_pins.h"

#include "chip.h"

#if !LNN_CLOCK_FIXED && !LNN_FAMILY_F1

#define PIN_ALTERNATE 2U
#define PIN_FAST 2U
#define PIN_PULL_UP 1U

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

void lnn_uart_start_pins(void)
{
    start_pin(LNN_UART_TX_PORT, LNN_UART_TX_PIN, LNN_UART_TX_AF);
    start_pin(LNN_UART_RX_PORT, LNN_UART_RX_PIN, LNN_UART_RX_AF);
}

#endif
