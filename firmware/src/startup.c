#include "startup.h"

#include "chip.h"
#include "fault.h"
#include "idle.h"
#include "uart.h"
#include "uart_dma.h"

#define STACK_PAINT 0xA5C3A5C3UL /* unlikely as an address, a length or a small number */
#define EXCEPTIONS 15U
#if LNN_UART_DMA && LNN_DMA_RX_IRQ > LNN_UART_IRQ
#define LNN_IRQS (LNN_DMA_RX_IRQ + 1U)
#else
#define LNN_IRQS (LNN_UART_IRQ + 1U)
#endif

typedef void (*handler_t)(void);

/* Armv7-M B1.5.3; other architectures have some of them. What has no entry is never enabled. */
typedef struct
{
    uint32_t *stack_top;
    handler_t exceptions[EXCEPTIONS]; /* from 1 */
    handler_t interrupts[LNN_IRQS];
} vectors_t;

static const vectors_t vectors __attribute__((section(".vectors"), used)) = {
    .stack_top = _stack_top,
    .exceptions =
        {
            [0]  = Reset_Handler,
            [1]  = Fault_Handler, /* NMI: the clock security system, which is off */
            [2]  = Fault_Handler, /* HardFault */
            [3]  = Fault_Handler, /* MemManage */
            [4]  = Fault_Handler, /* BusFault */
            [5]  = Fault_Handler, /* UsageFault */
            [6]  = Fault_Handler, /* SecureFault */
            [10] = Fault_Handler, /* SVCall */
            [11] = Fault_Handler, /* DebugMonitor */
            [13] = Fault_Handler, /* PendSV */
            [14] = SysTick_Handler,
        },
    .interrupts =
        {
            [LNN_UART_IRQ] = Uart_Handler,
#if LNN_UART_DMA
            [LNN_DMA_RX_IRQ] = Dma_Handler,
#endif
        },
};

static inline void enable_fpu(void)
{
#ifdef __ARM_FP
    LNN_SCB_COPROCESSORS |= LNN_SCB_COPROCESSORS_FPU;
    lnn_core_barrier();
#endif
}

/* The part below the stack pointer is free to be painted: no interrupt is enabled yet. */
static inline void paint_stack(void)
{
    uint32_t *pointer;
    __asm volatile("mov %0, sp" : "=r"(pointer));
    for (uint32_t *word = _stack_limit; word < pointer; word++)
    {
        *word = STACK_PAINT;
    }
}

static inline void fill_variables(void)
{
    const uint32_t *from = _data_load;
    for (uint32_t *to = _data_start; to < _data_end; to++)
    {
        *to = *from;
        from++;
    }
    for (uint32_t *to = _bss_start; to < _bss_end; to++)
    {
        *to = 0U;
    }
}

#if LNN_CORE_CACHES
/* Their contents are random at power-on. Armv7-M B2.2; geometry from CCSIDR. */
static void enable_caches(void)
{
    LNN_CACHE_INVALIDATE_INSTRUCTIONS = 0U;
    LNN_SCB_CACHE_SELECT              = 0U; /* level 1, data */
    lnn_core_barrier();
    const uint32_t size      = LNN_SCB_CACHE_SIZE;
    const uint32_t last_set  = (size >> 13) & 0x7FFFU;
    const uint32_t last_way  = (size >> 3) & 0x3FFU;
    const uint32_t set_shift = (size & 7U) + 4U;
    const uint32_t way_shift = (last_way > 0U) ? (uint32_t) __builtin_clz(last_way) : 0U;
    for (uint32_t set = 0; set <= last_set; set++)
    {
        for (uint32_t way = 0; way <= last_way; way++)
        {
            LNN_CACHE_INVALIDATE_DATA_LINE = (way << way_shift) | (set << set_shift);
        }
    }
    lnn_core_barrier();
    LNN_SCB_CONFIG |= LNN_SCB_CONFIG_INSTRUCTION_CACHE | LNN_SCB_CONFIG_DATA_CACHE;
    lnn_core_barrier();
}
#endif

void Reset_Handler(void)
{
    enable_fpu(); /* before anything that the compiler may have put into its registers */
    paint_stack();
    LNN_SCB_VECTORS = (uint32_t) &vectors;
#if LNN_CORE_TELLS_FAULTS
    LNN_SCB_HANDLERS |= LNN_SCB_HANDLERS_FAULTS;
    LNN_SCB_CONFIG |= LNN_SCB_CONFIG_TRAP_DIVISION;
#endif
#if LNN_CORE_CACHES
    enable_caches();
#endif
    fill_variables();
    lnn_core_guard_stack((uint32_t) _stack_guard, LNN_STACK_GUARD_BITS);
    (void) main();
    for (;;)
    {
        /* main does not return; if it did, the watchdog would reset the board */
    }
}

uint32_t lnn_stack_free_bytes(void)
{
    uint32_t words = 0;
    while ((&_stack_limit[words] < _stack_top) && (_stack_limit[words] == STACK_PAINT))
    {
        words++;
    }
    return words * (uint32_t) sizeof(uint32_t);
}
