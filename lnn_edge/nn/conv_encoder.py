"""Convolutions over one window of frames, and a vector that stands for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.scales import Ranges, range_of, rectified
from lnn_edge.nn.cell import Tap, linear_op, no_tap


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

    def forward(self, window: Tensor, tap: Tap = no_tap) -> Tensor:
        """Return embeddings (B, E) of windows (B, frames, channels)."""
        x = window.transpose(1, 2)
        for index, (conv, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = tap(f"features{index}", functional.relu(norm(conv(x))))
        flat = self.dropout(x.transpose(1, 2).flatten(1))
        return tap("embedding", functional.relu(self.embedding(flat)))

    def lower(self, window: QTensor, ranges: Ranges) -> tuple[tuple[AbstractOp, ...], QTensor]:
        """Return the operators on a window, batch norm folded, and the embedding."""
        ops: list[AbstractOp] = []
        x = window
        pairs = zip(self.convolutions, self.norms, strict=True)
        for index, (conv, norm) in enumerate(pairs):
            assert isinstance(conv, nn.Conv1d)
            assert isinstance(norm, nn.BatchNorm1d)
            weight, bias = _fold(conv, norm)
            frames = (x.shape[0] - weight.shape[2]) // conv.stride[0] + 1
            high = range_of(ranges, f"features{index}")[1]
            y = rectified(f"features{index}", (frames, weight.shape[0]), high)
            ops.append(Conv1d.quantize(f"conv{index}", x, y, weight, bias, conv.stride[0]))
            x = y
        high = range_of(ranges, "embedding")[1]
        embedding = rectified("embedding", (self.embedding.out_features,), high)
        row = self.embedding.weight, self.embedding.bias
        return (*ops, linear_op("embed", row, x, embedding)), embedding


def _fold(conv: nn.Conv1d, norm: nn.BatchNorm1d) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and bias of the convolution with its batch norm folded in."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert conv.bias is not None
    gain = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    bias = (_array(conv.bias) - _array(norm.running_mean)) * gain + _array(norm.bias)
    return _array(conv.weight) * gain[:, None, None], bias


def _array(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().double().numpy()
    return array
