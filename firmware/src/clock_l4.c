/* Clock of STM32L4 and L5: HSE or HSI -> PLL output R -> prescalers; starts on MSI. RM0351, RM0438: RCC, PWR, FLASH. */
#include "clock.h"

#if LNN_FAMILY_L4 || LNN_FAMILY_L5

#include "lnn_port.h"

#define CONTROL_MSI (1UL << 0)
#define CONTROL_HSI (1UL << 8)
#define CONTROL_HSI_READY (1UL << 10)
#define CONTROL_HSE (1UL << 16)
#define CONTROL_HSE_READY (1UL << 17)
#define CONTROL_HSE_BYPASS (1UL << 18)
#define CONTROL_PLL (1UL << 24)
#define CONTROL_PLL_READY (1UL << 25)

#define CONFIG LNN_REGISTER(LNN_RCC + 0x08UL)
#define CONFIG_PLL 3UL
#define CONFIG_STATUS (3UL << 2)

#define PLL_CONFIG LNN_REGISTER(LNN_RCC + 0x0CUL)
#define PLL_CONFIG_HSI 2UL
#define PLL_CONFIG_HSE 3UL
#define PLL_CONFIG_R_ON (1UL << 24)

#define APB1_POWER (1UL << 28)
#define POWER_CONTROL LNN_REGISTER(LNN_PWR + 0x00UL)
#define POWER_CONTROL_RANGE (3UL << 9)
#define POWER_CONTROL_RANGE_1 (1UL << 9)
#define POWER_STATUS LNN_REGISTER(LNN_PWR + 0x14UL)
#define POWER_STATUS_CHANGING (1UL << 10)

#if LNN_FAMILY_L5
#define FLASH_WAIT_STATES 15UL
#define FLASH_CACHES 0UL /* its cache is a unit of its own, and off */
#else
#define FLASH_WAIT_STATES 7UL
#define FLASH_CACHES (7UL << 8) /* prefetch, instruction and data cache of the flash interface */
#endif

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

static bool raise_voltage(void)
{
    LNN_RCC_APB1_ENABLE |= APB1_POWER;
    (void) LNN_RCC_APB1_ENABLE;
    POWER_CONTROL = (POWER_CONTROL & ~POWER_CONTROL_RANGE) | POWER_CONTROL_RANGE_1;
    return lnn_clock_wait(&POWER_STATUS, POWER_STATUS_CHANGING, 0U);
}

static bool start_pll(void)
{
    const uint32_t source  = LNN_CLOCK_SOURCE_HSE ? PLL_CONFIG_HSE : PLL_CONFIG_HSI;
    const uint32_t factors = ((LNN_PLL_M - 1U) << 4) | (LNN_PLL_N << 8) | ((LNN_PLL_R / 2U - 1U) << 25);
    PLL_CONFIG             = source | factors | PLL_CONFIG_R_ON;
    LNN_RCC_CONTROL |= CONTROL_PLL;
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_PLL_READY, CONTROL_PLL_READY);
}

static bool switch_to_pll(void)
{
    const uint32_t ahb = LNN_AHB_FIELD(LNN_AHB_DIV) << 4;
    const uint32_t apb = (LNN_APB_FIELD(LNN_APB1_DIV) << 8) | (LNN_APB_FIELD(LNN_APB2_DIV) << 11);
    LNN_FLASH_ACCESS   = LNN_FLASH_WAIT_STATES | FLASH_CACHES;
    if (!lnn_clock_wait(&LNN_FLASH_ACCESS, FLASH_WAIT_STATES, LNN_FLASH_WAIT_STATES))
    {
        return false;
    }
    CONFIG = ahb | apb;
    CONFIG = ahb | apb | CONFIG_PLL;
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
    LNN_RCC_CONTROL &= ~(CONTROL_PLL | CONTROL_HSE | CONTROL_HSI);
}

#endif
