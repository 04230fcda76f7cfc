/* Bytes by interrupt: for boards without a DMA that reaches the UART, and for emulators that have none. */
#include "chip.h"
#include "uart.h"
#include "uart_mover.h"

#if !LNN_UART_DMA

_Static_assert((LNN_UART_RING_BYTES & (LNN_UART_RING_BYTES - 1U)) == 0U,
               "indices run freely and are cut to the ring's size");

static struct
{
    volatile uint8_t  ring[LNN_UART_RING_BYTES];
    volatile uint32_t head; /* moved by the interrupt only */
    volatile uint32_t tail; /* moved by the program only */
    volatile uint32_t overruns;
    volatile uint32_t ring_overflows;
} uart;

void lnn_uart_start_mover(void)
{
    /* The ring is empty, and the interrupt is enabled with the UART's. */
}

uint32_t lnn_uart_interrupts(void)
{
    return LNN_UART_CONTROL_INTERRUPT;
}

bool lnn_uart_is_empty(void)
{
    return uart.head == uart.tail;
}

uint32_t lnn_uart_unread(const volatile uint8_t **bytes)
{
    const uint32_t unread = uart.head - uart.tail;
    const uint32_t at     = uart.tail % LNN_UART_RING_BYTES;
    *bytes                = &uart.ring[at];
    return (unread < LNN_UART_RING_BYTES - at) ? unread : (LNN_UART_RING_BYTES - at);
}

void lnn_uart_drop(const uint32_t count)
{
    uart.tail += count;
}

void lnn_uart_write(const uint8_t *bytes, const uint32_t count)
{
    lnn_uart_write_polled(bytes, count);
}

void lnn_uart_flush(void)
{
    /* All has been sent. */
}

void lnn_uart_drain(void)
{
    /* All has been sent. */
}

void lnn_uart_hold(void)
{
    /* A byte that comes during a step has to be taken at once. */
}

void lnn_uart_release(void)
{
}

void lnn_uart_fall_back(void)
{
    LNN_NVIC_DISABLE(LNN_UART_IRQ) = 1UL << (LNN_UART_IRQ % 32U);
}

lnn_uart_counters_t lnn_uart_counters(void)
{
    const uint32_t head = uart.head;
    return (lnn_uart_counters_t) {head + uart.ring_overflows, uart.overruns, uart.ring_overflows};
}

void Uart_Handler(void)
{
    const uint32_t status = LNN_UART_STATUS;
    LNN_UART_TAKE_INTERRUPT();
    const uint8_t  byte   = (uint8_t) LNN_UART_RECEIVED; /* F4: reading this after the status clears the overrun */
    const uint32_t head   = uart.head;
    if ((status & LNN_UART_STATUS_OVERRUN) != 0U)
    {
        uart.overruns++;
        LNN_UART_CLEAR_OVERRUN();
    }
    if ((status & LNN_UART_STATUS_RECEIVED) == 0U)
    {
        return;
    }
    if (head - uart.tail == LNN_UART_RING_BYTES)
    {
        uart.ring_overflows++;
        return;
    }
    uart.ring[head % LNN_UART_RING_BYTES] = byte;
    uart.head                             = head + 1U;
}

#endif
