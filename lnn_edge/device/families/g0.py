"""STM32G0."""

from __future__ import annotations

from lnn_edge.device.families.family import MHZ, Family

FAMILY = Family(
    name="stm32g0",
    hsi_hz=16 * MHZ,
    reset_hz=16 * MHZ,
    m=(1, 8),
    n=(8, 86),
    divider="r",
    divisors=tuple(range(2, 9)),
    vco_in_hz=(2_660_000, 16 * MHZ),
    vco_out_hz=(64 * MHZ, 344 * MHZ),
    hz_per_wait_state=24 * MHZ,
    core_is_bus=True,
    classic_uart=False,
    dma_streams=(0, 0),
    dma_requests=0,
    source="RM0444: RCC_PLLCFGR; wait states by HCLK, voltage range 1",
)
