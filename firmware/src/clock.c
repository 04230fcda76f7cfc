#include "clock.h"

#include "lnn_port.h"

#define IS_PRESCALER(div) ((div) == 1U || (div) == 2U || (div) == 4U || (div) == 8U || (div) == 16U)
_Static_assert(IS_PRESCALER(LNN_AHB_DIV) && IS_PRESCALER(LNN_APB1_DIV) && IS_PRESCALER(LNN_APB2_DIV),
               "clock.h knows the prescalers 1, 2, 4, 8 and 16");

#define APB_DIV (LNN_UART_BUS == 1 ? LNN_APB1_DIV : LNN_APB2_DIV)

static struct
{
    uint32_t flags;
    uint32_t core_hz;
    uint32_t uart_hz;
} clock;

bool lnn_clock_wait(const volatile uint32_t *place, const uint32_t mask, const uint32_t value)
{
    /* Five cycles or more each. */
    for (uint32_t polls = 0; polls < LNN_RESET_CLOCK_HZ / 100U; polls++)
    {
        if ((*place & mask) == value)
        {
            return true;
        }
    }
    return false;
}

void lnn_clock_start(void)
{
    clock.flags   = lnn_clock_run_pll();
    clock.core_hz = LNN_CORE_CLOCK_HZ;
    clock.uart_hz = LNN_CORE_CLOCK_HZ / LNN_AHB_DIV / APB_DIV;
    if (clock.flags != 0U)
    {
        lnn_clock_run_reset();
        clock.core_hz = LNN_RESET_CLOCK_HZ;
        clock.uart_hz = LNN_RESET_CLOCK_HZ;
    }
}

uint32_t lnn_clock_flags(void)
{
    return clock.flags;
}

uint32_t lnn_clock_core_hz(void)
{
    return clock.core_hz;
}

uint32_t lnn_clock_uart_hz(void)
{
    return clock.uart_hz;
}
