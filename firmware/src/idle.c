#include "idle.h"

#include "clock.h"
#include "core.h"
#include "uart.h"

_Static_assert(LNN_CORE_CLOCK_HZ / LNN_IDLE_TICKS_PER_S <= 0x1000000UL, "SysTick has 24 bits");

static volatile bool has_ticked;
static bool          is_running;

void SysTick_Handler(void)
{
    has_ticked = true;
}

void lnn_idle_start(void)
{
    LNN_SYSTICK_RELOAD = lnn_clock_core_hz() / LNN_IDLE_TICKS_PER_S - 1U;
    LNN_SYSTICK_VALUE  = 0U;
}

void lnn_idle_stop(void)
{
    LNN_SYSTICK_CONTROL = LNN_SYSTICK_CORE_CLOCK; /* it keeps its value */
    is_running          = false;
}

void lnn_idle_sleep(void)
{
    if (!is_running)
    {
        LNN_SYSTICK_CONTROL = LNN_SYSTICK_CORE_CLOCK | LNN_SYSTICK_INTERRUPT | LNN_SYSTICK_ENABLE;
        is_running          = true;
    }
    lnn_uart_release();
    /* Masked, so that a byte cannot come between the look into the ring and the sleep, which it ends all the same. */
    lnn_core_mask_interrupts();
    if (lnn_uart_is_empty())
    {
        lnn_core_sleep();
    }
    lnn_core_unmask_interrupts();
}

bool lnn_idle_has_ticked(void)
{
    const bool ticked = has_ticked;
    has_ticked        = false;
    return ticked;
}
