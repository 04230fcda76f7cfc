"""A plain convolutional network of the size of CCfC, for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.passes.columns import stream_columns
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.scales import Ranges, symmetric, symmetric_of
from lnn_edge.nn.cell import TABLE_STEP_BITS, Tap, linear_op, no_tap
from lnn_edge.tasks.findings.columns import (
    CLASSES,
    KERNEL_COLUMNS,
    STRIDE,
    AbstractColumnsNet,
    ColumnsConfig,
)
from lnn_edge.tasks.findings.front_end import LEADS

KERNEL = (KERNEL_COLUMNS, len(LEADS))
STRIDES = (STRIDE, 1)


class ConvNet(AbstractColumnsNet):
    """The same findings of the same 33 columns without a memory or a liquid cell.

    s = act(x * kernel + b),  e = act(E s + d),  scores = W e + w
    61 filters make 357,076 parameters.

    Args:
        config: Sizes.
    """

    def __init__(self, config: ColumnsConfig) -> None:
        self.geometry = geometry_of((self.columns, len(LEADS)), KERNEL, STRIDES, "valid")
        super().__init__(config, self.geometry.output[0])
        self.convolution = nn.Conv2d(config.bins, config.filters, KERNEL, STRIDES)
        self.head = nn.Linear(config.dense_units, len(CLASSES))

    @property
    def reads_int16(self) -> bool:
        """It does not."""
        return False

    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge windows (B, T, 33, 12, 129); every decision is alone."""
        window = inputs["window"]
        x = self.entering(window.flatten(0, 1)).movedim(-1, 1)
        s = self.act(tap("convolved", self.convolution(x).movedim(1, -1)))
        scores = self.head(self.embed(s, tap)).reshape(*window.shape[:2], -1)
        return tap("scores", scores), scores

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph; columns are worked off as they come."""
        shape = (*self.geometry.output, self.config.filters)
        kernel = self.folded(self.convolution.weight.permute(2, 3, 1, 0))
        is_relu = self.config.activation == "relu"
        pre = symmetric_of("convolved", shape, "int16", ranges)
        if is_relu:
            pre = replace(pre, qmin=0)
        x, y = self.window, pre
        ops: list[AbstractOp] = [
            Conv2d.quantize("convolve", x, pre, kernel, self._bias, self.geometry)
        ]
        if not is_relu:
            y = symmetric("convolved_value", shape, "int16", 1.0)
            ops.append(Lut.quantize("convolve_act", pre, y, "tanh", TABLE_STEP_BITS))
        between, e = self.lower_between(y, ranges)
        scores = symmetric_of("scores", (len(CLASSES),), "int16", ranges)
        head = linear_op("head", (self.head.weight, self.head.bias), e, scores)
        every = (*ops, *between, head)
        return stream_columns(self.graph(every, (), (scores, e), name, metadata))

    @property
    def _bias(self) -> np.ndarray:
        assert self.convolution.bias is not None
        bias: np.ndarray = self.convolution.bias.detach().cpu().double().numpy()
        return bias
