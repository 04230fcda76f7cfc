/**
 * @file lnn_rows.h
 * @brief All rows of a matrix of int8 on int8 activations, in one routine that every operator of a model calls.
 *
 * For cores with the Armv7E-M DSP extension; two rows share a halfword, as in lnn_dsp.h. What four rows need lies in one
 * stream in the order in which it is read. Each routine has a twin in C with the same bits. Instructions that are counted by
 * function belong to the operator that calls it: names begin with lnn_op_.
 */
#ifndef LNN_ROWS_H
#define LNN_ROWS_H

#include "lnn_dsp.h"

#define LNN_ROWS_INT8_UNROLLED 8U  /**< groups in a round of lnn_op_rows_int8 */
#define LNN_ROWS_INT16_UNROLLED 4U /**< and of lnn_op_rows_int16 */

#if LNN_HAS_DSP_LOOPS
#define LNN_ROWS_GROUP \
    "   ldm r0!, {r7-r10}\n" \
    "   ldrd r11, r12, [r1], #8\n" \
    "   smlad r3, r7, r11, r3\n" \
    "   sxtb16 r7, r7\n" \
    "   smlad r5, r8, r11, r5\n" \
    "   sxtb16 r8, r8\n" \
    "   smlad r4, r7, r11, r4\n" \
    "   smlad r6, r8, r11, r6\n" \
    "   smlad r3, r9, r12, r3\n" \
    "   sxtb16 r9, r9\n" \
    "   smlad r5, r10, r12, r5\n" \
    "   sxtb16 r10, r10\n" \
    "   smlad r4, r9, r12, r4\n" \
    "   smlad r6, r10, r12, r6\n"
/* The same of six rows: the sums of rows 0 to 5 in r4, r3, r6, r5, r8, r7 (templates/ops/unit_loop.c.j2). */
#define LNN_SIX_ROWS_HALF(two) \
    "   ldm r0!, {r9-r11}\n" \
    "   smlad r3, r9, " two ", r3\n" \
    "   sxtb16 r9, r9\n" \
    "   smlad r5, r10, " two ", r5\n" \
    "   sxtb16 r10, r10\n" \
    "   smlad r7, r11, " two ", r7\n" \
    "   sxtb16 r11, r11\n" \
    "   smlad r4, r9, " two ", r4\n" \
    "   smlad r6, r10, " two ", r6\n" \
    "   smlad r8, r11, " two ", r8\n"
#define LNN_SIX_ROWS_GROUP \
    "   ldrd r12, r2, [r1], #8\n" LNN_SIX_ROWS_HALF("r12") LNN_SIX_ROWS_HALF("r2")
/* The sums of rows 0 to 3 in r4, r3, r6, r5. A table tells where the first round, which may be a part, is entered. */
#define LNN_ROWS_SUMS(table, rounds) \
    "1: ldm r0!, {r3-r6}\n" LNN_ROWS_PRODUCTS(table, rounds)
#define LNN_ROWS_PRODUCTS(table, rounds) \
    "   ldm sp, {r1, r12, lr}\n" \
    "   tbb [pc, r12]\n" \
    "2:\n" table \
    "   .balign 2\n" \
    "3:\n" rounds \
    "   subs lr, lr, #1\n" \
    "   bne 3b\n" \
    "   sub r3, r3, r4\n" \
    "   sub r5, r5, r6\n" \
    "   asr r3, r3, #8\n" \
    "   asr r5, r5, #8\n"
#define LNN_ROWS_FOUR LNN_ROWS_GROUP LNN_ROWS_GROUP LNN_ROWS_GROUP LNN_ROWS_GROUP
/* A group is 56 bytes. */
#define LNN_ROWS_FOUR_ENTRIES(first) \
    "   .byte (3f - 2b) / 2 + 28 * (" first "), (3f - 2b) / 2 + 28 * (" first " + 1)\n" \
    "   .byte (3f - 2b) / 2 + 28 * (" first " + 2), (3f - 2b) / 2 + 28 * (" first " + 3)\n"
#define LNN_WIDEN_GROUP \
    "   ldr r3, [r0], #4\n" \
    "   sxtb16 r12, r3\n" \
    "   sxtb16 r3, r3, ror #8\n" \
    "   strd r12, r3, [r2], #8\n"
#else
/** @brief Four sums; `stream` is left behind the weights. */
LNN_INLINE void lnn_rows_sums(const uint32_t **stream, const int16_t *x, const uint32_t groups, int32_t sums[4])
{
    const uint32_t *weight = *stream + 4;
    uint32_t        raw0   = (*stream)[0];
    uint32_t        low0   = (*stream)[1];
    uint32_t        raw1   = (*stream)[2];
    uint32_t        low1   = (*stream)[3];
    for (uint32_t half = 0U; half < 2U * groups; half++)
    {
        const uint32_t pair = lnn_load_pair(x);
        raw0                = lnn_dual_mac(weight[0], pair, raw0);
        low0                = lnn_dual_mac(lnn_even_bytes(weight[0]), pair, low0);
        raw1                = lnn_dual_mac(weight[1], pair, raw1);
        low1                = lnn_dual_mac(lnn_even_bytes(weight[1]), pair, low1);
        weight += 2;
        x += 2;
    }
    sums[0] = (int32_t) low0;
    sums[1] = lnn_high_row(raw0, low0);
    sums[2] = (int32_t) low1;
    sums[3] = lnn_high_row(raw1, low1);
    *stream = weight;
}
#endif

/** @brief 4 * groups values from int8 to int16, each four in the order 0, 2, 1, 3, in which they come out of a word. */
LNN_ROUTINE void lnn_op_widen(const int8_t *x LNN_UNUSED, uint32_t groups LNN_UNUSED, int16_t *out LNN_UNUSED)
{
#if LNN_HAS_DSP_LOOPS
    __asm__ volatile("   subs r1, r1, #4\n"
                     "   blo 2f\n"
                     "1:\n" LNN_WIDEN_GROUP LNN_WIDEN_GROUP LNN_WIDEN_GROUP LNN_WIDEN_GROUP
                     "   subs r1, r1, #4\n"
                     "   bhs 1b\n"
                     "2: adds r1, r1, #4\n"
                     "   beq 4f\n"
                     "3:\n" LNN_WIDEN_GROUP
                     "   subs r1, r1, #1\n"
                     "   bne 3b\n"
                     "4: bx lr\n");
#else
    lnn_widen_crossed(x, groups, out);
#endif
}

/**
 * @brief Blocks of four rows to int8, saturated to the whole type.
 * @param stream {where the first round is entered, rounds of 8 groups, bytes of the blocks, zero point of y}, then of each
 *               block {256 b1 + b0, b0, 256 b3 + b2, b2}, its weights (see lnn_dot4_pairs) and four multipliers; rows 1
 *               and 3 with their biases stay below 2^23 (proved when the kernel is chosen)
 * @param x      activations in [-128, 127], whole groups, aligned to words
 * @param y      whole blocks of rows
 * @return       behind the blocks
 */
LNN_ROUTINE const uint32_t *lnn_op_rows_int8(const uint32_t *stream LNN_UNUSED, const int16_t *x LNN_UNUSED,
                                               int8_t *y LNN_UNUSED)
{
#if LNN_HAS_DSP_LOOPS
    __asm__ volatile("   push {r4-r11, lr}\n"
                     "   ldm r0!, {r3-r6}\n"
                     "   add r5, r5, r0\n"
                     "   push {r1, r3-r6}\n" /* x, entry, rounds, end, zero point */
                     LNN_ROWS_SUMS(LNN_ROWS_FOUR_ENTRIES("0") LNN_ROWS_FOUR_ENTRIES("4"), LNN_ROWS_FOUR LNN_ROWS_FOUR)
                     "   ldm r0!, {r7-r10}\n"
                     "   ldrd r11, r12, [sp, #12]\n"
                     "   smmlar r4, r4, r7, r12\n"
                     "   smmlar r3, r3, r8, r12\n"
                     "   smmlar r6, r6, r9, r12\n"
                     "   smmlar r5, r5, r10, r12\n"
                     "   ssat r4, #8, r4\n"
                     "   ssat r3, #8, r3\n"
                     "   ssat r6, #8, r6\n"
                     "   ssat r5, #8, r5\n"
                     "   strb r4, [r2], #1\n"
                     "   strb r3, [r2], #1\n"
                     "   strb r6, [r2], #1\n"
                     "   strb r5, [r2], #1\n"
                     "   cmp r0, r11\n"
                     "   bne 1b\n"
                     "   add sp, sp, #20\n"
                     "   pop {r4-r11, pc}\n");
#else
    const uint32_t        groups = LNN_ROWS_INT8_UNROLLED * stream[1] - stream[0];
    const uint32_t *const end    = stream + 4 + stream[2] / 4U;
    const int32_t         zero   = (int32_t) stream[3];
    for (stream += 4; stream != end; stream += 4)
    {
        int32_t sums[4];
        lnn_rows_sums(&stream, x, groups, sums);
        for (uint32_t r = 0U; r < 4U; r++)
        {
            *y++ = (int8_t) lnn_saturate_int8(lnn_requantize_around(sums[r], (int32_t) stream[r], 0, zero));
        }
    }
    return stream;
#endif
}

/**
 * @brief Blocks of four rows to int16, saturated to [-32768 + margin, 32767].
 * @param stream as of lnn_op_rows_int8, but rounds of 4 groups and two more words in front: {margin, margin} as halfwords,
 *               and whether four shifts follow the multipliers of each block
 * @param x      as of lnn_op_rows_int8
 * @param y      whole blocks of rows
 * @return       behind the blocks
 */
LNN_ROUTINE const uint32_t *lnn_op_rows_int16(const uint32_t *stream LNN_UNUSED, const int16_t *x LNN_UNUSED,
                                               int16_t *y LNN_UNUSED)
{
#if LNN_HAS_DSP_LOOPS
    __asm__ volatile("   push {r4-r11, lr}\n"
                     "   ldm r0!, {r3-r8}\n"
                     "   add r5, r5, r0\n"
                     "   push {r1, r3-r8}\n" /* x, entry, rounds, end, zero point, margins, whether there are shifts */
                     LNN_ROWS_SUMS(LNN_ROWS_FOUR_ENTRIES("0"), LNN_ROWS_FOUR)
                     "   ldm r0!, {r7-r10}\n"
                     "   ldr r11, [sp, #24]\n"
                     "   cmp r11, #0\n"
                     "   beq 4f\n"
                     "   ldm r0!, {r1, r11, r12, lr}\n"
                     "   lsl r4, r4, r1\n"
                     "   lsl r3, r3, r11\n"
                     "   lsl r6, r6, r12\n"
                     "   lsl r5, r5, lr\n"
                     "4: ldrd r11, r12, [sp, #12]\n"
                     "   smmlar r4, r4, r7, r12\n"
                     "   smmlar r3, r3, r8, r12\n"
                     "   smmlar r6, r6, r9, r12\n"
                     "   smmlar r5, r5, r10, r12\n"
                     "   ldr r12, [sp, #20]\n"
                     "   ssat r4, #16, r4\n"
                     "   ssat r3, #16, r3\n"
                     "   ssat r6, #16, r6\n"
                     "   ssat r5, #16, r5\n"
                     "   pkhbt r4, r4, r3, lsl #16\n"
                     "   pkhbt r6, r6, r5, lsl #16\n"
                     "   qsub16 r4, r4, r12\n"
                     "   qsub16 r6, r6, r12\n"
                     "   sadd16 r4, r4, r12\n"
                     "   sadd16 r6, r6, r12\n"
                     "   str r4, [r2], #4\n"
                     "   str r6, [r2], #4\n"
                     "   cmp r0, r11\n"
                     "   bne 1b\n"
                     "   add sp, sp, #28\n"
                     "   pop {r4-r11, pc}\n");
#else
    const uint32_t        groups    = LNN_ROWS_INT16_UNROLLED * stream[1] - stream[0];
    const uint32_t *const end       = stream + 6 + stream[2] / 4U;
    const int32_t         zero      = (int32_t) stream[3];
    const int32_t         low       = INT16_MIN + (int32_t) (stream[4] & 0xFFFFU);
    const uint32_t        has_shift = stream[5];
    for (stream += 6; stream != end; stream += (has_shift != 0U) ? 8 : 4)
    {
        int32_t sums[4];
        lnn_rows_sums(&stream, x, groups, sums);
        for (uint32_t r = 0U; r < 4U; r++)
        {
            const int32_t shift = (has_shift != 0U) ? (int32_t) stream[4U + r] : 0;
            const int32_t value = lnn_requantize_around(sums[r], (int32_t) stream[r], shift, zero);
            *y++                = (int16_t) lnn_saturate(value, low, INT16_MAX);
        }
    }
    return stream;
#endif
}

/**
 * @brief Blocks of four rows over some of their columns, added to what their sums are so far.
 * @param weight of lnn_dot4_pairs; rows 1 and 3 stay below 2^23 over these columns (proved when the kernel is chosen)
 * @param x      activations in [-128, 127], whole groups, aligned to words
 * @param total  sums of the rows of whole blocks
 * @param end    behind them
 * @param groups at least 1
 * @param skip   bytes from the weights of a block to those of the next one
 */
LNN_ROUTINE void lnn_op_rows_add(const uint32_t *weight LNN_UNUSED, const int16_t *x LNN_UNUSED,
                                 int32_t *total LNN_UNUSED, const int32_t *end LNN_UNUSED, uint32_t groups LNN_UNUSED,
                                 uint32_t skip LNN_UNUSED)
{
#if LNN_HAS_DSP_LOOPS
    __asm__ volatile("   push {r4-r11, lr}\n"
                     "   ldrd r5, r6, [sp, #36]\n"
                     "   mov r7, r3\n"
                     "   rsb r4, r5, #0\n"
                     "   and r4, r4, #3\n"
                     "   add r5, r5, #3\n"
                     "   lsr r5, r5, #2\n"
                     "   push {r1, r4-r7}\n" /* x, entry, rounds, bytes to skip, end */
                     "1: mov r3, #0\n"
                     "   mov r4, r3\n"
                     "   mov r5, r3\n"
                     "   mov r6, r3\n"
                     LNN_ROWS_PRODUCTS(LNN_ROWS_FOUR_ENTRIES("0"), LNN_ROWS_FOUR)
                     "   ldm r2, {r7-r10}\n"
                     "   ldrd r11, r12, [sp, #12]\n"
                     "   add r7, r7, r4\n"
                     "   add r8, r8, r3\n"
                     "   add r9, r9, r6\n"
                     "   add r10, r10, r5\n"
                     "   stm r2!, {r7-r10}\n"
                     "   add r0, r0, r11\n"
                     "   cmp r2, r12\n"
                     "   bne 1b\n"
                     "   add sp, sp, #20\n"
                     "   pop {r4-r11, pc}\n" ::: "r0", "r1", "r2", "r3", "r12", "cc", "memory");
#else
    for (; total != end; total += 4)
    {
        int32_t sums[4];
        lnn_dot4_pairs(weight, x, (int32_t) groups, sums);
        for (uint32_t r = 0U; r < 4U; r++)
        {
            total[r] += sums[r];
        }
        weight += 4U * groups + skip / 4U;
    }
#endif
}

#endif
