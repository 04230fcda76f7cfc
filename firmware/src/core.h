/**
 * @file core.h
 * @brief Registers of the core itself: Armv6-M (M0+), Armv7-M (M3, M4, M7), Armv8-M Mainline (M33, M55).
 *
 * Armv7-M Architecture Reference Manual, B3 and C1; Armv6-M ARM, B3; Armv8-M ARM, B11 and D1.
 */
#ifndef LNN_CORE_H
#define LNN_CORE_H

#include <stdint.h>

#if __ARM_ARCH == 6
#define LNN_CORE_TELLS_FAULTS 0  /**< one exception for all faults, and no registers that say why */
#define LNN_CORE_COUNTS_CYCLES 0 /**< no cycle counter in the DWT block */
#else
#define LNN_CORE_TELLS_FAULTS 1
#define LNN_CORE_COUNTS_CYCLES 1
#endif
#define LNN_CORE_LIMITS_STACK (__ARM_ARCH >= 8) /**< a register holds the stack's lowest address */

/** @brief The 32-bit register at an address. */
#define LNN_REGISTER(address) (*(volatile uint32_t *) (address))

#define LNN_NVIC_ENABLE(irq) LNN_REGISTER(0xE000E100UL + 4UL * ((irq) / 32U))
#define LNN_NVIC_DISABLE(irq) LNN_REGISTER(0xE000E180UL + 4UL * ((irq) / 32U))

#define LNN_SYSTICK_CONTROL LNN_REGISTER(0xE000E010UL)
#define LNN_SYSTICK_ENABLE (1UL << 0)
#define LNN_SYSTICK_INTERRUPT (1UL << 1)
#define LNN_SYSTICK_CORE_CLOCK (1UL << 2)
#define LNN_SYSTICK_RELOAD LNN_REGISTER(0xE000E014UL)
#define LNN_SYSTICK_VALUE LNN_REGISTER(0xE000E018UL)

#define LNN_SCB_VECTORS LNN_REGISTER(0xE000ED08UL)
#define LNN_SCB_CONFIG LNN_REGISTER(0xE000ED14UL)
#define LNN_SCB_CONFIG_TRAP_DIVISION (1UL << 4)
#define LNN_SCB_CONFIG_DATA_CACHE (1UL << 16)
#define LNN_SCB_CONFIG_INSTRUCTION_CACHE (1UL << 17)
#define LNN_SCB_HANDLERS LNN_REGISTER(0xE000ED24UL)
#define LNN_SCB_HANDLERS_FAULTS (7UL << 16) /**< MemManage, BusFault and UsageFault are told apart */
#define LNN_SCB_CFSR LNN_REGISTER(0xE000ED28UL)
#define LNN_SCB_HFSR LNN_REGISTER(0xE000ED2CUL)
#define LNN_SCB_MMFAR LNN_REGISTER(0xE000ED34UL)
#define LNN_SCB_BFAR LNN_REGISTER(0xE000ED38UL)
#define LNN_SCB_CACHE_SIZE LNN_REGISTER(0xE000ED80UL)
#define LNN_SCB_CACHE_SELECT LNN_REGISTER(0xE000ED84UL)
#define LNN_SCB_COPROCESSORS LNN_REGISTER(0xE000ED88UL)
#define LNN_SCB_COPROCESSORS_FPU (0xFUL << 20) /**< full access to CP10 and CP11 */
#define LNN_SCB_DEBUG LNN_REGISTER(0xE000EDFCUL)
#define LNN_SCB_DEBUG_TRACE (1UL << 24) /**< DWT on */

#define LNN_CACHE_INVALIDATE_INSTRUCTIONS LNN_REGISTER(0xE000EF50UL)
#define LNN_CACHE_INVALIDATE_DATA_LINE LNN_REGISTER(0xE000EF60UL) /**< by set and way */

#define LNN_MPU_CONTROL LNN_REGISTER(0xE000ED94UL)
#define LNN_MPU_CONTROL_ON (1UL << 0)
#define LNN_MPU_CONTROL_DEFAULT_MAP (1UL << 2) /**< outside the regions all is as without the unit */
#define LNN_MPU_NUMBER LNN_REGISTER(0xE000ED98UL)
#define LNN_MPU_ADDRESS LNN_REGISTER(0xE000ED9CUL)
#define LNN_MPU_ATTRIBUTES LNN_REGISTER(0xE000EDA0UL)
#define LNN_MPU_ATTRIBUTES_ON (1UL << 0)
#define LNN_MPU_ATTRIBUTES_UNCACHED (1UL << 19) /**< normal memory, not cached: TEX 1, C 0, B 0 */
#define LNN_MPU_ATTRIBUTES_DATA ((3UL << 24) | (1UL << 28)) /**< read and write, not executed */
#define LNN_MPU_ATTRIBUTES_NOTHING (1UL << 28)              /**< not read, written or executed */

#define LNN_DWT_CONTROL LNN_REGISTER(0xE0001000UL)
#define LNN_DWT_CONTROL_CYCLES (1UL << 0)
#define LNN_DWT_CYCLES LNN_REGISTER(0xE0001004UL)
#define LNN_DWT_LOCK LNN_REGISTER(0xE0001FB0UL)
#define LNN_DWT_LOCK_KEY 0xC5ACCE55UL
#define LNN_DWT_PIDR(n) LNN_REGISTER(0xE0001FD0UL + 4UL * (((n) + 4U) % 8U)) /**< PIDR4 to 7 lie before PIDR0 to 3 */

static inline void lnn_core_barrier(void)
{
    __asm volatile("dsb\n\tisb" ::: "memory");
}

static inline void lnn_core_mask_interrupts(void)
{
    __asm volatile("cpsid i" ::: "memory");
}

static inline void lnn_core_unmask_interrupts(void)
{
    __asm volatile("cpsie i\n\tisb" ::: "memory");
}

/** @brief Rule 2^bits bytes; the address is a multiple of that. Faults of priority -1 and above do without the rules. */
static inline void lnn_core_protect(const uint32_t region, const uint32_t address, const uint32_t bits,
                                    const uint32_t attributes)
{
    LNN_MPU_NUMBER     = region;
    LNN_MPU_ADDRESS    = address;
    LNN_MPU_ATTRIBUTES = attributes | ((bits - 1U) << 1) | LNN_MPU_ATTRIBUTES_ON;
    LNN_MPU_CONTROL    = LNN_MPU_CONTROL_DEFAULT_MAP | LNN_MPU_CONTROL_ON;
    lnn_core_barrier();
}

/** @brief Keep 2^bits bytes out of the data cache; nothing of it is cached yet. */
static inline void lnn_core_uncache(const uint32_t address, const uint32_t bits)
{
    lnn_core_protect(0U, address, bits, LNN_MPU_ATTRIBUTES_DATA | LNN_MPU_ATTRIBUTES_UNCACHED);
}

/** @brief Fault when the stack reaches below the 2^bits bytes at an address; before Armv8-M, when anything touches them.
 *
 * Where there is neither limit nor unit (Armv6-M, some Cortex-M3) only the end of the memory stops the stack. */
static inline void lnn_core_guard_stack(const uint32_t address, const uint32_t bits)
{
#if LNN_CORE_LIMITS_STACK
    (void) bits;
    __asm volatile("msr msplim, %0" ::"r"(address));
#elif LNN_CORE_TELLS_FAULTS
    lnn_core_protect(1U, address, bits, LNN_MPU_ATTRIBUTES_NOTHING);
#else
    (void) address;
    (void) bits;
#endif
}

/** @brief Sleep until an interrupt is pending, also a masked one. */
static inline void lnn_core_sleep(void)
{
    __asm volatile("dsb\n\twfi" ::: "memory");
}

#endif
