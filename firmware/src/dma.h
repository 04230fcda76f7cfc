/**
 * @file dma.h
 * @brief Moves bytes between the UART and memory: one circular transfer in, one block at a time out.
 *
 * Streams: STM32F4 (RM0090, RM0390), F7 (RM0385), H7 (RM0433, requests by DMAMUX1). Channels: STM32L4 (RM0351).
 */
#ifndef LNN_DMA_H
#define LNN_DMA_H

#include "chip.h"

#if LNN_UART_DMA

#if LNN_FAMILY_L4

#define LNN_DMA_CHANNEL(channel) (LNN_DMA_BASE + 0x14UL * ((channel) - 1U))
#define LNN_DMA_CONTROL(channel) LNN_REGISTER(LNN_DMA_CHANNEL(channel) + 0x08UL)
#define LNN_DMA_LEFT(channel) LNN_REGISTER(LNN_DMA_CHANNEL(channel) + 0x0CUL)
#define LNN_DMA_PERIPHERAL(channel) LNN_REGISTER(LNN_DMA_CHANNEL(channel) + 0x10UL)
#define LNN_DMA_MEMORY(channel) LNN_REGISTER(LNN_DMA_CHANNEL(channel) + 0x14UL)
#define LNN_DMA_CLEAR(channel) LNN_REGISTER(LNN_DMA_BASE + 0x04UL)
#define LNN_DMA_SELECT LNN_REGISTER(LNN_DMA_BASE + 0xA8UL)
#define LNN_DMA_FLAGS(channel) (0xFUL << (4U * ((channel) - 1U)))
#define LNN_DMA_ON (1UL << 0)
#define LNN_DMA_FULL_INTERRUPT (1UL << 1)
#define LNN_DMA_HALF_INTERRUPT (1UL << 2)
#define LNN_DMA_TO_PERIPHERAL (1UL << 4)
#define LNN_DMA_CIRCULAR (1UL << 5)
#define LNN_DMA_MEMORY_GROWS (1UL << 7)
#define LNN_DMA_REQUEST(request) 0UL /* chosen in CSELR */

#else

#define LNN_DMA_STREAM(stream) (LNN_DMA_BASE + 0x10UL + 0x18UL * (stream))
#define LNN_DMA_CONTROL(stream) LNN_REGISTER(LNN_DMA_STREAM(stream) + 0x00UL)
#define LNN_DMA_LEFT(stream) LNN_REGISTER(LNN_DMA_STREAM(stream) + 0x04UL)
#define LNN_DMA_PERIPHERAL(stream) LNN_REGISTER(LNN_DMA_STREAM(stream) + 0x08UL)
#define LNN_DMA_MEMORY(stream) LNN_REGISTER(LNN_DMA_STREAM(stream) + 0x0CUL)
#define LNN_DMA_CLEAR(stream) LNN_REGISTER(LNN_DMA_BASE + 0x08UL + 4UL * ((stream) / 4U))
/* Four streams a register, at bits 0, 6, 16 and 22. */
#define LNN_DMA_FLAGS(stream) (0x3DUL << (16U * ((stream) / 2U % 2U) + 6U * ((stream) % 2U)))
#define LNN_DMA_ON (1UL << 0)
#define LNN_DMA_HALF_INTERRUPT (1UL << 3)
#define LNN_DMA_FULL_INTERRUPT (1UL << 4)
#define LNN_DMA_TO_PERIPHERAL (1UL << 6)
#define LNN_DMA_CIRCULAR (1UL << 8)
#define LNN_DMA_MEMORY_GROWS (1UL << 10)
#if LNN_FAMILY_H7
#define LNN_DMA_MUX(stream) LNN_REGISTER(0x40020800UL + 0x20UL * (LNN_DMA_BASE == 0x40020400UL) + 4UL * (stream))
#define LNN_DMA_REQUEST(request) 0UL /* chosen in DMAMUX1 */
#else
#define LNN_DMA_REQUEST(request) ((request) << 25)
#endif

#endif

/** @brief Give the controller its clock and lead a request of the UART to a stream. */
static inline void lnn_dma_connect(const uint32_t stream, const uint32_t request)
{
    LNN_RCC_AHB1_ENABLE |= 1UL << LNN_DMA_ENABLE_BIT;
    (void) LNN_RCC_AHB1_ENABLE; /* the clock is there before the next access */
#if LNN_FAMILY_L4
    const uint32_t shift = 4U * (stream - 1U);
    LNN_DMA_SELECT       = (LNN_DMA_SELECT & ~(0xFUL << shift)) | (request << shift);
#elif LNN_FAMILY_H7
    LNN_RCC_AHB2_ENABLE |= 7UL << 29; /* SRAM1 to SRAM3, where the buffers may lie */
    (void) LNN_RCC_AHB2_ENABLE;
    LNN_DMA_MUX(stream) = request;
#else
    (void) stream;
    (void) request;
#endif
}

/** @brief Start a transfer of bytes; what was there before has ended. */
static inline void lnn_dma_start(const uint32_t stream, volatile uint32_t *peripheral, const void *memory,
                                 const uint32_t count, const uint32_t control)
{
    LNN_DMA_CONTROL(stream)    = 0U; /* a channel stays on after its last byte, and flags keep a stream off */
    LNN_DMA_CLEAR(stream)      = LNN_DMA_FLAGS(stream);
    LNN_DMA_PERIPHERAL(stream) = (uint32_t) peripheral;
    LNN_DMA_MEMORY(stream)     = (uint32_t) memory;
    LNN_DMA_LEFT(stream)       = count;
    lnn_core_barrier(); /* the bytes are in memory before they are fetched */
    LNN_DMA_CONTROL(stream) = control | LNN_DMA_MEMORY_GROWS | LNN_DMA_ON;
}

/** @brief Bytes that a transfer still has to move; 0 after the last, and before the first transfer. */
static inline uint32_t lnn_dma_left(const uint32_t stream)
{
    return LNN_DMA_LEFT(stream) & 0xFFFFU;
}

/** @brief End a transfer where it stands. */
static inline void lnn_dma_stop(const uint32_t stream)
{
    LNN_DMA_CONTROL(stream) = 0U;
}

/** @brief Take back a stream's interrupt. */
static inline void lnn_dma_clear(const uint32_t stream)
{
    LNN_DMA_CLEAR(stream) = LNN_DMA_FLAGS(stream);
}

#endif

#endif
