/* Clock of STM32F4 and F7: HSE or HSI -> PLL -> over-drive -> prescalers. RM0090, RM0390, RM0385: RCC, PWR, FLASH. */
#include "clock.h"

#if LNN_FAMILY_F4 || LNN_FAMILY_F7

#include "lnn_port.h"

#define CONTROL_HSI (1UL << 0)
#define CONTROL_HSE (1UL << 16)
#define CONTROL_HSE_BYPASS (1UL << 18)
#define CONTROL_PLL (1UL << 24)
#define READY(on) ((on) << 1) /* each ready bit is the neighbour of its enable bit */

#define PLL_CONFIG LNN_REGISTER(LNN_RCC + 0x04UL)
#define PLL_CONFIG_P (3UL << 16)
#define PLL_CONFIG_HSE (1UL << 22)
#define PLL_CONFIG_Q (15UL << 24)
#define PLL_CONFIG_MINE (0x7FFFUL | PLL_CONFIG_P | PLL_CONFIG_HSE | PLL_CONFIG_Q)

#define CONFIG LNN_REGISTER(LNN_RCC + 0x08UL)
#define CONFIG_PLL 2UL
#define CONFIG_STATUS (3UL << 2)

#define APB1_POWER (1UL << 28)
#define POWER_CONTROL LNN_REGISTER(LNN_PWR + 0x00UL)
#define POWER_STATUS LNN_REGISTER(LNN_PWR + 0x04UL)
#define POWER_OVERDRIVE (1UL << 16)
#define POWER_OVERDRIVE_SWITCH (1UL << 17)

#define FLASH_WAIT_STATES 15UL
#if LNN_FAMILY_F4
#define FLASH_CACHES (7UL << 8) /* prefetch, instruction and data cache of the flash interface */
#else
#define FLASH_CACHES 0UL /* the core's own caches, on the AXI bus */
#endif

static bool start_oscillator(void)
{
#if LNN_CLOCK_SOURCE_HSE
    const uint32_t on = CONTROL_HSE;
    LNN_RCC_CONTROL |= LNN_HSE_BYPASS ? CONTROL_HSE_BYPASS : 0U;
#else
    const uint32_t on = CONTROL_HSI;
#endif
    LNN_RCC_CONTROL |= on;
    return lnn_clock_wait(&LNN_RCC_CONTROL, READY(on), READY(on));
}

static bool start_pll(void)
{
    const uint32_t source = LNN_CLOCK_SOURCE_HSE ? PLL_CONFIG_HSE : 0U;
    const uint32_t factors = LNN_PLL_M | (LNN_PLL_N << 6) | ((LNN_PLL_P / 2U - 1U) << 16);
    /* Nothing uses output Q; its largest divider keeps it within its limit. */
    PLL_CONFIG = (PLL_CONFIG & ~PLL_CONFIG_MINE) | source | factors | PLL_CONFIG_Q;
    LNN_RCC_CONTROL |= CONTROL_PLL;
    return lnn_clock_wait(&LNN_RCC_CONTROL, READY(CONTROL_PLL), READY(CONTROL_PLL));
}

static bool start_overdrive(void)
{
#if LNN_OVERDRIVE
    POWER_CONTROL |= POWER_OVERDRIVE;
    if (!lnn_clock_wait(&POWER_STATUS, POWER_OVERDRIVE, POWER_OVERDRIVE))
    {
        return false;
    }
    POWER_CONTROL |= POWER_OVERDRIVE_SWITCH;
    return lnn_clock_wait(&POWER_STATUS, POWER_OVERDRIVE_SWITCH, POWER_OVERDRIVE_SWITCH);
#else
    return true;
#endif
}

static bool switch_to_pll(void)
{
    const uint32_t ahb = LNN_AHB_FIELD(LNN_AHB_DIV) << 4;
    const uint32_t apb = (LNN_APB_FIELD(LNN_APB1_DIV) << 10) | (LNN_APB_FIELD(LNN_APB2_DIV) << 13);
    LNN_FLASH_ACCESS = LNN_FLASH_WAIT_STATES | FLASH_CACHES;
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
    /* Voltage scale 1, which full speed needs, is what these families start with. */
    LNN_RCC_APB1_ENABLE |= APB1_POWER;
    (void) LNN_RCC_APB1_ENABLE;
    if (!start_oscillator())
    {
        return LNN_FLAG_OSCILLATOR;
    }
    if (!start_pll())
    {
        return LNN_FLAG_PLL;
    }
    if (!start_overdrive())
    {
        return LNN_FLAG_OVERDRIVE;
    }
    return switch_to_pll() ? 0U : LNN_FLAG_SWITCH;
}

void lnn_clock_run_reset(void)
{
    LNN_RCC_CONTROL |= CONTROL_HSI;
    CONFIG = 0U;
    (void) lnn_clock_wait(&CONFIG, CONFIG_STATUS, 0U);
    POWER_CONTROL &= ~(LNN_OVERDRIVE ? (POWER_OVERDRIVE | POWER_OVERDRIVE_SWITCH) : 0U);
    LNN_RCC_CONTROL &= ~(CONTROL_PLL | CONTROL_HSE);
}

#endif
