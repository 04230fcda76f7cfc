"""What the build of a project measured, and each operator's share of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from lnn_edge.build.cmake import build
from lnn_edge.build.project import Project
from lnn_edge.build.record import file_sha256, is_built
from lnn_edge.build.size import OperatorSize
from lnn_edge.errors import UsageError
from lnn_edge.files.names import shown
from lnn_edge.graph.ir import AbstractOp


@dataclass(frozen=True)
class OperatorFacts:
    """Cost of one operator.

    Attributes:
        name: The operator.
        kind: What it computes.
        kernel: The kernel that computes it.
        function: Its C function.
        macs: Multiply-accumulates a step.
        code_bytes: Its function.
        const_bytes: Its constants.
        stack_bytes: With all it calls.
    """

    name: str
    kind: str
    kernel: str
    function: str
    macs: int
    code_bytes: int
    const_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class BuildFacts:
    """What the build measured.

    Attributes:
        flash_bytes: Image of code, constants and initial values.
        ram_bytes: Variables and the model's context, without the stack.
        stack_bytes: Worst case of the stack.
        sections: Bytes by linked section.
        used: Bytes in use of each memory.
        operators: In execution order.
        stack_path: Functions on the deepest way from reset.
        budget_failures: One sentence for each budget that is exceeded.
        elf_sha256: Hash of firmware.elf.
        compiler: As the compiler signed the ELF, "" if it did not.
        why: Why it was built for this report; None if a fresh build lay there.
    """

    flash_bytes: int
    ram_bytes: int
    stack_bytes: int
    sections: dict[str, int]
    used: dict[str, int]
    operators: tuple[OperatorFacts, ...]
    stack_path: tuple[str, ...]
    budget_failures: tuple[str, ...]
    elf_sha256: str
    compiler: str
    why: str | None


def build_facts(project: Project) -> BuildFacts | None:
    """Return what a fresh build measured; a project that was never built is not built here."""
    if not is_built(project.folder, "board"):
        return None
    built = build(project.folder)
    assert built.size is not None  # of a board
    size = built.size
    return BuildFacts(
        size.flash_bytes,
        size.ram_bytes,
        size.stack_bytes,
        size.sections,
        {name: use.used for name, use in size.regions.items()},
        _operators(project, size.operators),
        size.stack.main_path,
        size.budget_failures,
        file_sha256(built.elf),
        _compiler(built.elf),
        built.why,
    )


def _operators(project: Project, sizes: Mapping[str, OperatorSize]) -> tuple[OperatorFacts, ...]:
    exported: Any = project.export["operators"]
    ops = {op.name: (op, runs) for op, runs in project.graph.all_ops}
    held = [(name, o["name"] in sizes) for o in exported for name in o["holds"]]
    unknown = [name for name, is_built in held if name not in ops or not is_built]
    if unknown:
        raise UsageError(
            f"{project.folder}/export.json names an operator {shown(repr(unknown[0]))}, which the "
            "graph does not have; run `lnn-edge export` again"
        )
    return tuple(
        OperatorFacts(
            ", ".join(o["holds"]),
            ", ".join(dict.fromkeys(ops[name][0].kind for name in o["holds"])),
            o["kernel"],
            o["function"],
            sum(_own_macs(*ops[name]) for name in o["holds"]),
            *astuple(sizes[o["name"]]),
        )
        for o in exported
    )


def _own_macs(op: AbstractOp, runs: int) -> int:
    """Return the multiply-accumulates of an operator in a step; a loop leaves its own to others."""
    return 0 if op.nested else op.macs * runs


def _compiler(elf: Path) -> str:
    """Return what the compiler left in the section .comment."""
    try:
        with elf.open("rb") as stream:
            section = ELFFile(stream).get_section_by_name(".comment")
            signature = section.data() if section is not None else b""
    except ELFError:
        return ""
    return ", ".join(sorted({s.decode("ascii", "replace") for s in signature.split(b"\0") if s}))
