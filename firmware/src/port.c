#include "port.h"

#include "clock.h"
#include "cycles.h"
#include "idle.h"
#include "image.h"
#include "lnn_port.h"
#include "startup.h"
#include "uart.h"
#include "watchdog.h"

static struct
{
    uint32_t reset_cause;
    uint32_t image_flags;
    bool     has_cycles;
    uint32_t old_baud;   /* to return to */
    uint32_t ticks_left; /* until then; 0: the rate is good */
} port;

static uint32_t read_reset_cause(void)
{
#ifndef LNN_RCC_RESET_CAUSE
    return 0U; /* the chip does not tell */
#else
    const uint32_t flags = LNN_RCC_RESET_CAUSE;
    const uint32_t found = (((flags & LNN_RCC_RESET_CAUSE_POWER) != 0U) ? LNN_RESET_POWER : 0U)
                           | (((flags & LNN_RCC_RESET_CAUSE_PIN) != 0U) ? LNN_RESET_PIN : 0U)
                           | (((flags & LNN_RCC_RESET_CAUSE_SOFTWARE) != 0U) ? LNN_RESET_SOFTWARE : 0U)
                           | (((flags & LNN_RCC_RESET_CAUSE_WATCHDOG) != 0U) ? LNN_RESET_WATCHDOG : 0U)
                           | (((flags & LNN_RCC_RESET_CAUSE_WINDOW) != 0U) ? LNN_RESET_WINDOW_WATCHDOG : 0U)
                           | (((flags & LNN_RCC_RESET_CAUSE_LOW_POWER) != 0U) ? LNN_RESET_LOW_POWER : 0U);
    LNN_RCC_RESET_CAUSE |= LNN_RCC_RESET_CAUSE_CLEAR;
    return found;
#endif
}

void lnn_port_start(void)
{
    lnn_watchdog_start();
    port.reset_cause = read_reset_cause();
    lnn_clock_start();
    port.image_flags = lnn_image_flags();
    lnn_watchdog_feed();
    lnn_idle_start();
    port.has_cycles = lnn_cycles_start();
    lnn_uart_start(LNN_UART_BAUD);
}

void lnn_port_tick(void)
{
    lnn_watchdog_feed();
    if (port.ticks_left > 0U)
    {
        port.ticks_left--;
        if (port.ticks_left == 0U)
        {
            lnn_uart_set_baud(port.old_baud);
        }
    }
}

void lnn_port_write(const uint8_t *bytes, const uint32_t count)
{
    lnn_watchdog_feed(); /* a long reply at a low rate is no reason to reset */
    lnn_uart_write(bytes, count);
}

void lnn_port_flush(void)
{
    lnn_uart_flush();
}

uint32_t lnn_port_cycles(void)
{
    return lnn_cycles();
}

void lnn_port_get_facts(lnn_port_facts_t *facts)
{
    facts->flags         = lnn_clock_flags() | port.image_flags | (port.has_cycles ? LNN_FLAG_CYCLE_COUNTER : 0U);
    facts->core_clock_hz = lnn_clock_core_hz();
    facts->baud          = lnn_uart_baud();
    facts->reset_cause   = port.reset_cause;
    facts->board_name    = LNN_BOARD_NAME;
    for (uint32_t i = 0; i < LNN_PIDR_BYTES; i++)
    {
        facts->dwt_pidr[i] = LNN_CORE_COUNTS_CYCLES ? (uint8_t) LNN_DWT_PIDR(i) : 0U;
    }
}

void lnn_port_get_counters(lnn_port_counters_t *counters)
{
    const lnn_uart_counters_t uart = lnn_uart_counters();
    counters->rx_bytes             = uart.rx_bytes;
    counters->uart_overruns        = uart.overruns;
    counters->rx_ring_overflows    = uart.ring_overflows;
    counters->stack_free_bytes     = lnn_stack_free_bytes();
}

bool lnn_port_can_baud(const uint32_t baud)
{
    return lnn_uart_can_baud(baud);
}

void lnn_port_try_baud(const uint32_t baud)
{
    port.old_baud   = lnn_uart_baud();
    port.ticks_left = LNN_IDLE_TICKS_PER_S;
    lnn_uart_set_baud(baud);
}

void lnn_port_begin_request(void)
{
    lnn_idle_stop();
    lnn_uart_hold();
    lnn_watchdog_feed();
    port.ticks_left = 0U;
}
