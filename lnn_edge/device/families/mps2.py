"""Arm MPS2 and MPS3 FPGA boards, as QEMU has them."""

from __future__ import annotations

from lnn_edge.device.families.family import MHZ, Family

FAMILY = Family(
    name="mps2",
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
    source="QEMU manual, Arm MPS2 and MPS3 boards; Arm DAI 0385, 0386, 0500, 0505, 0547",
    is_fixed=True,
)
