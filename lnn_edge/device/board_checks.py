"""What must hold between the facts of a board: memories, clock arithmetic, pins, names.

The limits that a whole family shares are in `families`; those of a part are in its TOML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

from lnn_edge.device.board_facts import Board, Region, pin_of
from lnn_edge.device.cores import CORES
from lnn_edge.device.families import FAMILIES
from lnn_edge.device.families.family import MHZ
from lnn_edge.errors import BoardError
from lnn_edge.files.names import is_text, shown

LONGEST_FAULT = 400  # characters
NAME_BYTES = 32  # of the board's name in the protocol's HELLO
BAUD_TOLERANCE = 0.02  # a byte of 10 bits is sampled in the middle of its last bit


@dataclass(frozen=True)
class ClockTree:
    """Frequencies that a board's factors give, in Hz."""

    vco_in_hz: float
    vco_out_hz: float
    core_hz: float
    ahb_hz: float
    apb1_hz: float
    apb2_hz: float


def clock_tree(board: Board) -> ClockTree:
    """Compute the clocks from the input and the factors."""
    family, clock, pll = FAMILIES[board.mcu.family], board.clock, board.clock.pll
    if pll is None:
        return ClockTree(*6 * (float(clock.core_hz),))
    vco_in = (clock.hse_hz if clock.input == "hse" else family.hsi_hz) / pll.m
    vco_out = vco_in * pll.n
    out = vco_out / (pll.p if family.divider == "p" else pll.r)
    ahb = out / clock.ahb_div
    core = ahb if family.core_is_bus else out
    return ClockTree(vco_in, vco_out, core, ahb, ahb / clock.apb1_div, ahb / clock.apb2_div)


def check_board(board: Board, where: str) -> None:
    """Refuse a board whose facts contradict each other or its family.

    Raises:
        BoardError: The first contradiction, in one sentence.
    """
    for check in (
        _plain,
        _family,
        _core,
        _names,
        _memory,
        _layout,
        _factors,
        _clocks,
        _flash_and_power,
        _uart,
        _dma,
        _tools,
    ):
        for fault in check(board):
            raise BoardError(f"{where}: {shown(fault, LONGEST_FAULT)}")


def _family(board: Board) -> Iterator[str]:
    if board.mcu.family not in FAMILIES:
        yield f"mcu.family must be one of {', '.join(FAMILIES)}, not {board.mcu.family!r}"


def _core(board: Board) -> Iterator[str]:
    mcu, known = board.mcu, ("none", *CORES[board.mcu.cpu].fpus)
    if mcu.fpu not in known:
        yield f"mcu.fpu must be one of {', '.join(known)} on a {mcu.cpu}, not {mcu.fpu!r}"


def _plain(board: Board) -> Iterator[str]:
    """What is said to people goes into comments of C and CMake, and numbers into 32 bits."""
    for key, value in _leaves("", asdict(board)):
        if isinstance(value, str) and not is_text(value):
            yield f"{key} must be printable text on one line, not {value!r}"
        if type(value) is int and not 0 <= value < 1 << 32:
            yield f"{key} must be 0 to {(1 << 32) - 1}, not {value}"


def _leaves(key: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}".lstrip("."), inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _leaves(key, inner)
    else:
        yield key, value


def _names(board: Board) -> Iterator[str]:
    for name in (board.name, *board.aliases):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or len(name) > NAME_BYTES:
            yield f"name {name!r} needs 1 to {NAME_BYTES} lower-case letters, digits and hyphens"


def _memory(board: Board) -> Iterator[str]:
    names = [region.name for region in board.memory]
    for region in board.memory:
        if names.count(region.name) > 1:
            yield f"two memories are called {region.name!r}"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", region.name):
            yield f"memory name {region.name!r} needs lower-case letters, digits and underscores"
        if region.size <= 0 or region.size % 1024 or region.start % 1024 or region.start < 0:
            yield f"memory {region.name} at {region.start:#010x} is not made of whole KB"
        if region.end > 1 << 32:
            yield f"memory {region.name} ends at {region.end:#x}, beyond 32 bits"
    ordered = sorted(board.memory, key=lambda region: region.start)
    for low, high in pairwise(ordered):
        if low.end > high.start:
            yield f"memory {high.name} overlaps {low.name} ({high.start:#010x})"


def _layout(board: Board) -> Iterator[str]:
    layout = board.layout
    regions: dict[str, Region] = {region.name: region for region in board.memory}
    for use, name, kind in (
        ("flash", layout.flash, "flash"),
        ("data", layout.data, "ram"),
        ("stack", layout.stack, "ram"),
    ):
        if name not in regions or regions[name].kind != kind:
            yield f"layout.{use} must be a memory of kind {kind}, not {name!r}"
    if layout.stack_bytes <= 0 or layout.stack_bytes % 8:
        yield f"layout.stack_bytes must be a positive multiple of 8, not {layout.stack_bytes}"
    elif layout.stack_bytes > regions[layout.stack].size:
        yield f"layout.stack_bytes is {layout.stack_bytes}, more than {layout.stack} holds"


def _factors(board: Board) -> Iterator[str]:
    family, clock, pll = FAMILIES[board.mcu.family], board.clock, board.clock.pll
    if family.is_fixed != (pll is None):
        state = "must be left out" if family.is_fixed else "is missing"
        yield f"clock.pll {state} on {board.mcu.family}"
    if pll is None:
        return
    if family.halved_hsi and clock.input == "hsi" and pll.m != 2:
        yield f"clock.pll.m must be 2 where HSI feeds it, not {pll.m} ({family.source})"
    if clock.input == "hse" and clock.hse_hz <= 0:
        yield f"clock.hse_hz is {clock.hse_hz}, but the PLL is fed from it"
    used = {"p": pll.p, "r": pll.r}
    divisor = used.pop(family.divider)
    if any(used.values()):
        yield f"clock.pll: {board.mcu.family} divides by {family.divider}, leave out the other"
    if divisor not in family.divisors:
        yield f"clock.pll.{family.divider} must be one of {_some(family.divisors)}, not {divisor}"
    for name, value, (low, high) in (("m", pll.m, family.m), ("n", pll.n, family.n)):
        if not low <= value <= high:
            yield f"clock.pll.{name} must be {low} to {high}, not {value} ({family.source})"
    allowed = {"ahb_div": (1, 2, 4, 8, 16, 64, 128, 256, 512)}
    for name in ("ahb_div", "apb1_div", "apb2_div"):
        values = allowed.get(name, (1, 2, 4, 8, 16))
        if getattr(clock, name) not in values:
            yield f"clock.{name} must be one of {_some(values)}, not {getattr(clock, name)}"


def _some(values: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, values[:9]))
    return shown if len(values) <= 9 else f"{shown} ... {values[-1]}"


def _clocks(board: Board) -> Iterator[str]:
    family, mcu, tree = FAMILIES[board.mcu.family], board.mcu, clock_tree(board)
    if family.is_fixed:
        return
    if tree.core_hz != board.clock.core_hz:
        yield (
            f"clock.core_hz is {board.clock.core_hz}, but the PLL gives {tree.core_hz:.0f} Hz; "
            "correct one of them"
        )
    for name, value, (low, high) in (
        ("the PLL's input", tree.vco_in_hz, family.vco_in_hz),
        ("the PLL's oscillator", tree.vco_out_hz, family.vco_out_hz),
        ("the core clock", tree.core_hz, (1, mcu.max_core_hz)),
        ("the bus clock", tree.ahb_hz, (1, mcu.max_ahb_hz)),
        ("the clock of apb1", tree.apb1_hz, (1, mcu.max_apb1_hz)),
        ("the clock of apb2", tree.apb2_hz, (1, mcu.max_apb2_hz)),
    ):
        if not low <= value <= high:
            yield f"{name} would be {value / MHZ:g} MHz, outside {low / MHZ:g} to {high / MHZ:g}"


def _flash_and_power(board: Board) -> Iterator[str]:
    family, clock, tree = FAMILIES[board.mcu.family], board.clock, clock_tree(board)
    needed = -(-int(tree.ahb_hz) // family.hz_per_wait_state) - 1
    if not needed <= clock.flash_wait_states <= 15:
        yield (
            f"clock.flash_wait_states must be at least {needed}, not "
            f"{clock.flash_wait_states}, at {tree.ahb_hz / MHZ:g} MHz ({family.source})"
        )
    above = board.mcu.overdrive_above_hz
    if clock.overdrive != (0 < above < clock.core_hz):
        state = "on" if clock.overdrive else "off"
        yield f"clock.overdrive is {state}, which does not fit {clock.core_hz / MHZ:g} MHz"


def _uart(board: Board) -> Iterator[str]:
    uart, tree = board.uart, clock_tree(board)
    if not re.fullmatch(r"(LP)?US?ART[0-9]{1,2}", uart.instance):
        yield f"uart.instance must be a name such as USART1, not {uart.instance!r}"
    yield from _pins(board)
    for name, value, high in (
        ("tx_af", uart.tx_af, 15),
        ("rx_af", uart.rx_af, 15),
        ("enable_bit", uart.enable_bit, 31),
        ("irq", uart.irq, 239),
    ):
        if not 0 <= value <= high:
            yield f"uart.{name} must be 0 to {high}, not {value}"
    if not 0x40000000 <= uart.base < 0x60000000 or uart.base % 0x400:
        yield f"uart.base must be the address of a peripheral, not {uart.base:#x}"
    reset_hz = FAMILIES[board.mcu.family].reset_hz or board.clock.core_hz
    for clock_hz in (tree.apb1_hz if uart.bus == "apb1" else tree.apb2_hz, reset_hz):
        divider = round(clock_hz / uart.baud) if uart.baud > 0 else 0
        if divider < 16 or abs(clock_hz / divider / uart.baud - 1) > BAUD_TOLERANCE:
            yield f"uart.baud is {uart.baud}, which a clock of {clock_hz / MHZ:g} MHz cannot make"


def _pins(board: Board) -> Iterator[str]:
    uart = board.uart
    if FAMILIES[board.mcu.family].is_fixed:
        if uart.tx or uart.rx:
            yield f'uart.tx and uart.rx must be "" on {board.mcu.family}, which has no pins'
        return
    for name, text in (("tx", uart.tx), ("rx", uart.rx)):
        try:
            pin_of(text)
        except BoardError as error:
            yield f"uart.{name}: {error}"
    if uart.tx == uart.rx:
        yield f"uart.tx and uart.rx are both {uart.tx}"


def _dma(board: Board) -> Iterator[str]:
    dma, family = board.dma, FAMILIES[board.mcu.family]
    if dma is None:
        return
    if not family.dma_requests:
        yield f"leave [dma] out: the firmware knows none on {family.name}"
        return
    if not re.fullmatch(r"B?DMA[0-9]?", dma.instance):
        yield f"dma.instance must be a name such as DMA1, not {dma.instance!r}"
    low, high = family.dma_streams
    for name, value, least, most in (
        ("enable_bit", dma.enable_bit, 0, 31),
        ("rx_stream", dma.rx_stream, low, high),
        ("tx_stream", dma.tx_stream, low, high),
        ("rx_request", dma.rx_request, 0, family.dma_requests - 1),
        ("tx_request", dma.tx_request, 0, family.dma_requests - 1),
        ("rx_irq", dma.rx_irq, 0, 239),
    ):
        if not least <= value <= most:
            yield f"dma.{name} must be {least} to {most}, not {value}"
    if dma.rx_stream == dma.tx_stream:
        yield f"dma.rx_stream and dma.tx_stream are both {dma.rx_stream}"
    if dma.rx_irq == board.uart.irq:
        yield f"dma.rx_irq is {dma.rx_irq}, which is the interrupt of {board.uart.instance}"
    if not 0x40000000 <= dma.base < 0x60000000 or dma.base % 0x400:
        yield f"dma.base must be the address of a peripheral, not {dma.base:#x}"
    reached = [region.name for region in board.memory if region.kind == "ram" and region.dma]
    if dma.region not in reached:
        yield (
            f"dma.region must be a RAM that DMA reaches ({', '.join(reached)}), not {dma.region!r}"
        )


def _tools(board: Board) -> Iterator[str]:
    if not re.fullmatch(r"(virtual|qemu:[a-z0-9-]+)?", board.tools.emulator):
        yield f'tools.emulator must be virtual, qemu:MACHINE or "", not {board.tools.emulator!r}'
    if not re.fullmatch(r"(?![. ])[A-Za-z0-9_ .-]*", board.tools.volume):
        yield f"tools.volume must be the label of a volume, not {board.tools.volume!r}"
    for script in board.tools.openocd:
        if not re.fullmatch(r"[A-Za-z0-9_./-]+\.cfg", script):
            yield f"tools.openocd: {script!r} is no configuration file (.cfg)"
