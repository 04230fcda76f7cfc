"""The facts of one family of microcontrollers, as types."""

from __future__ import annotations

from dataclasses import dataclass

MHZ = 1_000_000
EVEN = (2, 4, 6, 8)


@dataclass(frozen=True)
class Family:
    """What all parts of a family share: the limits of its clock tree, its USART and its DMA.

    Attributes:
        name: As in a board file's mcu.family.
        hsi_hz: Internal oscillator.
        reset_hz: Core clock after reset.
        m: Range of the input divider.
        n: Range of the multiplier.
        divider: Name of the output divider.
        divisors: Its values.
        vco_in_hz: Range of the PLL's input after the divider.
        vco_out_hz: Range of its oscillator.
        hz_per_wait_state: Bus clock that each flash wait state adds, at 2.7 to 3.6 V.
        core_is_bus: Whether the bus divider also divides the core clock.
        classic_uart: Whether the USART has SR and DR (else ISR, RDR, TDR).
        dma_streams: Range of the DMA's streams or channels.
        dma_requests: How many requests a stream chooses from.
        source: Documents.
        is_fixed: Whether clock and pins are what they are when it starts: an image of an FPGA, or
            a machine of an emulator. Ranges are (0, 0) there, and the board tells the core clock.
        halved_hsi: Whether the internal oscillator reaches the PLL halved, whatever m.
    """

    name: str
    hsi_hz: int
    reset_hz: int
    m: tuple[int, int]
    n: tuple[int, int]
    divider: str
    divisors: tuple[int, ...]
    vco_in_hz: tuple[int, int]
    vco_out_hz: tuple[int, int]
    hz_per_wait_state: int
    core_is_bus: bool
    classic_uart: bool
    dma_streams: tuple[int, int]
    dma_requests: int
    source: str
    is_fixed: bool = False
    halved_hsi: bool = False
