"""Streaming activity classifier: ConvLSTM2D over the last frames, then a CfC cell, dt = hop."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.nn.cells.convlstm2d import ConvLstm2d, ConvLstm2dConfig
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.tasks.activity.network import AbstractActivityNet, ActivityConfig
from lnn_edge.tasks.activity.task import TASK
from lnn_edge.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class HarConvLstmConfig(ActivityConfig):
    """Sizes of the network.

    Attributes:
        filters: Channels of the ConvLSTM2D's state.
        kernel_size: Its frames.
        stride: Its step along the frames.
    """

    filters: int = 12
    kernel_size: int = 7
    stride: int = 2


class HarConvLstmNet(AbstractActivityNet):
    """Activity classifier whose encoder is recurrent itself; see AbstractActivityNet.

    s' = ConvLSTM2D(window as one row, s),  e = ReLU(E s' + d)

    Args:
        config: Sizes.
        task: See AbstractActivityNet.
    """

    def __init__(self, config: HarConvLstmConfig, task: Task = TASK) -> None:
        super().__init__(config, task)
        form = ConvLstm2dConfig(
            config.filters, (1, config.kernel_size), (1, config.stride), "valid"
        )
        cell = ConvLstm2d((1, config.window, len(task.frame.channels)), form)
        self.convlstm = Recurrent([cell], result="outputs")
        _, frames, filters = cell.output_shape
        self.embedding = nn.Linear(frames * filters, config.embedding_size)

    def encode(self, window: Tensor) -> Tensor:
        """Return embeddings (B, T, E) of windows (B, T, frames, channels)."""
        flat = self.convlstm(window.unsqueeze(2)).flatten(2)
        return functional.relu(self.embedding(self.dropout(flat)))
