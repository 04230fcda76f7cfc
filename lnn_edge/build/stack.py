"""Worst-case stack of a firmware: main program, nested interrupts and one fault on top.

Frames come from the compiler, the call graph from the linked instructions. No tool runs here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn_edge.build.disassembly import Routine, read_routines
from lnn_edge.errors import BuildError

if TYPE_CHECKING:
    from lnn_edge.device.elf import Elf

FRAME_BYTES = 32  # eight words: r0-r3, r12, lr, pc, xpsr (Armv7-M ARM, exception entry)
FLOAT_FRAME_BYTES = 104  # and s0-s15, fpscr, one word of padding
ALIGNMENT_BYTES = 4  # the frame starts at a multiple of 8
VECTORS = ".vectors"
FAULTS = range(2, 8)  # NMI, HardFault, MemManage, BusFault, UsageFault, SecureFault

Frames = Mapping[tuple[str, str], int]
"""Bytes by (file name or "" for a global function, function)."""


@dataclass(frozen=True)
class Handler:
    """One exception handler.

    Attributes:
        name: Its function.
        bytes: What it takes from the stack, the frame that the core pushes included.
    """

    name: str
    bytes: int


@dataclass(frozen=True)
class StackReport:
    """Worst case in bytes.

    Attributes:
        total_bytes: main + every interrupt nested once in another + the deepest fault handler.
        main_bytes: From reset to the deepest function.
        main_path: The functions on that way.
        interrupts: Each interrupt handler.
        fault: The deepest fault handler; None if the vector table has none.
        functions: Depth of each function with all it calls, by name; empty if read from size.json.
    """

    total_bytes: int
    main_bytes: int
    main_path: tuple[str, ...]
    interrupts: tuple[Handler, ...]
    fault: Handler | None
    functions: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the functions."""
        return {key: value for key, value in asdict(self).items() if key != "functions"}


def read_frames(files: Iterable[Path]) -> dict[tuple[str, str], int]:
    """Read what ``-fcallgraph-info=su`` wrote.

    Raises:
        BuildError: A function's frame has no fixed size.
    """
    frames: dict[tuple[str, str], int] = {}
    node = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?\\n(\d+) bytes \(([a-z,]+)\)')
    for file in sorted(files):
        for title, size, kind in node.findall(file.read_text()):
            place, _, name = title.rpartition(":")
            if kind == "dynamic":
                raise BuildError(
                    f"{name}: its stack frame has no fixed size; remove arrays of variable length"
                )
            key = (Path(place).name if place else "", name)
            frames[key] = max(frames.get(key, 0), int(size))
    return frames


def analyse_stack(elf: Elf, disassembly: str, frames: Frames, float_frames: bool) -> StackReport:
    """Compute the worst case.

    An interrupt may nest in any other but not in itself, whatever the priorities; a fault ends the
    program, so one level of it counts.

    Args:
        elf: The linked firmware, with its vector table in section .vectors.
        disassembly: Its instructions, as `lnn_edge.build.disassembly` reads them.
        frames: Frames that the compiler reported.
        float_frames: Whether the core may push floating-point registers on exceptions.

    Raises:
        BuildError: No vector table, recursion, a call through a pointer or an unknown frame.
    """
    graph = _Graph(read_routines(disassembly, elf.functions), _frames_by_address(elf, frames))
    entry, faults, interrupts = _vectors(elf)
    pushed = (FLOAT_FRAME_BYTES if float_frames else FRAME_BYTES) + ALIGNMENT_BYTES
    handlers = {a: Handler(graph.name(a), graph.depth(a) + pushed) for a in faults | interrupts}
    fault = max((handlers[a] for a in faults), key=lambda h: (h.bytes, h.name), default=None)
    nested = tuple(handlers[a] for a in sorted(interrupts))
    main = graph.depth(entry)
    total = main + sum(h.bytes for h in nested) + (fault.bytes if fault else 0)
    return StackReport(total, main, graph.path(entry), nested, fault, graph.depths())


def _vectors(elf: Elf) -> tuple[int, set[int], set[int]]:
    """Return entry, fault handlers and interrupt handlers."""
    table = next((s for s in elf.sections if s.name == VECTORS), None)
    if table is None or table.data is None or table.size < 8:
        raise BuildError(f"{elf.path}: no vector table in section {VECTORS}")
    words = [int.from_bytes(table.data[i : i + 4], "little") for i in range(0, table.size, 4)]
    handlers = {number: word & ~1 for number, word in enumerate(words) if number > 1 and word}
    faults = {address for number, address in handlers.items() if number in FAULTS}
    return words[1] & ~1, faults, set(handlers.values()) - faults


def _frames_by_address(elf: Elf, frames: Frames) -> dict[int, int]:
    """Join frames to the linked functions; static ones of one name are told apart by their file."""
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    found: dict[int, int] = {}
    with elf.path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise BuildError(f"{elf.path}: no symbol table; build it without stripping")
        file = ""
        for entry in table.iter_symbols():
            kind, bind = entry["st_info"]["type"], entry["st_info"]["bind"]
            if kind == "STT_FILE":
                file = entry.name
            elif kind == "STT_FUNC":
                key = (file if bind == "STB_LOCAL" else "", entry.name)
                if key in frames:
                    address = entry["st_value"] & ~1
                    found[address] = max(found.get(address, 0), frames[key])
    return found


class _Graph:
    """Call graph with the depth of each function, computed on demand."""

    def __init__(self, routines: dict[int, Routine], frames: dict[int, int]) -> None:
        self._routines = routines
        self._frames = frames
        self._depths: dict[int, int] = {}

    def name(self, address: int) -> str:
        """Name of the function at an address."""
        return self._routine(address).symbol.name

    def depths(self) -> dict[str, int]:
        """Depth of every function that is reached, by name; of several with one name the most."""
        found: dict[str, int] = {}
        for address, depth in sorted(self._depths.items()):
            found[self.name(address)] = max(depth, found.get(self.name(address), 0))
        return found

    def path(self, address: int) -> tuple[str, ...]:
        """Deepest way down from a function."""
        names = [self.name(address)]
        while self._routine(address).calls:
            address = max(self._routine(address).calls, key=lambda a: (self.depth(a), -a))
            names.append(self.name(address))
        return tuple(names)

    def depth(self, address: int, above: tuple[int, ...] = ()) -> int:
        """Bytes that a function takes with all it calls."""
        if address in above:
            names = [self.name(a) for a in (*above[above.index(address) :], address)]
            raise BuildError(f"recursion has no worst-case stack: {' -> '.join(names)}")
        if address not in self._depths:
            routine = self._routine(address)
            below = (self.depth(call, (*above, address)) for call in sorted(routine.calls))
            self._depths[address] = self._frame(routine) + max(below, default=0)
        return self._depths[address]

    def _routine(self, address: int) -> Routine:
        starts = (a for a, r in self._routines.items() if a <= address < r.end)
        start = address if address in self._routines else next(starts, None)
        if start is None:
            raise BuildError(f"{address:#010x} is called, but no function is there")
        return self._routines[start]

    def _frame(self, routine: Routine) -> int:
        name = routine.symbol.name
        if routine.indirect:
            raise BuildError(
                f"{name} calls through a pointer at {routine.indirect[0]:#010x}, which has no "
                "worst-case stack; call the function by its name"
            )
        if routine.moves_stack:
            raise BuildError(f"{name} moves the stack by a variable amount")
        # A naked function has a frame of 0 for the compiler, whatever its assembly pushes.
        return self._frames.get(routine.symbol.address) or routine.pushed
