"""What each kernel takes: instructions, code, constants, stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lnn_edge.report.built import OperatorFacts
from lnn_edge.report.facts import Report
from lnn_edge.report.words import how_to_count, operator_sentence


@dataclass(frozen=True)
class Kernel:
    """One C function, and the operators that it computes.

    Attributes:
        place: In the order of execution, from 1 on.
        operators: Joined in it; usually one.
        instructions: A decision, all runs since the one before; None where they were not counted.
    """

    place: int
    operators: tuple[OperatorFacts, ...]
    instructions: float | None

    @property
    def names(self) -> str:
        """Names of its operators."""
        return ", ".join(o.name for o in self.operators)

    @property
    def kinds(self) -> str:
        """What they compute."""
        return ", ".join(dict.fromkeys(o.kind for o in self.operators))

    @property
    def form(self) -> str:
        """Which kernel it is."""
        return self.operators[0].kernel

    @property
    def macs(self) -> int:
        """Multiply-accumulates a decision."""
        return sum(o.macs for o in self.operators)

    @property
    def code_bytes(self) -> int:
        """Of the function."""
        return max(o.code_bytes for o in self.operators)

    @property
    def const_bytes(self) -> int:
        """Of weights and tables."""
        return sum(o.const_bytes for o in self.operators)

    @property
    def stack_bytes(self) -> int:
        """With all it calls."""
        return max(o.stack_bytes for o in self.operators)


def context(report: Report) -> dict[str, Any]:
    """Return the kernels, those of the most instructions first; none before a build."""
    build, profiled = report.build, report.profiled
    if build is None:
        return {"kernels": None}
    counted = profiled.per_step if profiled else None
    kernels = kernels_of(build.operators, counted)
    if counted is not None:
        kernels.sort(key=lambda k: (-(k.instructions or 0), k.place))
    names = ("macs", "code_bytes", "const_bytes", "stack_bytes", "instructions")
    largest = {n: max((getattr(k, n) or 0 for k in kernels), default=0) for n in names}
    total = {n: sum(getattr(k, n) or 0 for k in kernels) for n in names if n != "stack_bytes"}
    functions = {o.function for o in build.operators}
    return {
        "kernels": kernels,
        "largest": largest,
        "total": total,
        "is_counted": counted is not None,
        "has_joined": len(kernels) < len(build.operators),
        "sentence": (
            operator_sentence(profiled, functions) if profiled else how_to_count(report.project)
        ),
    }


def kernels_of(
    operators: Sequence[OperatorFacts], per_step: dict[str, float] | None
) -> list[Kernel]:
    """Return the kernels in the order of execution; operators of one function share one."""
    joined: dict[str, list[OperatorFacts]] = {}
    for operator in operators:
        joined.setdefault(operator.function, []).append(operator)
    return [
        Kernel(i + 1, tuple(ops), None if per_step is None else per_step.get(function, 0.0))
        for i, (function, ops) in enumerate(joined.items())
    ]
