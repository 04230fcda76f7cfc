"""STM32F4."""

from __future__ import annotations

from lnn_edge.device.families.family import EVEN, MHZ, Family

FAMILY = Family(
    name="stm32f4",
    hsi_hz=16 * MHZ,
    reset_hz=16 * MHZ,
    m=(2, 63),
    n=(50, 432),
    divider="p",
    divisors=EVEN,
    vco_in_hz=(1 * MHZ, 2 * MHZ),
    vco_out_hz=(100 * MHZ, 432 * MHZ),
    hz_per_wait_state=30 * MHZ,
    core_is_bus=True,
    classic_uart=True,
    dma_streams=(0, 7),
    dma_requests=8,
    source="RM0090 and RM0390: RCC_PLLCFGR; number of wait states by HCLK; DMA_SxCR",
)
