#include "idle.h"

#include "clock.h"
#include "core.h"
#include "uart.h"

_Static_assert(LNN_CORE_CLOCK_HZ / LNN_IDLE_TICKS_PER_S <= 0x1000000UL, "SysTick has 24 bits");

static volatile bool ticked;

void SysTick_Handler(void)
{
    ticked = true;
}

void lnn_idle_start(void)
{
    LNN_SYSTICK_RELOAD = lnn_clock_core_hz() / LNN_IDLE_TICKS_PER_S - 1U;
    LNN_SYSTICK_VALUE  = 0U;
}

bool lnn_idle_sleep(void)
{
    /* Masked, so that a byte cannot come between the look into the ring and the sleep, which it ends all the same. */
    lnn_core_mask_interrupts();
    if (lnn_uart_is_empty())
    {
        LNN_SYSTICK_CONTROL = LNN_SYSTICK_CORE_CLOCK | LNN_SYSTICK_INTERRUPT | LNN_SYSTICK_ENABLE;
        lnn_core_sleep();
        LNN_SYSTICK_CONTROL = LNN_SYSTICK_CORE_CLOCK; /* stopped, it keeps its value: sleeps of less than a tick add up */
    }
    lnn_core_unmask_interrupts();
    const bool has_ticked = ticked;
    ticked                = false;
    return has_ticked;
}
