/* Bytes by DMA. It goes round the ring; interrupts at the half, at the end and when the line falls idle tell how far.
 * Out it takes a block while the program waits with the next one: after a reply there is nothing else to do. */
#include "uart_dma.h"

#include "chip.h"
#include "clock.h"
#include "dma.h"
#include "uart.h"
#include "uart_mover.h"

#if LNN_UART_DMA

#define RING LNN_UART_RING_BYTES
#define BLOCK_BYTES 256U
#define REGION_BITS 10U
#define IN_CONTROL                                                                                          \
    (LNN_DMA_REQUEST(LNN_DMA_RX_REQUEST) | LNN_DMA_CIRCULAR | LNN_DMA_HALF_INTERRUPT | LNN_DMA_FULL_INTERRUPT)
#define OUT_CONTROL (LNN_DMA_REQUEST(LNN_DMA_TX_REQUEST) | LNN_DMA_TO_PERIPHERAL)

_Static_assert((RING & (RING - 1U)) == 0U, "indices run freely and are cut to the ring's size");

/* What the DMA reaches; the linker script puts it into a memory that it can. 2^REGION_BITS bytes, should it have to stay
 * uncached. */
static struct
{
    volatile uint8_t ring[RING];
    uint8_t          out[BLOCK_BYTES];
} buffers __attribute__((section(".dma"), aligned(LNN_DMA_CACHED ? (1 << REGION_BITS) : 4)));
_Static_assert(sizeof buffers <= 1UL << REGION_BITS, "one region covers the buffers");

static struct
{
    volatile uint32_t head; /* moved by interrupts only, all of one priority */
    uint32_t          tail; /* moved by the program only */
    volatile uint32_t overruns;
    uint32_t          ring_overflows;
    uint32_t          filled; /* bytes of the block that wait to be sent */
    bool              has_failed;
} uart;

void lnn_uart_start_mover(void)
{
#if LNN_DMA_CACHED
    lnn_core_uncache((uint32_t) &buffers, REGION_BITS);
#endif
    lnn_dma_connect(LNN_DMA_RX_STREAM, LNN_DMA_RX_REQUEST);
    lnn_dma_connect(LNN_DMA_TX_STREAM, LNN_DMA_TX_REQUEST);
    lnn_dma_start(LNN_DMA_RX_STREAM, &LNN_UART_RECEIVED, (const void *) buffers.ring, RING, IN_CONTROL);
    LNN_UART_CONTROL3 =
        LNN_UART_CONTROL3_ERROR | LNN_UART_CONTROL3_DMA_RECEIVE | LNN_UART_CONTROL3_DMA_SEND;
    LNN_NVIC_ENABLE(LNN_DMA_RX_IRQ) = 1UL << (LNN_DMA_RX_IRQ % 32U);
}

uint32_t lnn_uart_interrupts(void)
{
    return LNN_UART_CONTROL_IDLE;
}

/* Half and end are told, so it has moved by less than a ring since the last time. */
static void follow(void)
{
    const uint32_t at = RING - lnn_dma_left(LNN_DMA_RX_STREAM);
    uart.head += (at - uart.head) % RING;
}

void Dma_Handler(void)
{
    lnn_dma_clear(LNN_DMA_RX_STREAM);
    follow();
}

void Uart_Handler(void)
{
    const uint32_t status = LNN_UART_STATUS;
    if ((status & LNN_UART_STATUS_OVERRUN) != 0U)
    {
        uart.overruns++;
    }
#if LNN_UART_CLASSIC
    (void) LNN_UART_RECEIVED; /* after the status: clears them all */
#else
    LNN_UART_CLEAR = LNN_UART_STATUS_IDLE_ERRORS;
#endif
    follow();
}

bool lnn_uart_is_empty(void)
{
    return uart.head == uart.tail;
}

uint32_t lnn_uart_unread(const volatile uint8_t **bytes)
{
    const uint32_t unread = uart.head - uart.tail;
    const uint32_t at     = uart.tail % RING;
    if (unread > RING) /* the DMA went over bytes that were not read: none of them can be trusted */
    {
        uart.ring_overflows += unread;
        uart.tail += unread;
        return 0U;
    }
    *bytes = &buffers.ring[at];
    return (unread < RING - at) ? unread : (RING - at);
}

void lnn_uart_drop(const uint32_t count)
{
    uart.tail += count;
}

/* As long as bytes leave, however slowly. */
void lnn_uart_drain(void)
{
    uint32_t last  = 0;
    uint32_t left  = lnn_dma_left(LNN_DMA_TX_STREAM);
    uint32_t polls = 0;
    while ((left != 0U) && (polls < lnn_clock_core_hz() / 16U))
    {
        polls = (left == last) ? (polls + 1U) : 0U;
        last  = left;
        left  = lnn_dma_left(LNN_DMA_TX_STREAM);
    }
}

void lnn_uart_flush(void)
{
    if (uart.filled == 0U)
    {
        return;
    }
    LNN_UART_CLEAR_SENT();
    lnn_dma_start(LNN_DMA_TX_STREAM, &LNN_UART_SEND, buffers.out, uart.filled, OUT_CONTROL);
    uart.filled = 0U;
}

void lnn_uart_write(const uint8_t *bytes, const uint32_t count)
{
    if (uart.has_failed)
    {
        lnn_uart_write_polled(bytes, count);
        return;
    }
    for (uint32_t sent = 0; (lnn_uart_baud() != 0U) && (sent < count);)
    {
        if (uart.filled == 0U)
        {
            lnn_uart_drain(); /* the DMA may still read the block before */
        }
        uint8_t *const to   = &buffers.out[uart.filled];
        const uint32_t room = BLOCK_BYTES - uart.filled;
        const uint32_t most = (count - sent < room) ? (count - sent) : room;
        for (uint32_t i = 0; i < most; i++)
        {
            to[i] = bytes[sent + i];
        }
        sent += most;
        uart.filled += most;
        if (uart.filled == BLOCK_BYTES)
        {
            lnn_uart_flush();
        }
    }
}

void lnn_uart_hold(void)
{
    LNN_NVIC_DISABLE(LNN_UART_IRQ) = 1UL << (LNN_UART_IRQ % 32U);
}

void lnn_uart_release(void)
{
    LNN_NVIC_ENABLE(LNN_UART_IRQ) = 1UL << (LNN_UART_IRQ % 32U);
}

void lnn_uart_fall_back(void)
{
    LNN_NVIC_DISABLE(LNN_UART_IRQ)   = 1UL << (LNN_UART_IRQ % 32U);
    LNN_NVIC_DISABLE(LNN_DMA_RX_IRQ) = 1UL << (LNN_DMA_RX_IRQ % 32U);
    if (lnn_uart_baud() != 0U)
    {
        lnn_dma_stop(LNN_DMA_TX_STREAM);
        LNN_UART_CONTROL3 = 0U;
    }
    uart.filled     = 0U; /* the reply that was under way has no end */
    uart.has_failed = true;
}

lnn_uart_counters_t lnn_uart_counters(void)
{
    return (lnn_uart_counters_t) {uart.head, uart.overruns, uart.ring_overflows};
}

#endif
