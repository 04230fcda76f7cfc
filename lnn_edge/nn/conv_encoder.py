"""Convolutions over one window of frames, and a vector that stands for it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError


@dataclass(frozen=True)
class ConvSizes:
    """Sizes of an encoder.

    Attributes:
        filters: Output channels of each convolution.
        kernel_sizes: Taps of each convolution.
        strides: Steps of each convolution.
        embedding_size: Length of the vector.

    Raises:
        UsageError: A size is below 1, or the convolutions' lists differ in length.
    """

    filters: tuple[int, ...]
    kernel_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    embedding_size: int

    def __post_init__(self) -> None:
        """Refuse sizes of which no encoder can be made."""
        layers = (self.filters, self.kernel_sizes, self.strides)
        if len({len(sizes) for sizes in layers}) > 1:
            raise UsageError("[model] filters, kernel_sizes and strides need one entry per layer")
        if min(self.embedding_size, *(size for sizes in layers for size in sizes)) < 1:
            raise UsageError("[model] every size must be at least 1")


class ConvEncoder(nn.Module):
    """e = ReLU(E x_L),  x_l = ReLU(norm(conv(x_(l-1)))),  x_0 = window.

    Args:
        frames: Of a window.
        channels: Of a frame.
        sizes: Of the layers.
        dropout: Probability, on what enters the last layer.

    Raises:
        UsageError: The convolutions do not fit the window.
    """

    def __init__(self, frames: int, channels: int, sizes: ConvSizes, dropout: float) -> None:
        super().__init__()
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        layers = zip(sizes.filters, sizes.kernel_sizes, sizes.strides, strict=True)
        for filters, kernel_size, stride in layers:
            self.convolutions.append(nn.Conv1d(channels, filters, kernel_size, stride))
            self.norms.append(nn.BatchNorm1d(filters))
            if kernel_size > frames:
                raise UsageError(
                    f"[model] kernel_size {kernel_size} does not fit {frames} frames; take smaller "
                    "kernel_sizes or strides"
                )
            frames, channels = (frames - kernel_size) // stride + 1, filters
        self.embedding = nn.Linear(frames * channels, sizes.embedding_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, window: Tensor) -> Tensor:
        """Return embeddings (B, T, E) of windows (B, T, frames, channels)."""
        batch, steps = window.shape[:2]
        x = window.flatten(0, 1).transpose(1, 2)
        for conv, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.relu(norm(conv(x)))
        flat = self.dropout(x.transpose(1, 2).flatten(1))
        return functional.relu(self.embedding(flat)).reshape(batch, steps, -1)
