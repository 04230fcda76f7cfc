#include "fault.h"

#include "core.h"
#include "lnn_frame.h"
#include "lnn_port.h"
#include "lnn_protocol.h"
#include "startup.h"
#include "uart.h"

#define WORDS 10U

/* Reads the frame that the core pushed if it lies in the stack, then starts the stack afresh: it may have overflowed.
 * The frame: r0-r3, r12, lr, pc, xpsr. */
__attribute__((naked, no_instrument_function, no_profile_instrument_function)) void Fault_Handler(void)
{
    __asm volatile(".syntax unified\n\t" /* which GCC does not presume on Armv6-M */
                   "movs r0, #0\n\t"
                   "movs r1, #0\n\t"
                   "movs r2, #0\n\t"
                   "mov  r12, sp\n\t"
                   "ldr  r3, 2f\n\t"
                   "mov  sp, r3\n\t"
                   "subs r3, #32\n\t"
                   "cmp  r12, r3\n\t"
                   "bhi  1f\n\t"
                   "ldr  r3, 3f\n\t"
                   "cmp  r12, r3\n\t"
                   "blo  1f\n\t"
                   "mov  r3, r12\n\t"
                   "ldr  r0, [r3, #24]\n\t"
                   "ldr  r1, [r3, #20]\n\t"
                   "ldr  r2, [r3, #28]\n\t"
                   "1: mov r3, r12\n\t"
                   "bl lnn_fault_report\n\t" /* reaches further than b, on Armv6-M */
                   ".balign 4\n\t"
                   "2: .word _stack_top\n\t"
                   "3: .word _stack_limit");
}

static uint32_t exception_number(void)
{
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    return number;
}

_Noreturn void lnn_fault_report(const uint32_t pc, const uint32_t lr, const uint32_t xpsr, const uint32_t sp)
{
    static const uint8_t end = 0U;
    uint8_t              body[LNN_HEAD_BYTES + 4U * WORDS + LNN_CRC_BYTES];
    const uint32_t       words[WORDS] = {
              exception_number(), pc, lr, xpsr,
#if LNN_CORE_TELLS_FAULTS
              LNN_SCB_CFSR, LNN_SCB_HFSR, LNN_SCB_MMFAR, LNN_SCB_BFAR,
#else
              0U, 0U, 0U, 0U,
#endif
              sp, (uint32_t) _stack_limit,
    };
    body[0] = LNN_TYPE_FAULT;
    body[1] = 0U;
    for (uint32_t i = 0; i < 4U * WORDS; i++)
    {
        body[LNN_HEAD_BYTES + i] = ((const uint8_t *) words)[i];
    }
    lnn_frame_seal(body, LNN_HEAD_BYTES + 4U * WORDS);
    lnn_uart_fall_back();
    lnn_port_write(&end, 1U); /* ends a reply that was under way */
    lnn_frame_send(body, sizeof body);
    for (;;)
    {
        lnn_core_sleep(); /* nothing wakes it; the watchdog goes on */
    }
}
