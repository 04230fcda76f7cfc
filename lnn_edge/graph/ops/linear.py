"""Matrix-vector product with int8 weights. The exemplary operator: read this one first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.rows import AbstractRowOp, quantize_rows


@dataclass(frozen=True, eq=False)
class Linear(AbstractRowOp):
    """y = W x + b, shapes (I,) -> (O,); arithmetic of AbstractRowOp with K = I.

    An input of more axes is read as the vector that it is in memory (last axis fastest).
    """

    kind: ClassVar[str] = "linear"

    @classmethod
    def quantize(
        cls, name: str, x: QTensor, y: QTensor, weight: np.ndarray, bias: np.ndarray
    ) -> Linear:
        """Quantize real weight (O, I) and bias (O,)."""
        rows = quantize_rows(x, y, weight, bias)
        return cls(name, (x,), (y,), *rows[:4], exact=rows[4])

    def check(self) -> None:
        """Check shapes and formats, prove the accumulators."""
        x, y = self.inputs[0], self.outputs[0]
        self.require(
            self.weight.shape == (y.size, x.size) and len(y.shape) == 1,
            f"weight {self.weight.shape} does not map {x.shape} to {y.shape}",
        )
        self.check_rows()

    def columns(self, x: Array) -> Array:
        """Return x (..., *shape) as vectors (..., K)."""
        axes = len(self.inputs[0].shape)
        return x.reshape(*x.shape[: x.ndim - axes], -1)

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return y (..., O) of x (..., *shape), exactly."""
        return (self.accumulate(self.columns(inputs[0])),)

    @property
    def macs(self) -> int:
        """One per weight."""
        return int(self.weight.size)
