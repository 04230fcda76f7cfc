"""Flash, RAM and stack of a linked firmware, by section and operator, against the budgets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn_edge.build.stack import StackReport
from lnn_edge.errors import BuildError, UsageError
from lnn_edge.files import tables
from lnn_edge.files.read import read_json
from lnn_edge.files.reason import reason_of
from lnn_edge.files.write import write_whole

if TYPE_CHECKING:
    from lnn_edge.device.board import Board, Region
    from lnn_edge.device.elf import Elf, Section

STACK_SECTION = ".stack"
_AGAIN = "delete the folder and build again"


@dataclass(frozen=True)
class Limits:
    """The user's budget.

    Attributes:
        max_flash: Bytes of flash, None for no limit but the board's.
        max_ram: Bytes of RAM with the worst-case stack, None for no limit but the board's.
    """

    max_flash: int | None = None
    max_ram: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can meet."""
        for name, value in (("flash", self.max_flash), ("RAM", self.max_ram)):
            if value is not None and value <= 0:
                raise UsageError(f"the {name} limit is {value}; give a positive number of bytes")


@dataclass(frozen=True)
class OperatorSymbols:
    """What the exported project says of one operator.

    Attributes:
        name: The operator.
        holds: Operators of the graph that it computes.
        kernel: The kernel that computes it.
        function: Its C function.
        constants: C symbols of its constants that no earlier operator uses.
    """

    name: str
    holds: tuple[str, ...]
    kernel: str
    function: str
    constants: tuple[str, ...]


@dataclass(frozen=True)
class OperatorSize:
    """One operator, in bytes; `stack_bytes` includes what it calls."""

    code_bytes: int
    const_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class RegionUse:
    """One memory of the board, in bytes; the stack counts as reserved."""

    used: int
    size: int


@dataclass(frozen=True)
class SizeReport:
    """What a firmware takes.

    Attributes:
        board: Name of the board.
        flash_bytes: Image of code, constants and initial values.
        ram_bytes: Variables and the model's context, without the stack.
        stack_bytes: Worst case of the stack.
        sections: Bytes by linked section.
        regions: Use of each memory.
        operators: Size of each operator, in execution order.
        stack: How the worst case comes about.
        budget_failures: One sentence for each budget that is exceeded.
    """

    board: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    sections: dict[str, int]
    regions: dict[str, RegionUse]
    operators: dict[str, OperatorSize]
    stack: StackReport
    budget_failures: tuple[str, ...]

    @property
    def budget_ok(self) -> bool:
        """Whether every budget is kept."""
        return not self.budget_failures

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in size.json."""
        return {
            "board": self.board,
            "flash_bytes": self.flash_bytes,
            "ram_bytes": self.ram_bytes,
            "stack_bytes": self.stack_bytes,
            "sections": self.sections,
            "regions": {name: asdict(use) for name, use in self.regions.items()},
            "operators": {name: asdict(size) for name, size in self.operators.items()},
            "stack": self.stack.to_json(),
            "budget_ok": self.budget_ok,
            "budget_failures": list(self.budget_failures),
        }


def measure(
    elf: Elf,
    board: Board,
    stack: StackReport,
    operators: Sequence[OperatorSymbols],
    limits: Limits,
) -> SizeReport:
    """Measure a linked firmware.

    Args:
        elf: The firmware.
        board: The board that it was linked for.
        stack: Its worst-case stack.
        operators: The model's operators.
        limits: The user's budget.
    """
    flash = _image_bytes(elf, board.region(board.layout.flash))
    variables = [s for s in elf.sections if s.name != STACK_SECTION and _is_in(s, board, "ram")]
    ram = sum(s.size for s in variables)
    return SizeReport(
        board=board.name,
        flash_bytes=flash,
        ram_bytes=ram,
        stack_bytes=stack.total_bytes,
        sections={s.name: s.size for s in elf.sections},
        regions={r.name: RegionUse(_used(elf, r), r.size) for r in board.memory},
        operators=_operators(elf, stack.functions, operators),
        stack=stack,
        budget_failures=tuple(_failures(board, limits, flash, ram, stack)),
    )


def write_size(report: SizeReport, path: Path) -> None:
    """Write size.json, whole or not at all."""
    write_whole(path, json.dumps(report.to_json(), indent=1) + "\n")


def read_size(path: Path, board: Board, limits: Limits) -> SizeReport:
    """Read what write_size wrote, and judge it.

    Args:
        path: Of size.json.
        board: The board that it was measured for.
        limits: The user's budget, which need not be the one it was judged by before.

    Raises:
        BuildError: It is damaged: a key or type is wrong.
    """
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} is damaged ({reason_of(error)}); {_AGAIN}") from None
    if isinstance(values, dict):
        values.pop("budget_ok", None)  # follows from the failures
    report = tables.build(SizeReport, values, str(path), BuildError)
    flash, ram = report.flash_bytes, report.ram_bytes
    failures = tuple(_failures(board, limits, flash, ram, report.stack))
    return replace(report, budget_failures=failures)


def _is_in(section: Section, board: Board, kind: str) -> bool:
    return any(r.kind == kind and r.start <= section.address < r.end for r in board.memory)


def _image_bytes(elf: Elf, flash: Region) -> int:
    """Bytes from the start of the flash to the last one that is stored there, gaps included."""
    ends = [s.load_address + s.size - flash.start for s in elf.sections if s.data is not None]
    return max((end for end in ends if 0 < end <= flash.size), default=0)


def _used(elf: Elf, region: Region) -> int:
    if region.kind == "flash":
        return _image_bytes(elf, region)
    return sum(s.size for s in elf.sections if region.start <= s.address < region.end)


def _operators(
    elf: Elf, depths: Mapping[str, int], operators: Sequence[OperatorSymbols]
) -> dict[str, OperatorSize]:
    sizes = {symbol.name: symbol.size for symbol in elf.symbols}
    return {
        operator.name: OperatorSize(
            code_bytes=sizes.get(operator.function, 0),
            const_bytes=sum(sizes.get(name, 0) for name in operator.constants),
            stack_bytes=depths.get(operator.function, 0),
        )
        for operator in operators
    }


def _failures(
    board: Board, limits: Limits, flash: int, ram: int, stack: StackReport
) -> Iterator[str]:
    reserved = board.layout.stack_bytes
    if stack.total_bytes > reserved:
        yield (
            f"the stack may grow to {stack.total_bytes} bytes, {board.name} reserves {reserved}; "
            "raise layout.stack_bytes of the board"
        )
    if limits.max_flash is not None and flash > limits.max_flash:
        yield f"flash is {flash} bytes, {_over(flash, limits.max_flash)}"
    total = ram + stack.total_bytes
    if limits.max_ram is not None and total > limits.max_ram:
        yield f"RAM with the worst-case stack is {total} bytes, {_over(total, limits.max_ram)}"


def _over(size: int, limit: int) -> str:
    return f"{size - limit} more than the limit of {limit}"
