"""Which axis of each value is time: found by running a graph, not by rules for operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from lnn_edge.errors import LayerError
from lnn_edge.nn.trace import where

Values = dict[str, Any]
"""What nodes computed, by name."""


@dataclass(frozen=True)
class Axes:
    """Axes of a value.

    Attributes:
        names: "B", "T", "BT" (both in one), or a size that varies with neither.
    """

    names: tuple[str | int, ...]

    @property
    def static(self) -> tuple[int, ...]:
        """Sizes of one element in time."""
        return tuple(n for n in self.names if isinstance(n, int))

    @property
    def time(self) -> int | None:
        """Place of the axis that is time and nothing else."""
        return self.names.index("T") if "T" in self.names else None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes as a device sees them: one sequence, one step."""
        return tuple(n if isinstance(n, int) else 1 for n in self.names)


def find_axes(traced: fx.GraphModule, inputs: Sequence[Tensor]) -> Mapping[str, Axes]:
    """Return the axes of every node's value.

    The graph runs on (1, T), (2, T) and (1, T / 2), or (1, 2 T) and (1, 0.8 T) if it needs more: an
    axis is what its length varies with.

    Args:
        traced: See trace.
        inputs: Of forward, (N, T, ...) each.

    Raises:
        LayerError: forward works for one length only, or a value has no batch axis.
    """
    length = inputs[0].shape[1]
    one = [x[:1] for x in inputs]
    runs = [run_nodes(traced, *one), run_nodes(traced, *(torch.cat((x, x)) for x in one))]
    runs += _run_lengths(traced, one, length)
    axes = {}
    for node in traced.graph.nodes:
        values = [first_output(run[node.name]) for run in runs]
        if isinstance(values[0], Tensor) and node.op != "get_attr":
            axes[node.name] = _axes_of(node, values)
    return axes


def _run_lengths(traced: fx.GraphModule, inputs: Sequence[Tensor], length: int) -> Sequence[Values]:
    """Return runs on sequences of other lengths; behind strides two lengths may look alike."""
    found: list[Values] = []
    failed = None
    for frames in (length // 2, 2 * length, length - max(1, length // 5)):
        given = (torch.cat((x, x), 1)[:, : max(1, frames)] for x in inputs)
        try:
            found.append(run_nodes(traced, *given))
        except LayerError as error:
            failed = error
        if failed is None:
            break
    if found:
        return found
    raise LayerError(
        f"{failed}; forward works for {length} frames only: give hop= for a window that moves, cut "
        "windows with x.unfold(1, length, hop), or give longer sequences"
    )


def run_nodes(traced: fx.GraphModule, *inputs: Tensor) -> Values:
    """Return the value of every node.

    Raises:
        LayerError: A node fails; names its line.
    """
    recorder = _Recorder(traced)
    try:
        with torch.no_grad():
            recorder.run(*inputs)
    except LayerError as error:  # fx writes what it executed behind the sentence
        raise LayerError(str(error).split("\n", 1)[0]) from None
    return recorder.seen


def first_output(value: Any) -> Any:
    """Return what a layer returns first."""
    return value[0] if isinstance(value, tuple) and value else value


def _axes_of(node: fx.Node, values: Sequence[Tensor]) -> Axes:
    names: list[str | int] = []
    if len({v.ndim for v in values}) > 1:
        raise LayerError(f"{where(node)}: the number of axes must not vary with the length")
    for whole, twice, *others in zip(*(v.shape for v in values), strict=True):
        name = ("B" if whole != twice else "") + ("T" if {*others} - {whole} else "")
        names.append(name or whole)
    if not any("B" in str(name) for name in names):
        raise LayerError(
            f"{where(node)}: the result {tuple(names)} has no batch axis; each sequence must be "
            "computed by itself"
        )
    return Axes(tuple(names))


class _Recorder(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.seen: Values = {}

    def run_node(self, n: fx.Node) -> Any:
        try:
            value = super().run_node(n)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            reason = " ".join(str(error).split("While executing")[0].split())
            raise LayerError(f"{where(n)}: {reason}") from None
        self.seen[n.name] = value
        return value
