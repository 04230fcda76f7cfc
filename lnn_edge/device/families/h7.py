"""STM32H7."""

from __future__ import annotations

from lnn_edge.device.families.family import MHZ, Family

FAMILY = Family(
    name="stm32h7",
    hsi_hz=64 * MHZ,
    reset_hz=64 * MHZ,
    m=(1, 63),
    n=(4, 512),
    divider="p",
    divisors=tuple(range(2, 129, 2)),
    vco_in_hz=(2 * MHZ, 16 * MHZ),
    vco_out_hz=(192 * MHZ, 836 * MHZ),
    hz_per_wait_state=70 * MHZ,
    core_is_bus=False,
    classic_uart=False,
    dma_streams=(0, 7),
    dma_requests=116,
    source="RM0433: RCC_PLLCFGR, wide VCO; wait states by AXI clock, scale VOS1; DMAMUX1",
)
