/* Pins of the STM32F1: four bits of mode and configuration each; the function is that of the pin. RM0008, GPIO. */
#include "uart_pins.h"

#include "chip.h"

#if LNN_FAMILY_F1

#define PIN_CONFIG(port, pin) LNN_REGISTER(LNN_GPIO_PORT(port) + 4UL * ((pin) / 8U))
#define PIN_LEVEL(port) LNN_REGISTER(LNN_GPIO_PORT(port) + 0x0CUL)
#define PIN_ALTERNATE 0xBUL /* output of the function, push-pull, 50 MHz */
#define PIN_PULLED 0x8UL    /* input, pulled to the level of the output register */
#define FIRST_PORT 2U       /* bit of port A in the clock enable register */

static void start_pin(const uint32_t port, const uint32_t pin, const uint32_t config)
{
    const uint32_t at = 4U * (pin % 8U);
    LNN_RCC_GPIO_ENABLE |= 1UL << (port + FIRST_PORT);
    (void) LNN_RCC_GPIO_ENABLE; /* the clock is there before the next access */
    PIN_LEVEL(port) |= 1UL << pin;
    PIN_CONFIG(port, pin) = (PIN_CONFIG(port, pin) & ~(0xFUL << at)) | (config << at);
}

void lnn_uart_start_pins(void)
{
    start_pin(LNN_UART_TX_PORT, LNN_UART_TX_PIN, PIN_ALTERNATE);
    start_pin(LNN_UART_RX_PORT, LNN_UART_RX_PIN, PIN_PULLED);
}

#endif
