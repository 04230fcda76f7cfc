"""STM32L5."""

from __future__ import annotations

from lnn_edge.device.families.family import EVEN, MHZ, Family

FAMILY = Family(
    name="stm32l5",
    hsi_hz=16 * MHZ,
    reset_hz=4 * MHZ,
    m=(1, 16),
    n=(8, 86),
    divider="r",
    divisors=EVEN,
    vco_in_hz=(4 * MHZ, 16 * MHZ),
    vco_out_hz=(64 * MHZ, 344 * MHZ),
    hz_per_wait_state=20 * MHZ,
    core_is_bus=True,
    classic_uart=False,
    dma_streams=(0, 0),
    dma_requests=0,
    source="RM0438: RCC_PLLCFGR; wait states by HCLK, voltage range 1",
)
