"""Layers of a table besides the recurrent ones: their options, and the torch modules they make.

Values lie as a layer of torch reads them: (B, T, C) for a matrix, (B, C, T) for a convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Function = Literal["max", "mean"]


@dataclass(frozen=True)
class LinearSizes:
    """y = W x + b."""

    input_size: int
    output_size: int

    def make(self) -> nn.Module:
        """Return the layer with fresh weights."""
        return nn.Linear(self.input_size, self.output_size)


@dataclass(frozen=True)
class Conv1dSizes:
    """A convolution over time, (B, C, T).

    Attributes:
        inputs: Channels.
        filters: Channels of the output.
        kernel: Taps.
        stride: Frames from one position to the next.
        dilation: Frames from one tap to the next.
        groups: Of channels.
        padding: Zeros on both sides, "same" as in torch, or "causal": all of them before.
    """

    inputs: int
    filters: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    padding: int | str = 0

    def make(self) -> nn.Module:
        """Return the layer with fresh weights."""
        sizes, padding = (self.inputs, self.filters, self.kernel, self.stride), self.padding
        if padding != "causal":
            return nn.Conv1d(*sizes, padding, self.dilation, self.groups)
        past = PadSizes(self.dilation * (self.kernel - 1), 0).make()
        return nn.Sequential(past, nn.Conv1d(*sizes, 0, self.dilation, self.groups))


@dataclass(frozen=True)
class Conv2dSizes:
    """A convolution over images (B, C, H, W); see Conv1dSizes."""

    inputs: int
    filters: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    padding: tuple[int, ...] | str = (0, 0)

    def make(self) -> nn.Module:
        """Return the layer with fresh weights."""
        kernel, stride, dilation = ((v[0], v[1]) for v in (self.kernel, self.stride, self.dilation))
        sides = self.padding
        padding = sides if isinstance(sides, str) else (sides[0], sides[1])
        return nn.Conv2d(self.inputs, self.filters, kernel, stride, padding, dilation, self.groups)


@dataclass(frozen=True)
class BatchNormSizes:
    """y = (x - mean) / sqrt(variance + epsilon) weight + bias, per channel, axis 1 of `axes`."""

    size: int
    epsilon: float
    axes: int

    def make(self) -> nn.Module:
        """Return the layer with fresh weights."""
        form = nn.BatchNorm2d if self.axes == 4 else nn.BatchNorm1d
        return form(self.size, self.epsilon)


@dataclass(frozen=True)
class PoolSizes:
    """Largest or mean of the numbers under a kernel, over (B, C, T) or (B, C, H, W)."""

    function: Function
    kernel: tuple[int, ...]
    stride: tuple[int, ...]

    def make(self) -> nn.Module:
        """Return the layer."""
        forms: dict[tuple[str, int], type[Any]] = {
            ("max", 1): nn.MaxPool1d,
            ("max", 2): nn.MaxPool2d,
            ("mean", 1): nn.AvgPool1d,
            ("mean", 2): nn.AvgPool2d,
        }
        layer: nn.Module = forms[self.function, len(self.kernel)](self.kernel, self.stride)
        return layer


class _Formula(nn.Module):
    """A formula without weights."""

    def __init__(self, formula: Callable[..., Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, *values: Tensor) -> Tensor:
        """Return what the formula makes of its inputs."""
        return self.formula(*values)


@dataclass(frozen=True)
class GlobalPoolSizes:
    """Largest or mean of each channel of (B, C, ...), (B, C)."""

    function: Function
    sizes: tuple[int, ...]

    def make(self) -> nn.Module:
        """Return the layer."""
        if self.function == "mean" and len(self.sizes) == 1:
            return _Formula(lambda x: x.mean(-1))
        return nn.Sequential(PoolSizes(self.function, self.sizes, self.sizes).make(), nn.Flatten())


@dataclass(frozen=True)
class PermuteSizes:
    """Axes in another order, the batch's first."""

    order: tuple[int, ...]

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda x: x.permute(self.order))


@dataclass(frozen=True)
class ReshapeSizes:
    """Other sizes behind the first `kept` axes."""

    kept: int
    sizes: tuple[int, ...]

    def make(self) -> nn.Module:
        """Return the layer."""
        kept, sizes = self.kept, self.sizes
        if len(sizes) == 1:
            return _Formula(lambda x: x.flatten(kept))
        return _Formula(lambda x: torch.unflatten(x.flatten(kept), kept, sizes))


@dataclass(frozen=True)
class CutSizes:
    """Frames of (B, T, C) without the first and last ones."""

    first: int
    last: int

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda x: x[:, self.first : -self.last or None])


@dataclass(frozen=True)
class PartSizes:
    """Numbers side by side along an axis that is neither sequences nor frames."""

    axis: int
    first: int
    size: int

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda x: x.narrow(self.axis, self.first, self.size))


@dataclass(frozen=True)
class PadSizes:
    """Frames of zeros before and behind (B, C, T)."""

    before: int
    after: int

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda x: functional.pad(x, (self.before, self.after)))


@dataclass(frozen=True)
class NewestSizes:
    """The last frame of (B, T, ...)."""

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda x: x[:, -1])


@dataclass(frozen=True)
class FoldSizes:
    """Frames as sequences of their own, (B T, ...)."""

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda x: x.flatten(0, 1))


@dataclass(frozen=True)
class UnfoldSizes:
    """What frames as sequences of their own gave, (B, T, ...) again; the second input tells T."""

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda y, x: y.reshape(x.shape[0], x.shape[1], *y.shape[1:]))


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "hard_swish": nn.Hardswish,
    "hard_sigmoid": nn.Hardsigmoid,
    "softplus": nn.Softplus,
}


@dataclass(frozen=True)
class ActivationSizes:
    """A function of each number."""

    function: str

    def make(self) -> nn.Module:
        """Return the layer."""
        return ACTIVATIONS[self.function]()


@dataclass(frozen=True)
class BentSizes:
    """y = x above 0; below, `below` times x, or times exp(x) - 1 where it is curved."""

    below: float
    is_curved: bool = False

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Bent(self.below, nn.ELU() if self.is_curved else nn.Identity())


class _Bent(nn.Module):
    """A leaky ReLU or ELU of any factor, made of functions that a device has."""

    def __init__(self, below: float, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.above, self.below = nn.ReLU(), below

    def forward(self, x: Tensor) -> Tensor:
        """Return y = below f(x) + (1 - below) max(x, 0)."""
        y: Tensor = self.inner(x) * self.below + self.above(x) * (1 - self.below)
        return y


@dataclass(frozen=True)
class SoftmaxSizes:
    """Softmax over the last axis, or its logarithm: at an output, where a device leaves it out."""

    is_log: bool = False

    def make(self) -> nn.Module:
        """Return the layer."""
        return nn.LogSoftmax(-1) if self.is_log else nn.Softmax(-1)


@dataclass(frozen=True)
class ScaleSizes:
    """y = factor x."""

    factor: float

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda x: x * self.factor)


@dataclass(frozen=True)
class SumSizes:
    """y = a + b."""

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda a, b: a + b)


@dataclass(frozen=True)
class DifferenceSizes:
    """y = a - b."""

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda a, b: a - b)


@dataclass(frozen=True)
class ProductSizes:
    """y = a b."""

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda a, b: a * b)


@dataclass(frozen=True)
class JoinSizes:
    """y = [a; b; ...] along an axis."""

    axis: int

    def make(self) -> nn.Module:
        """Return the layer."""
        return _Formula(lambda *values: torch.cat(values, self.axis))


ENDING = "softmax"
"""Kind of what a device leaves out at an output."""
KINDS: dict[str, type[Any]] = {
    "linear": LinearSizes,
    "conv1d": Conv1dSizes,
    "conv2d": Conv2dSizes,
    "batch_norm": BatchNormSizes,
    "pool": PoolSizes,
    "global_pool": GlobalPoolSizes,
    "permute": PermuteSizes,
    "reshape": ReshapeSizes,
    "cut": CutSizes,
    "part": PartSizes,
    "pad": PadSizes,
    "newest": NewestSizes,
    "fold": FoldSizes,
    "unfold": UnfoldSizes,
    "activation": ActivationSizes,
    "bent": BentSizes,
    ENDING: SoftmaxSizes,
    "scale": ScaleSizes,
    "sum": SumSizes,
    "difference": DifferenceSizes,
    "product": ProductSizes,
    "join": JoinSizes,
}
"""Options of each kind; `make` returns the layer."""
