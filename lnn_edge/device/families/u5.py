"""STM32U5."""

from __future__ import annotations

from lnn_edge.device.families.family import MHZ, Family

FAMILY = Family(
    name="stm32u5",
    hsi_hz=16 * MHZ,
    reset_hz=4 * MHZ,
    m=(1, 16),
    n=(4, 512),
    divider="r",
    divisors=(1, *range(2, 129, 2)),
    vco_in_hz=(4 * MHZ, 16 * MHZ),
    vco_out_hz=(128 * MHZ, 544 * MHZ),
    hz_per_wait_state=32 * MHZ,
    core_is_bus=True,
    classic_uart=False,
    dma_streams=(0, 0),
    dma_requests=0,
    source="RM0456: RCC_PLL1CFGR, RCC_PLL1DIVR; wait states by HCLK, voltage range 1",
)
