/**
 * @file lnn_biquads.h
 * @brief Second-order sections of all channels, in one routine that every filter of a model calls.
 *
 * For cores with the Armv7E-M DSP extension, as in lnn_rows.h: the routine in assembly has a twin in C with the same bits.
 */
#ifndef LNN_BIQUADS_H
#define LNN_BIQUADS_H

#include "lnn_dsp.h"

#if LNN_HAS_DSP_LOOPS
/* r4, the value of a section, from its sum in r9 and r10; on to 4 where it is limited. */
#define LNN_SECTION_VALUE(limited) \
    "   ssat r11, #27, r10\n" \
    "   lsl r4, r10, #3\n" \
    "   orr r4, r4, r9, lsr #29\n" \
    "   cmp r11, r10\n" \
    "   bne " limited "\n"
#define LNN_SECTION_LIMIT \
    "   cmp r10, #0\n" \
    "   mvn r4, #0xE0000000\n" \
    "   it lt\n" \
    "   mvnlt r4, r4\n"
#endif

/**
 * @brief One frame. Its state is brought up to date where it lies.
 * @param x      of each channel
 * @param state  of each channel its last two values times 2^12 and 0, then of each section its last two values and what was
 *               cut off; INT32_MIN in front means that the channel is new
 * @param filter {bytes of y, bytes of the sections}, of each section {b0, b1, b2, -a1, -a2, 0, of the last one y's multiplier},
 *               then the gain of each
 * @param y      of each channel, saturated to int16
 */
LNN_ROUTINE void lnn_op_biquads(const int16_t *x LNN_UNUSED, int32_t *state LNN_UNUSED, const int32_t *filter LNN_UNUSED,
                                int16_t *y LNN_UNUSED)
{
#if LNN_HAS_DSP_LOOPS
    __asm__ volatile("   push {r4-r11, lr}\n"
                     "   ldrd r4, r5, [r2], #8\n"
                     "   add r4, r4, r3\n"
                     "   add r5, r5, r2\n"
                     "   push {r2, r4, r5}\n" /* sections, end of y, gains */
                     "1: ldrsh r4, [r0], #2\n"
                     "   ldrd r5, r6, [r1]\n"
                     "   mov r9, #0\n"
                     "   lsl r4, r4, #12\n"
                     "   cmp r5, #0x80000000\n"
                     "   beq 5f\n"
                     "   stm r1!, {r4, r5, r9}\n"
                     "2: ldm r1, {r7-r9}\n"
                     "   ldm r2!, {r11, r12, lr}\n"
                     "   asr r10, r9, #31\n"
                     "   smlal r9, r10, r11, r4\n"
                     "   smlal r9, r10, r12, r5\n"
                     "   smlal r9, r10, lr, r6\n"
                     "   ldm r2!, {r11, r12, lr}\n"
                     "   smlal r9, r10, r11, r7\n"
                     "   smlal r9, r10, r12, r8\n"
                     LNN_SECTION_VALUE("4f")
                     "   ubfx r9, r9, #0, #29\n"
                     "3: stm r1!, {r4, r7, r9}\n"
                     "   mov r5, r7\n"
                     "   mov r6, r8\n"
                     "   cmp lr, #0\n"
                     "   beq 2b\n"
                     "8: smmulr r4, r4, lr\n"
                     "   ldrd r2, r11, [sp]\n"
                     "   ssat r4, #16, r4\n"
                     "   strh r4, [r3], #2\n"
                     "   cmp r3, r11\n"
                     "   bne 1b\n"
                     "   add sp, sp, #12\n"
                     "   pop {r4-r11, pc}\n"
                     "4:\n" LNN_SECTION_LIMIT
                     "   mov r9, #0x10000000\n"
                     "   b 3b\n"
                     "5: mov r5, r4\n"
                     "   stm r1!, {r4, r5, r9}\n"
                     "   ldr r12, [sp, #8]\n"
                     "6: ldr r11, [r12], #4\n"
                     "   mov r9, #0x10000000\n"
                     "   mov r10, #0\n"
                     "   smlal r9, r10, r11, r4\n"
                     "   add r2, r2, #20\n"
                     "   ldr lr, [r2], #4\n"
                     LNN_SECTION_VALUE("9f")
                     "7: mov r5, r4\n"
                     "   mov r9, #0x10000000\n"
                     "   stm r1!, {r4, r5, r9}\n"
                     "   cmp lr, #0\n"
                     "   beq 6b\n"
                     "   b 8b\n"
                     "9:\n" LNN_SECTION_LIMIT
                     "   b 7b\n" ::: "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#else
    const int16_t *const end   = y + filter[0] / 2;
    const int32_t *const first = filter + 2;
    const int32_t *const gains = first + filter[1] / 4;
    while (y != end)
    {
        const int32_t *section = first;
        const int32_t *gain    = gains;
        int32_t        before  = state[0];
        int32_t        older   = state[1];
        const uint32_t is_new  = (before == INT32_MIN) ? 1U : 0U;
        int32_t        signal  = (int32_t) *x++ * 4096;
        int32_t        factor  = 0;
        state[0]               = signal;
        state[1]               = (is_new != 0U) ? signal : before;
        state[2]               = 0;
        while (factor == 0)
        {
            const int32_t made    = state[3];
            const int32_t earlier = state[4];
            int64_t       total   = (int64_t) *gain++ * signal + 268435456;
            if (is_new == 0U)
            {
                total = state[5];
                total += (int64_t) section[0] * signal;
                total += (int64_t) section[1] * before;
                total += (int64_t) section[2] * older;
                total += (int64_t) section[3] * made;
                total += (int64_t) section[4] * earlier;
            }
            signal   = lnn_limit_section(total, &state[5]);
            state[3] = signal;
            state[4] = made;
            if (is_new != 0U)
            {
                state[4] = signal;
                state[5] = 268435456;
            }
            before = made;
            older  = earlier;
            factor = section[5];
            section += 6;
            state += 3;
        }
        state += 3;
        *y++ = (int16_t) lnn_saturate_int16(lnn_requantize(signal, factor, 0));
    }
#endif
}

#endif
