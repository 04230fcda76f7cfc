"""One operator as the templates see it: its kernel, its constants, its memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.codegen.arena import NOWHERE, ArenaPlan
from lnn_edge.codegen.codetext import Code
from lnn_edge.codegen.kernels import Kernel, reach, select
from lnn_edge.codegen.kernels.loop import plan_body
from lnn_edge.codegen.units import holds
from lnn_edge.graph.ir import AbstractOp, makers_of
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.stage import State

C_TYPES = {
    "int8": "int8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
}


@dataclass(frozen=True)
class OperatorCode:
    """One operator as the template sees it.

    Attributes:
        op: The operator.
        kernel: The kernel that computes it.
        symbol: Name of its C function.
        constants: C symbol of each packed constant, by the kernel's name for it.
        arguments: Memory of each input, output and scratch: (declaration, expression).
        inner: Operators that it runs.
        inside: Places of their tensors in its scratch.
        is_convex: Whether its membranes need no limit.
        ring: Frames of the ring in which its input lies, 0 where it lies in one piece. The C then
            gets the slot in which the input begins, `slot`.
    """

    op: AbstractOp
    kernel: Kernel
    symbol: str
    constants: dict[str, str]
    arguments: tuple[tuple[Code, Code], ...]
    inner: tuple[OperatorCode, ...] = ()
    inside: ArenaPlan = NOWHERE
    is_convex: bool = False
    ring: int = 0

    @property
    def holds(self) -> tuple[str, ...]:
        """Names of the operators of the graph that it computes."""
        return tuple(op.name for op in holds(self.op))

    def constants_of(self, op: AbstractOp) -> dict[str, str]:
        """Return the symbols of the constants of an operator that this one holds."""
        prefix = f"{op.name}_"
        return {
            label.removeprefix(prefix): symbol
            for label, symbol in self.constants.items()
            if label.startswith(prefix)
        }

    @property
    def carried(self) -> tuple[tuple[State, Code, Code], ...]:
        """States that go from round to round, each with its memory and that of its update."""
        states = self.op.states if isinstance(self.op, Loop) else ()
        own = _in_scratch(self.inside)
        return tuple((s, own[s.tensor.name], own[s.update.name]) for s in states)

    @property
    def result(self) -> Code:
        """C expression of what a round gives."""
        assert isinstance(self.op, Loop)
        return _body_places(self.op, self.inside)[self.op.result.name]

    @property
    def points(self) -> int:
        """Tensors that are written in a round."""
        return sum(len(o.op.outputs) for o in self.inner)


class Weights:
    """Constants of a model by C symbol; equal arrays share one, and so do beginnings of others.

    Attributes:
        arrays: By symbol.
        symbols: All that were asked for.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.symbols: list[str] = []

    def take(self, prefix: str, constants: Mapping[str, np.ndarray]) -> dict[str, str]:
        """Return the symbols of an operator's constants by the kernel's names."""
        names = {}
        for label, array in constants.items():
            self.symbols.append(f"{prefix}_{label}")
            names[label] = self._same(array) or self.symbols[-1]
            self.arrays.setdefault(names[label], array)
        return names

    def _same(self, array: np.ndarray) -> str | None:
        """Return the symbol of an array that begins with this one."""
        begin = array.tobytes()
        alike = (
            s for s, a in self.arrays.items() if a.dtype == array.dtype and a.size >= array.size
        )
        return next((s for s in alike if self.arrays[s].tobytes().startswith(begin)), None)


def operator_code(
    op: AbstractOp,
    kernel: Kernel,
    prefixes: tuple[str, str],
    weights: Weights,
    places: Mapping[str, Code],
    makers: Mapping[str, AbstractOp],
) -> OperatorCode:
    """Return an operator, and those inside it, as templates see them.

    Args:
        op: The operator.
        kernel: What computes it.
        prefixes: Of the symbols of constants, and of functions.
        weights: Takes the constants.
        places: C expression of the memory of each tensor, and of scratch.
        makers: What makes each tensor beside it.
    """
    of_constants, of_functions = (f"{prefix}_{op.name}" for prefix in prefixes)
    names = weights.take(of_constants, kernel.pack(op))
    arguments, proved = tuple(_arguments(places, op)), reach.is_convex(op, makers)
    code = OperatorCode(op, kernel, of_functions, names, arguments, is_convex=proved)
    if not isinstance(op, Loop):
        return code
    inside = plan_body(op, select, kernel.inside)
    own, beside = _body_places(op, inside), makers_of(op.body)
    inner = tuple(
        operator_code(o, select(o, kernel.inside), prefixes, weights, own, beside) for o in op.body
    )
    return replace(code, inner=inner, inside=inside)


def _in_scratch(inside: ArenaPlan) -> dict[str, Code]:
    return {n: Code("(void *) &scratch[%d]") % (s.offset // 2) for n, s in inside.slots.items()}


def _body_places(op: Loop, inside: ArenaPlan) -> dict[str, Code]:
    """Return the C expression of the memory of each tensor inside a loop, and of scratch."""
    places = {**_in_scratch(inside), op.step.name: Code("step")}
    for index, state in enumerate(op.states):
        places[state.tensor.name] = Code("state%d") % index
        places[state.update.name] = Code("update%d") % index
    return places


def _arguments(places: Mapping[str, Code], op: AbstractOp) -> Iterator[tuple[Code, Code]]:
    read, written = ([places[t.name] for t in tensors] for tensors in (op.inputs, op.outputs))
    for prefix, tensors in (("x", op.inputs), ("y", op.outputs)):
        for index, tensor in enumerate(tensors):
            const = Code("const " if prefix == "x" else "")
            place = places[tensor.name]
            is_shared = place in read and place in written
            restrict = Code("" if is_shared else "LNN_RESTRICT ")
            pointer = Code("%s%s *") % (const, C_TYPES[tensor.dtype])
            typed = Code("(%s) %s") % (pointer, place) if place.startswith("(") else place
            yield Code("%s%s%s%d") % (pointer, restrict, prefix, index), typed
    if f"{op.name}.scratch" in places:
        scratch = places[f"{op.name}.scratch"]
        yield Code("int16_t *LNN_RESTRICT scratch"), Code("(int16_t *) %s") % scratch
    if f"{op.name}.slot" in places:
        yield Code("const uint32_t slot"), places[f"{op.name}.slot"]
