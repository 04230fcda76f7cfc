/* Clock of STM32F1: HSE, halved or not, or half of HSI -> PLL -> prescalers; starts on HSI. RM0008: RCC, FLASH. */
#include "clock.h"

#if LNN_FAMILY_F1

#include "lnn_port.h"

#define CONTROL_HSI (1UL << 0)
#define CONTROL_HSI_READY (1UL << 1)
#define CONTROL_HSE (1UL << 16)
#define CONTROL_HSE_READY (1UL << 17)
#define CONTROL_HSE_BYPASS (1UL << 18)
#define CONTROL_PLL (1UL << 24)
#define CONTROL_PLL_READY (1UL << 25)

#define CONFIG LNN_REGISTER(LNN_RCC + 0x04UL)
#define CONFIG_PLL 2UL
#define CONFIG_STATUS (3UL << 2)
#define CONFIG_PLL_HSE (1UL << 16)
#define CONFIG_PLL_HALF_HSE (1UL << 17)

#define FLASH_WAIT_STATES 7UL
#define FLASH_PREFETCH (1UL << 4)

_Static_assert(LNN_CLOCK_SOURCE_HSE || LNN_PLL_M == 2U, "the STM32F1 always halves HSI");

static bool start_oscillator(void)
{
#if LNN_CLOCK_SOURCE_HSE
    LNN_RCC_CONTROL |= LNN_HSE_BYPASS ? CONTROL_HSE_BYPASS : 0U;
    LNN_RCC_CONTROL |= CONTROL_HSE;
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_HSE_READY, CONTROL_HSE_READY);
#else
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_HSI_READY, CONTROL_HSI_READY);
#endif
}

static uint32_t factors(void)
{
    const uint32_t source     = LNN_CLOCK_SOURCE_HSE ? CONFIG_PLL_HSE : 0U;
    const uint32_t halved     = (LNN_CLOCK_SOURCE_HSE && LNN_PLL_M == 2U) ? CONFIG_PLL_HALF_HSE : 0U;
    const uint32_t prescalers = (LNN_AHB_FIELD(LNN_AHB_DIV) << 4) | (LNN_APB_FIELD(LNN_APB1_DIV) << 8) |
                                (LNN_APB_FIELD(LNN_APB2_DIV) << 11);
    return source | halved | ((LNN_PLL_N - 2U) << 18) | prescalers;
}

static bool start_pll(void)
{
    CONFIG = factors(); /* while the PLL is off */
    LNN_RCC_CONTROL |= CONTROL_PLL;
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_PLL_READY, CONTROL_PLL_READY);
}

static bool switch_to_pll(void)
{
    LNN_FLASH_ACCESS = LNN_FLASH_WAIT_STATES | FLASH_PREFETCH;
    if (!lnn_clock_wait(&LNN_FLASH_ACCESS, FLASH_WAIT_STATES, LNN_FLASH_WAIT_STATES))
    {
        return false;
    }
    CONFIG = factors() | CONFIG_PLL;
    return lnn_clock_wait(&CONFIG, CONFIG_STATUS, CONFIG_PLL << 2);
}

uint32_t lnn_clock_run_pll(void)
{
    if (!start_oscillator())
    {
        return LNN_FLAG_OSCILLATOR;
    }
    if (!start_pll())
    {
        return LNN_FLAG_PLL;
    }
    return switch_to_pll() ? 0U : LNN_FLAG_SWITCH;
}

void lnn_clock_run_reset(void)
{
    LNN_RCC_CONTROL |= CONTROL_HSI;
    CONFIG = 0U;
    (void) lnn_clock_wait(&CONFIG, CONFIG_STATUS, 0U);
    LNN_RCC_CONTROL &= ~(CONTROL_PLL | CONTROL_HSE);
}

#endif
