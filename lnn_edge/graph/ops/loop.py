"""Operators that run on each element of a window, from rest: recurrence inside one step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from array_api_compat import array_namespace

from lnn_edge.errors import GraphError
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.rescale import each
from lnn_edge.graph.stage import State, check_flow

Values = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Loop(AbstractOp):
    """s, r_t = body(x_t, s) for t = 0 ... count - 1, s from its initial values; y = r_t of all t.

    Shapes x (any), y (count, *result.shape), or result.shape for the last alone. x_t is element
    vector [first + t * stride, first + t * stride + step.size) of x as it lies in memory. Nothing
    outlives the step: what is proved of the body for one round holds for all.

    Attributes:
        body: In execution order; each reads `step`, states and what the body wrote before.
        states: Carried from round to round; each update is an output of the body.
        step: x_t, in the format of x.
        result: r_t, an output of the body.
        count: Rounds.
        first: Element of x with which the first round begins.
        stride: Elements of x from one round to the next.
    """

    kind: ClassVar[str] = "loop"
    channel_scales: ClassVar[tuple[str, ...]] = ("x0",)
    channel_zero_points: ClassVar[tuple[str, ...]] = ("x0",)
    body: tuple[AbstractOp, ...]
    states: tuple[State, ...]
    step: QTensor
    result: QTensor
    count: int
    first: int
    stride: int

    def check(self) -> None:
        """Check that the body is whole, and that x and y hold its rounds."""
        self.require(
            self.count >= 1 and self.stride >= 1,
            f"rounds and stride must be at least 1, not {self.count} and {self.stride}",
        )
        self.require(
            bool(self.body) and all(op.inputs and not op.nested for op in self.body),
            "it must hold operators that read something, and no loop",
        )
        try:
            check_flow("body", self.given, self.body, self.kept)
        except GraphError as error:
            self.require(False, str(error))
        written = [t for op in self.body for t in op.outputs]
        updates = [state.update for state in self.states]
        self.require(
            self.result in written and all(t in written for t in updates),
            "result and updates must be outputs of the body",
        )
        self.require(
            len({t.name for t in updates}) == len(updates), "two states have the same update"
        )
        self._check_elements()
        self._check_output()

    def _check_elements(self) -> None:
        x, step = self.inputs[0], self.step
        last = self.first + (self.count - 1) * self.stride + step.size
        self.require(0 <= self.first and last <= x.size, f"elements up to {last} of {x.size}")
        self.require(
            x.dtype == step.dtype and step.qmin <= x.qmin and x.qmax <= step.qmax,
            f"{step.name} does not hold the elements of {x.name}",
        )
        for what in ("scales", "zero_points"):
            rounds = (each(x, what, at, step.size) for at in self.starts)
            own = each(step, what, 0, step.size)
            self.require(
                all(np.array_equal(own, values) for values in rounds),
                f"{step.name} and the elements of {x.name} have different formats",
            )

    def _check_output(self) -> None:
        y, result = self.outputs[0], self.result
        self.require(
            y.shape in ((self.count, *result.shape), result.shape),
            f"output shape must be {(self.count, *result.shape)} or {result.shape}, not {y.shape}",
        )
        formats = [(t.dtype, t.scale, t.zero_point) for t in (y, result)]
        self.require(
            formats[0] == formats[1] and y.qmin <= result.qmin and result.qmax <= y.qmax,
            f"{y.name} does not hold {result.name}",
        )

    @property
    def given(self) -> tuple[QTensor, ...]:
        """Tensors that a round finds."""
        return (self.step, *(state.tensor for state in self.states))

    @property
    def kept(self) -> tuple[QTensor, ...]:
        """Tensors that must survive to the end of a round."""
        return (self.result, *(state.update for state in self.states))

    @property
    def starts(self) -> range:
        """Element of x with which each round begins."""
        return range(self.first, self.first + self.count * self.stride, self.stride)

    @property
    def gives_all(self) -> bool:
        """Whether y holds the result of every round."""
        return self.outputs[0].shape != self.result.shape

    @property
    def nested(self) -> tuple[AbstractOp, ...]:
        """The body."""
        return self.body

    @property
    def rounds(self) -> int:
        """Rounds."""
        return self.count

    @property
    def own_tensors(self) -> tuple[QTensor, ...]:
        """What a round finds and what the body writes."""
        return (*self.given, *(t for op in self.body for t in op.outputs))

    @property
    def macs(self) -> int:
        """Those of all rounds."""
        return self.count * sum(op.macs for op in self.body)

    def run(self, x: Array) -> Iterator[Values]:
        """Yield every tensor of each round by name."""
        xp, axes = array_namespace(x), len(self.inputs[0].shape)
        flat = x.reshape(*x.shape[: x.ndim - axes], -1)
        state: Values = {}
        for s in self.states:
            zeros = xp.zeros((*flat.shape[:-1], *s.tensor.shape), dtype=x.dtype)
            state[s.tensor.name] = zeros + s.initial
        for at in self.starts:
            part = flat[..., at : at + self.step.size]
            values = {**state, self.step.name: part.reshape(*flat.shape[:-1], *self.step.shape)}
            for op in self.body:
                outputs = op.reference(*(values[t.name] for t in op.inputs))
                values.update(zip((t.name for t in op.outputs), outputs, strict=True))
            state = {s.tensor.name: values[s.update.name] for s in self.states}
            yield values

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the results, exactly."""
        (x,) = inputs
        results = [values[self.result.name] for values in self.run(x)]
        if not self.gives_all:
            return (results[-1],)
        return (array_namespace(x).stack(results, axis=-1 - len(self.result.shape)),)
