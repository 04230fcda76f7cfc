"""Nordic nRF51, as QEMU's micro:bit has it."""

from __future__ import annotations

from lnn_edge.device.families.family import MHZ, Family

FAMILY = Family(
    name="nrf51",
    hsi_hz=0,
    reset_hz=0,
    m=(0, 0),
    n=(0, 0),
    divider="",
    divisors=(),
    vco_in_hz=(0, 0),
    vco_out_hz=(0, 0),
    hz_per_wait_state=1000 * MHZ,
    core_is_bus=True,
    classic_uart=False,
    dma_streams=(0, 0),
    dma_requests=0,
    source="QEMU manual, BBC micro:bit; nRF51 Series Reference Manual",
    is_fixed=True,
)
