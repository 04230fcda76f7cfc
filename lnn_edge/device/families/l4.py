"""STM32L4."""

from __future__ import annotations

from lnn_edge.device.families.family import EVEN, MHZ, Family

FAMILY = Family(
    name="stm32l4",
    hsi_hz=16 * MHZ,
    reset_hz=4 * MHZ,
    m=(1, 8),
    n=(8, 86),
    divider="r",
    divisors=EVEN,
    vco_in_hz=(4 * MHZ, 16 * MHZ),
    vco_out_hz=(64 * MHZ, 344 * MHZ),
    hz_per_wait_state=16 * MHZ,
    core_is_bus=True,
    classic_uart=False,
    dma_streams=(1, 7),
    dma_requests=8,
    source="RM0351: RCC_PLLCFGR; wait states by HCLK, voltage range 1; DMA_CSELR",
)
