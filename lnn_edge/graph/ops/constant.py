"""A tensor that is the same in every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor


@dataclass(frozen=True, eq=False)
class Constant(AbstractOp):
    """y = value: no input, one output. What a cell without memory has in the place of its state.

    Attributes:
        value: Integers of the output, int32.
    """

    kind: ClassVar[str] = "constant"
    channel_scales: ClassVar[tuple[str, ...]] = ("y0",)
    channel_zero_points: ClassVar[tuple[str, ...]] = ("y0",)
    value: np.ndarray

    @classmethod
    def fill(cls, name: str, y: QTensor, value: int) -> Constant:
        """Return a tensor whose elements are alike."""
        return cls(name, (), (y,), np.full(y.shape, value, np.int32))

    def check(self) -> None:
        """Check shape and range."""
        y = self.outputs[0]
        self.require(not self.inputs, "takes no input")
        self.require(
            self.value.shape == y.shape and self.value.dtype == np.int32,
            f"value must be int32 {y.shape}, not {self.value.dtype} {self.value.shape}",
        )
        low, high = int(self.value.min()), int(self.value.max())
        self.require(
            y.qmin <= low and high <= y.qmax,
            f"values must be in [{y.qmin}, {y.qmax}], not [{low}, {high}]",
        )

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the integers, without batch axes."""
        return (self.value.astype(np.int64),)
