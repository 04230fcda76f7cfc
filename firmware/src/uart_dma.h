/**
 * @file uart_dma.h
 * @brief The interrupt of the DMA that fills the ring.
 */
#ifndef LNN_UART_DMA_H
#define LNN_UART_DMA_H

void Dma_Handler(void);

#endif
