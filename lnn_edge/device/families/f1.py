"""STM32F1."""

from __future__ import annotations

from lnn_edge.device.families.family import MHZ, Family

FAMILY = Family(
    name="stm32f1",
    hsi_hz=8 * MHZ,
    reset_hz=8 * MHZ,
    m=(1, 2),
    n=(2, 16),
    divider="p",
    divisors=(1,),
    vco_in_hz=(1 * MHZ, 25 * MHZ),
    vco_out_hz=(16 * MHZ, 72 * MHZ),
    hz_per_wait_state=24 * MHZ,
    core_is_bus=True,
    classic_uart=True,
    dma_streams=(0, 0),
    dma_requests=0,
    source="RM0008: RCC_CFGR, PLLMUL; FLASH_ACR; DS5319: PLL characteristics",
    halved_hsi=True,
)
