"""Streaming activity classifier: convolutional encoder of the last frames, CfC cell, dt = hop."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lnn_edge.nn.conv_encoder import ConvEncoder, ConvSizes
from lnn_edge.tasks.activity.network import AbstractActivityNet, ActivityConfig
from lnn_edge.tasks.activity.task import TASK
from lnn_edge.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class HarNetConfig(ActivityConfig):
    """Sizes of the network.

    Attributes:
        filters: Output channels of each convolution.
        kernel_sizes: Taps of each convolution.
        strides: Steps of each convolution.
    """

    filters: tuple[int, ...] = (12, 20, 28)
    kernel_sizes: tuple[int, ...] = (7, 5, 5)
    strides: tuple[int, ...] = (2, 2, 2)

    @property
    def encoder_sizes(self) -> ConvSizes:
        """Sizes of the encoder."""
        return ConvSizes(self.filters, self.kernel_sizes, self.strides, self.embedding_size)


class HarNet(AbstractActivityNet):
    """Activity classifier with a ConvEncoder; see AbstractActivityNet."""

    def __init__(self, config: HarNetConfig, task: Task = TASK) -> None:
        super().__init__(config, task)
        self.encoder = ConvEncoder(
            config.window, len(task.frame.channels), config.encoder_sizes, config.dropout
        )

    def encode(self, window: Tensor) -> Tensor:
        """Return embeddings (B, T, E) of windows (B, T, frames, channels)."""
        return self.encoder(window)  # type: ignore[no-any-return]
