"""Dense layers and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lnn_edge.nn.from_keras.build import Build, NeedsWindow, Shape, Value
from lnn_edge.nn.from_keras.functions import activated
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.table_layers import Conv1dSizes, Conv2dSizes, LinearSizes
from lnn_edge.nn.zero_taps import balanced

FUTURE = 'has padding="same", which looks into the future; train with padding="causal"'


def dense(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Dense: a matrix on the last axis; on the frames of a window a convolution of one tap."""
    kernel, bias = _parameters(build, layer, 1)
    (value,) = values
    _check(layer, kernel, 2, value.channels)
    shape = (*value.shape[:-1], kernel.shape[1])
    if value.has_time or len(value.shape) == 1:
        value = build.turned(layer, value, to_first=False)
        weights = {"weight": kernel.T, "bias": bias}
        made = build.row(layer, LinearSizes(*kernel.shape), [value], shape, weights)
        return activated(build, layer, made)
    axes = len(value.shape) - 1
    return _convolved(build, layer, value, kernel.reshape(*[1] * axes, *kernel.shape), bias)


def conv1d(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Conv1D: kernel (taps, inputs / groups, filters)."""
    kernel, bias = _parameters(build, layer, 1)
    return _convolved(build, layer, values[0], kernel, bias, int(layer.config.get("groups", 1)))


def conv2d(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Conv2D: kernel (rows, columns, inputs / groups, filters)."""
    return conv1d(build, layer, values)


def depthwise(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """DepthwiseConv1D and 2D: kernel (..., inputs, multiplier)."""
    kernel, bias = _parameters(build, layer, 1)
    return _convolved(build, layer, values[0], _depthwise(kernel), bias, kernel.shape[-2])


def separable(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """SeparableConv1D and 2D: a depthwise convolution, then one of one tap."""
    found = build.variables(layer, 2 + bool(layer.config["use_bias"]))
    first = _depthwise(found[0])
    plain = KerasLayer(**{**vars(layer), "config": {**layer.config, "activation": "linear"}})
    between = _convolved(
        build, plain, values[0], first, np.zeros(first.shape[-1]), found[0].shape[-2]
    )
    bias = found[2] if layer.config["use_bias"] else np.zeros(found[1].shape[-1])
    point = {"strides": 1, "dilation_rate": 1, "padding": "valid"}
    last = KerasLayer(**{**vars(layer), "config": {**layer.config, **point}})
    return _convolved(build, last, between, found[1], bias)


def padded(
    kernel: np.ndarray, axis: int, size: int, stride: int, dilation: int, padding: str
) -> tuple[np.ndarray, int]:
    """Return a kernel and zeros on both sides that do what Keras does along an axis.

    Keras puts another number of zeros before than behind; taps of zero make up for it.

    Args:
        kernel: Taps along `axis`.
        axis: Along which it moves.
        size: Of what it reads.
        stride: From one position to the next.
        dilation: From one tap to the next.
        padding: "valid", "same" or "causal".
    """
    before, after = zeros_around(kernel.shape[axis], size, stride, dilation, padding)
    return balanced(kernel, axis, before, after, dilation)


def zeros_around(taps: int, size: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """Return the zeros that Keras puts before and behind."""
    span = (taps - 1) * dilation + 1
    if padding == "causal":
        return span - 1, 0
    if padding == "valid":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def results(size: int, span: int, stride: int, zeros: int) -> int:
    """Return how many positions a kernel has."""
    return (size + zeros - span) // stride + 1


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """Return a size along each axis.

    Raises:
        ValueError: It is none that a kernel has.
    """
    sizes = tuple(value) if isinstance(value, list | tuple) else (value,) * axes
    if len(sizes) != axes or not all(type(n) is int and 0 < n < 1 << 16 for n in sizes):
        raise ValueError(f"sizes {sizes}")
    return sizes


def check_layout(layer: KerasLayer) -> None:
    """Refuse channels that come first."""
    if layer.config.get("data_format") == "channels_first":
        raise layer.refuse("data_format channels_first is not known; train it channels_last")


def _convolved(
    build: Build,
    layer: KerasLayer,
    value: Value,
    kernel: np.ndarray,
    bias: np.ndarray,
    groups: int = 1,
) -> Value:
    """Add a convolution and its activation; kernel (taps, inputs / groups, filters) or 2D."""
    check_layout(layer)
    axes, config = kernel.ndim - 2, layer.config
    _check(layer, kernel, axes + 2, value.channels // groups)
    if len(value.shape) != axes + 1 or value.is_newest:
        raise layer.refuse(f"reads {axes} axes and channels, and gets a shape {value.shape}")
    if value.has_time and axes > 1:
        raise NeedsWindow(layer, "reads its frames as an image")
    stride = per_axis(config.get("strides", 1), axes)
    dilation = per_axis(config.get("dilation_rate", 1), axes)
    kernel, padding, sizes = _placed(layer, value, kernel, stride, dilation)
    is_causal = padding == "causal"
    weights = {"weight": np.moveaxis(kernel, (-1, -2), (0, 1)), "bias": bias}
    weights = {f"1.{name}" if is_causal else name: array for name, array in weights.items()}
    head, taps = (value.channels, kernel.shape[-1]), kernel.shape[:axes]
    made: Any
    if axes == 1:
        one = padding if isinstance(padding, str) else padding[0]
        made = Conv1dSizes(*head, taps[0], stride[0], dilation[0], groups, one)
    else:
        made = Conv2dSizes(*head, taps, stride, dilation, groups, padding)
    value = build.turned(layer, value, to_first=True)
    shape = (*sizes, kernel.shape[-1])
    return activated(build, layer, build.row(layer, made, [value], shape, weights))


def _placed(
    layer: KerasLayer,
    value: Value,
    kernel: np.ndarray,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[np.ndarray, str | tuple[int, ...], Shape]:
    """Return a kernel, its zeros as a row of the table has them, and how many results it gives."""
    padding = str(layer.config.get("padding", "valid"))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    if value.has_time:
        if padding == "same" and (spans[0] > 1 or stride[0] > 1):
            raise NeedsWindow(layer, FUTURE)
        return kernel, "causal" if padding == "causal" and spans[0] > 1 else (0,), (None,)
    sizes, sides = list[int](), list[int]()
    is_same = padding == "same" and set(stride) == {1} and max(dilation) > 1  # torch has it alike
    for axis, (n, s, d) in enumerate(zip(value.sizes, stride, dilation, strict=False)):
        zeros = sum(zeros_around(kernel.shape[axis], n, s, d, padding))
        sizes.append(results(n, spans[axis], s, zeros))
        if not is_same:
            kernel, side = padded(kernel, axis, n, s, d, padding)
            sides.append(side)
    if min(sizes) < 1:
        raise layer.refuse(f"its kernel over {spans} does not fit a shape {value.shape[:-1]}")
    return kernel, "same" if is_same else tuple(sides), tuple(sizes)


def _parameters(build: Build, layer: KerasLayer, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias, zeros where there is none."""
    has_bias = bool(layer.config.get("use_bias", True))
    found = build.variables(layer, least + has_bias)
    kernel = found[0]
    outputs = kernel.shape[-1] * (kernel.shape[-2] if "Depthwise" in layer.kind else 1)
    bias = found[1] if has_bias else np.zeros(outputs)
    if bias.shape != (outputs,):
        raise layer.refuse(f"a bias of shape {bias.shape} does not fit a kernel {kernel.shape}")
    return kernel, bias


def _depthwise(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel of one input channel a group."""
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def _check(layer: KerasLayer, kernel: np.ndarray, axes: int, inputs: int) -> None:
    if kernel.ndim != axes or kernel.shape[-2] != inputs:
        raise layer.refuse(
            f"a kernel of shape {kernel.shape} does not read {inputs} channels; save it again"
        )
