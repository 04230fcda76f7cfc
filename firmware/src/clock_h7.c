/* Clock of STM32H7: HSE or HSI -> PLL1 output P -> core, AHB, APBs; core voltage scale 1. RM0433: RCC, PWR, FLASH. */
#include "clock.h"

#if LNN_FAMILY_H7

#include "lnn_port.h"

#define CONTROL_HSI (1UL << 0)
#define CONTROL_HSI_READY (1UL << 2)
#define CONTROL_HSE (1UL << 16)
#define CONTROL_HSE_READY (1UL << 17)
#define CONTROL_HSE_BYPASS (1UL << 18)
#define CONTROL_PLL (1UL << 24)
#define CONTROL_PLL_READY (1UL << 25)

#define CONFIG LNN_REGISTER(LNN_RCC + 0x10UL)
#define CONFIG_PLL 3UL
#define CONFIG_STATUS (7UL << 3)
#define DOMAIN_1 LNN_REGISTER(LNN_RCC + 0x18UL) /* core, AHB, APB3 */
#define DOMAIN_2 LNN_REGISTER(LNN_RCC + 0x1CUL) /* APB1, APB2 */
#define DOMAIN_3 LNN_REGISTER(LNN_RCC + 0x20UL) /* APB4 */

#define PLL_SELECT LNN_REGISTER(LNN_RCC + 0x28UL)
#define PLL_SELECT_HSE 2UL
#define PLL_SELECT_MINE (3UL | (63UL << 4))
#define PLL_CONFIG LNN_REGISTER(LNN_RCC + 0x2CUL)
#define PLL_CONFIG_MINE (15UL | (7UL << 16))
#define PLL_CONFIG_P_ON (1UL << 16)
#define PLL_FACTORS LNN_REGISTER(LNN_RCC + 0x30UL)
#define PLL_FACTORS_MINE 0xFFFFUL

#define PLL_INPUT_HZ ((LNN_CLOCK_SOURCE_HSE ? LNN_HSE_HZ : LNN_RESET_CLOCK_HZ) / LNN_PLL_M)
#define PLL_INPUT_RANGE (PLL_INPUT_HZ < 4000000UL ? 1UL : PLL_INPUT_HZ < 8000000UL ? 2UL : 3UL)
_Static_assert(PLL_INPUT_HZ >= 2000000UL && PLL_INPUT_HZ <= 16000000UL, "the wide PLL takes 2 to 16 MHz");

#define POWER_STATUS LNN_REGISTER(LNN_PWR + 0x04UL)
#define POWER_STATUS_READY (1UL << 13)
#define POWER_SUPPLY LNN_REGISTER(LNN_PWR + 0x0CUL)
#define POWER_SUPPLY_BYPASS (1UL << 0)
#define POWER_SUPPLY_LDO (1UL << 1)
#define POWER_SUPPLY_UPDATE (1UL << 2)
#define POWER_SCALE LNN_REGISTER(LNN_PWR + 0x18UL)
#define POWER_SCALE_READY (1UL << 13)
#define POWER_SCALE_1 (3UL << 14)

#define FLASH_WAIT_STATES 15UL
#define FLASH_WRITE_DELAY (2UL << 4) /* for 185 to 210 MHz; only programming the flash depends on it */

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

/* The supply must be confirmed, once after power-on, before the voltage can change. */
static bool raise_voltage(void)
{
    POWER_SUPPLY = (POWER_SUPPLY & ~(POWER_SUPPLY_UPDATE | POWER_SUPPLY_BYPASS)) | POWER_SUPPLY_LDO;
    if (!lnn_clock_wait(&POWER_STATUS, POWER_STATUS_READY, POWER_STATUS_READY))
    {
        return false;
    }
    POWER_SCALE |= POWER_SCALE_1;
    return lnn_clock_wait(&POWER_SCALE, POWER_SCALE_READY, POWER_SCALE_READY);
}

static bool start_pll(void)
{
    const uint32_t source = LNN_CLOCK_SOURCE_HSE ? PLL_SELECT_HSE : 0U;
    PLL_SELECT            = (PLL_SELECT & ~PLL_SELECT_MINE) | source | (LNN_PLL_M << 4);
    PLL_CONFIG            = (PLL_CONFIG & ~PLL_CONFIG_MINE) | (PLL_INPUT_RANGE << 2) | PLL_CONFIG_P_ON;
    PLL_FACTORS           = (PLL_FACTORS & ~PLL_FACTORS_MINE) | (LNN_PLL_N - 1U) | ((LNN_PLL_P - 1U) << 9);
    LNN_RCC_CONTROL |= CONTROL_PLL;
    return lnn_clock_wait(&LNN_RCC_CONTROL, CONTROL_PLL_READY, CONTROL_PLL_READY);
}

static bool switch_to_pll(void)
{
    const uint32_t apb1 = LNN_APB_FIELD(LNN_APB1_DIV);
    const uint32_t apb2 = LNN_APB_FIELD(LNN_APB2_DIV);
    const uint32_t most = (apb1 > apb2) ? apb1 : apb2; /* APB3 and APB4 have the same limit and serve nothing here */
    LNN_FLASH_ACCESS    = LNN_FLASH_WAIT_STATES | FLASH_WRITE_DELAY;
    if (!lnn_clock_wait(&LNN_FLASH_ACCESS, FLASH_WAIT_STATES, LNN_FLASH_WAIT_STATES))
    {
        return false;
    }
    DOMAIN_1 = LNN_AHB_FIELD(LNN_AHB_DIV) | (most << 4);
    DOMAIN_2 = (apb1 << 4) | (apb2 << 8);
    DOMAIN_3 = most << 4;
    CONFIG   = CONFIG_PLL;
    return lnn_clock_wait(&CONFIG, CONFIG_STATUS, CONFIG_PLL << 3);
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
    LNN_RCC_CONTROL |= CONTROL_HSI;
    CONFIG = 0U;
    (void) lnn_clock_wait(&CONFIG, CONFIG_STATUS, 0U);
    DOMAIN_1 = 0U;
    DOMAIN_2 = 0U;
    DOMAIN_3 = 0U;
    LNN_RCC_CONTROL &= ~(CONTROL_PLL | CONTROL_HSE);
}

#endif
