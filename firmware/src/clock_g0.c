/* Clock of STM32G0: HSE or HSI -> PLL output R -> prescalers; starts on HSI. RM0444: RCC, FLASH. */
#include "clock.h"

#if LNN_FAMILY_G0

#include "lnn_port.h"

#define CONTROL_HSI (1UL << 8)
#define CONTROL_HSI_READY (1UL << 10)
#define CONTROL_HSE (1UL << 16)
#define CONTROL_HSE_READY (1UL << 17)
#define CONTROL_HSE_BYPASS (1UL << 18)
#define CONTROL_PLL (1UL << 24)
#define CONTROL_PLL_READY (1UL << 25)

#define CONFIG LNN_REGISTER(LNN_RCC + 0x08UL)
#define CONFIG_PLL 2UL
#define CONFIG_STATUS (7UL << 3)

#define PLL_CONFIG LNN_REGISTER(LNN_RCC + 0x0CUL)
#define PLL_CONFIG_HSI 2UL
#define PLL_CONFIG_HSE 3UL
#define PLL_CONFIG_R_ON (1UL << 28)

#define FLASH_WAIT_STATES 7UL
#define FLASH_CACHES (3UL << 8) /* prefetch, instruction cache of the flash interface */

_Static_assert(LNN_APB1_DIV == LNN_APB2_DIV, "the STM32G0 has one prescaler for both");

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

static bool start_pll(void)
{
    const uint32_t source  = LNN_CLOCK_SOURCE_HSE ? PLL_CONFIG_HSE : PLL_CONFIG_HSI;
    const uint32_t factors = ((LNN_PLL_M - 1U) << 4) | (LNN_PLL_N << 8) | ((LNN_PLL_R - 1U) << 29);
    PLL_CONFIG             = source | factors | PLL_CONFIG_R_ON;
    LNN_RCC_CONTROL |= CONTROL_PLL;
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_PLL_READY, CONTROL_PLL_READY);
}

static bool switch_to_pll(void)
{
    const uint32_t prescalers = (LNN_AHB_FIELD(LNN_AHB_DIV) << 8) | (LNN_APB_FIELD(LNN_APB1_DIV) << 12);
    LNN_FLASH_ACCESS          = LNN_FLASH_WAIT_STATES | FLASH_CACHES;
    if (!lnn_clock_wait(&LNN_FLASH_ACCESS, FLASH_WAIT_STATES, LNN_FLASH_WAIT_STATES))
    {
        return false;
    }
    CONFIG = prescalers;
    CONFIG = prescalers | CONFIG_PLL;
    return lnn_clock_wait(&CONFIG, CONFIG_STATUS, CONFIG_PLL << 3);
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
