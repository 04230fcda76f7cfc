"""A plain convolutional network of the size of CCfC, for comparison."""

from __future__ import annotations

from torch import Tensor, nn

from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.tasks.findings.columns import (
    KERNEL_COLUMNS,
    STRIDE,
    AbstractColumnsNet,
    ColumnsConfig,
)
from lnn_edge.tasks.findings.front_end import LEADS
from lnn_edge.tasks.findings.task import TASK
from lnn_edge.tasks.task import Task

KERNEL = (KERNEL_COLUMNS, len(LEADS))
STRIDES = (STRIDE, 1)


class ConvNet(AbstractColumnsNet):
    """The same findings of the same 33 columns without a memory or a liquid cell.

    s = act(x * kernel + b),  e = act(E s + d),  scores = W e + w
    61 filters make 357,076 parameters.

    Args:
        config: Sizes.
        task: Of whole records in the frame of TASK; classes are free.
    """

    def __init__(self, config: ColumnsConfig, task: Task = TASK) -> None:
        places = geometry_of((self.columns, len(LEADS)), KERNEL, STRIDES, "valid").output[0]
        super().__init__(config, places, task)
        self.convolution = nn.Conv2d(config.bins, config.filters, KERNEL, STRIDES)
        self.head = nn.Linear(config.dense_units, len(task.classes))

    def forward(self, window: Tensor) -> Tensor:
        """Return scores (B, T, classes) of windows (B, T, 33, 12, bins), each alone."""
        x = self.entering(window).flatten(0, 1).movedim(-1, 1)
        s = self.act(self.convolution(x)).movedim(1, -1)
        return self.head(self.embed(s.reshape(*window.shape[:2], -1)))  # type: ignore[no-any-return]
