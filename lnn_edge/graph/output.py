"""Named parts of a model's output vector: where each lies, and what its integers mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lnn_edge.errors import GraphError
from lnn_edge.files.names import check_name, shown
from lnn_edge.graph.ir import QTensor

OutputKind = Literal["scores", "logits", "values", "flaws"]


@dataclass(frozen=True)
class Output:
    """Elements [first, first + size) of the output vector. real = scale * q

    Attributes:
        name: C identifier, unique in its graph whatever its case.
        first: Index of its first element.
        size: Number of its elements.
        scale: Real value of one step, of all its elements; zero is 0.
        kind: "scores": one per class of the graph, decided as its contract says; "logits": log odds
            that no contract decides; "values": real numbers; "flaws": bits of graph.flaws, what
            is wrong with the signal of the decision, then of each channel of a frame.

    Raises:
        GraphError: One of these makes no sense.
    """

    name: str
    first: int
    size: int
    scale: float
    kind: OutputKind

    def __post_init__(self) -> None:
        """Check what does not depend on the graph."""
        check_name("output", self.name)
        if self.first < 0 or self.size < 1:
            raise GraphError(
                f"output {self.name}: first must be at least 0 and size at least 1, not "
                f"{self.first} and {self.size}"
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise GraphError(
                f"output {self.name}: scale {self.scale} must be positive and finite; requantize it"
            )
        if self.kind not in get_args(OutputKind):
            raise GraphError(
                f"output {self.name}: kind must be one of "
                f"{', '.join(get_args(OutputKind))}, not {shown(repr(self.kind))}"
            )

    @property
    def end(self) -> int:
        """Index behind its last element."""
        return self.first + self.size

    def part(self, outputs: np.ndarray) -> np.ndarray:
        """Return its elements (..., size) of output vectors (..., O)."""
        return outputs[..., self.first : self.end]

    def dequantize(self, q: np.ndarray) -> np.ndarray:
        """Return real values of its integers."""
        return np.asarray(q * self.scale)


def check_outputs(
    outputs: Sequence[Output], vector: QTensor, classes: Sequence[str], channels: int
) -> None:
    """Check that outputs are the parts of a vector.

    Args:
        outputs: In order.
        vector: That they fill.
        classes: Names of the scores.
        channels: Of a frame.

    Raises:
        GraphError: Two have one name, they overlap or leave elements out, one has several scales,
            the classes are not those of one output of scores, or flaws not those of the channels.
    """
    names: set[str] = set()
    at = 0
    for output in outputs:
        if output.name.upper() in names:  # macros are in capitals
            raise GraphError(f"two outputs are named {output.name} in C; rename one")
        names.add(output.name.upper())
        if output.first != at:
            raise GraphError(
                f"output {output.name} must begin at element {at}, not {output.first}; "
                "put outputs one after the other, without overlap or gap"
            )
        at = output.end
        _check_scale(output, vector)
    if at != vector.size:
        raise GraphError(
            f"outputs end at element {at}, {vector.name} has {vector.size}; let them fill it"
        )
    _check_classes([o for o in outputs if o.kind == "scores"], classes)
    _check_flaws([o for o in outputs if o.kind == "flaws"], channels)


def _check_scale(output: Output, vector: QTensor) -> None:
    scales = set(output.part(np.broadcast_to(vector.scales, vector.shape)).tolist())
    if len(scales) > 1:
        raise GraphError(
            f"output {output.name} must have one scale, not {len(scales)}; requantize it"
        )
    if scales - {output.scale}:
        raise GraphError(
            f"output {output.name} has scale {output.scale}, its elements of {vector.name} have "
            f"{min(scales)}; give theirs"
        )


def _check_classes(scores: Sequence[Output], classes: Sequence[str]) -> None:
    if len(scores) > 1:
        raise GraphError(
            "one output at most can be scores, not "
            f"{', '.join(o.name for o in scores)}; call the others logits"
        )
    if classes and not scores:
        raise GraphError("metadata: classes are named and no output is scores; let one be")
    if scores and scores[0].size != len(classes):
        raise GraphError(
            f"metadata: {len(classes)} classes for {scores[0].name} of {scores[0].size} elements; "
            "name each of them, or call the output logits"
        )


def _check_flaws(found: Sequence[Output], channels: int) -> None:
    if len(found) > 1:
        raise GraphError(f"one output at most can be flaws, not {', '.join(o.name for o in found)}")
    for output in found:
        if output.size != 1 + channels or output.scale != 1:
            raise GraphError(
                f"output {output.name}: flaws are one of the decision and one of each of "
                f"{channels} channels, of scale 1, not {output.size} of {output.scale:g}"
            )
