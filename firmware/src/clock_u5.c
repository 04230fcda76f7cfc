/* Clock of STM32U5: HSE or HSI -> PLL1 output R -> prescalers; starts on MSIS at 4 MHz. RM0456: RCC, PWR, FLASH. */
#include "clock.h"

#if LNN_FAMILY_U5

#include "lnn_port.h"

#define CONTROL_MSI (1UL << 0)
#define CONTROL_HSI (1UL << 8)
#define CONTROL_HSI_READY (1UL << 10)
#define CONTROL_HSE (1UL << 16)
#define CONTROL_HSE_READY (1UL << 17)
#define CONTROL_HSE_BYPASS (1UL << 18)
#define CONTROL_PLL (1UL << 24)
#define CONTROL_PLL_READY (1UL << 25)

#define CONFIG LNN_REGISTER(LNN_RCC + 0x1CUL)
#define CONFIG_PLL 3UL
#define CONFIG_STATUS (3UL << 2)
#define PRESCALERS LNN_REGISTER(LNN_RCC + 0x20UL)

#define PLL_CONFIG LNN_REGISTER(LNN_RCC + 0x28UL)
#define PLL_CONFIG_HSI 2UL
#define PLL_CONFIG_HSE 3UL
#define PLL_CONFIG_FAST_INPUT (3UL << 2) /* 8 to 16 MHz, else 4 to 8 */
#define PLL_CONFIG_R_ON (1UL << 18)
#define PLL_FACTORS LNN_REGISTER(LNN_RCC + 0x34UL)

#define AHB3_POWER (1UL << 2)
#define POWER_VOLTAGE LNN_REGISTER(LNN_PWR + 0x0CUL)
#define POWER_VOLTAGE_BOOSTED (1UL << 14)
#define POWER_VOLTAGE_READY (1UL << 15)
#define POWER_VOLTAGE_RANGE_1 (3UL << 16)
#define POWER_VOLTAGE_BOOST (1UL << 18) /* above 55 MHz */

#define FLASH_WAIT_STATES 15UL
#define FLASH_PREFETCH (1UL << 8)

#define SOURCE_HZ (LNN_CLOCK_SOURCE_HSE ? LNN_HSE_HZ : 16000000UL)
_Static_assert(SOURCE_HZ >= 4000000UL && SOURCE_HZ <= 16000000UL, "the booster takes 4 to 16 MHz undivided");

static bool start_oscillator(void)
{
#if LNN_CLOCK_SOURCE_HSE
    LNN_RCC_CONTROL |= LNN_HSE_BYPASS ? CONTROL_HSE_BYPASS : 0U;
    LNN_RCC_CONTROL |= CONTROL_HSE;
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_HSE_READY, CONTROL_HSE_READY);
#else
    LNN_RCC_CONTROL |= CONTROL_HSI;
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_HSI_READY, CONTROL_HSI_READY);
#endif
}

/* The booster runs on the clock that is chosen for the PLL, so that is chosen first. */
static bool raise_voltage(void)
{
    LNN_RCC_AHB3_ENABLE |= AHB3_POWER;
    (void) LNN_RCC_AHB3_ENABLE;
    POWER_VOLTAGE |= POWER_VOLTAGE_RANGE_1;
    if (!lnn_clock_wait(&POWER_VOLTAGE, POWER_VOLTAGE_READY, POWER_VOLTAGE_READY))
    {
        return false;
    }
    PLL_CONFIG = (LNN_CLOCK_SOURCE_HSE ? PLL_CONFIG_HSE : PLL_CONFIG_HSI) | ((LNN_PLL_M - 1U) << 8) |
                 ((SOURCE_HZ / LNN_PLL_M >= 8000000UL) ? PLL_CONFIG_FAST_INPUT : 0U) | PLL_CONFIG_R_ON;
    POWER_VOLTAGE |= POWER_VOLTAGE_BOOST;
    return lnn_clock_wait(&POWER_VOLTAGE, POWER_VOLTAGE_BOOSTED, POWER_VOLTAGE_BOOSTED);
}

static bool start_pll(void)
{
    /* P and Q stay off, at the divisor 2 of reset. */
    PLL_FACTORS = (LNN_PLL_N - 1U) | (1UL << 9) | (1UL << 16) | ((LNN_PLL_R - 1U) << 24);
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
    PRESCALERS = LNN_AHB_FIELD(LNN_AHB_DIV) | (LNN_APB_FIELD(LNN_APB1_DIV) << 4) | (LNN_APB_FIELD(LNN_APB2_DIV) << 8);
    CONFIG     = CONFIG_PLL;
    return lnn_clock_wait(&CONFIG, CONFIG_STATUS, CONFIG_PLL << 2);
}

uint32_t lnn_clock_run_pll(void)
{
    if (!start_oscillator())
    {
        return LNN_FLAG_OSCILLATOR;
    }
    if (!raise_voltage())
    {
        return LNN_FLAG_OVERDRIVE;
    }
    if (!start_pll())
    {
        return LNN_FLAG_PLL;
    }
    return switch_to_pll() ? 0U : LNN_FLAG_SWITCH;
}

void lnn_clock_run_reset(void)
{
    LNN_RCC_CONTROL |= CONTROL_MSI;
    CONFIG = 0U;
    (void) lnn_clock_wait(&CONFIG, CONFIG_STATUS, 0U);
    PRESCALERS = 0U;
    LNN_RCC_CONTROL &= ~(CONTROL_PLL | CONTROL_HSE | CONTROL_HSI);
}

#endif
