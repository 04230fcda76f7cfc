"""Linear layers and convolutions, with the batch norm and activation behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from lnn_edge.errors import LayerError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.convolution import spread
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.scale import Scale
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.scales import rectified, symmetric
from lnn_edge.nn.plan import Read
from lnn_edge.nn.trace import where
from lnn_edge.quantize.lowering import (
    Lowering,
    Rule,
    Value,
    as_array,
    cut_off_negative,
    parameters_of,
)
from lnn_edge.quantize.rules.activations import (
    activation_of,
    input_of,
    output_of,
    table_of,
    table_op,
)
from lnn_edge.quantize.rules.views import NOTHING, check_floats

MOST_UNROLLED = 1 << 16
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class _Form:
    """A matrix or convolution that still needs the format of what it gives.

    Attributes:
        make: Returns the operator of an output format.
        shape: Of the output.
        places: Of its numbers, in torch's shape.
        most: Largest magnitude that any input can lead to.
    """

    make: Callable[[QTensor], AbstractOp]
    shape: tuple[int, ...]
    places: np.ndarray
    most: float


def rows(lowering: Lowering, node: fx.Node) -> None:
    """Emit a Linear, Conv1d or Conv2d and what it takes in behind it."""
    end, weight, bias = _with_norm(lowering, node)
    act = activation_of(lowering, end)
    form = _form(lowering, node, weight, bias)
    last = end if act is None else act
    value = _emit(lowering, node, last, act, form)
    between = node
    while True:
        lowering.values[between.name] = value
        if between is last:
            return
        between = next(iter(between.users))


def _with_norm(lowering: Lowering, node: fx.Node) -> tuple[fx.Node, np.ndarray, np.ndarray]:
    """Return the last of the nodes that scale and shift the result alone, weights and bias."""
    weight, bias = parameters_of(lowering.layer(node))
    if node.name in lowering.gains:
        weight = weight * lowering.gains[node.name].reshape(-1, *[1] * (weight.ndim - 2))
    while len(node.users) == 1 and node not in lowering.plan.outputs.values():
        user = next(iter(node.users))
        norm = lowering.layer(user)
        if isinstance(norm, BATCH_NORMS):
            gain, shift = gain_and_shift(norm)
            weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
            bias = bias * gain + shift
        elif lowering.key(user) in NOTHING:
            check_floats(user)
        elif not lowering.is_view_of_time(user):
            break
        node = user
    return node, weight, bias


def gain_and_shift(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return what a batch norm in evaluation multiplies and adds, per channel."""
    gain = 1 / np.sqrt(as_array(norm.running_var) + norm.eps)
    if norm.affine:
        gain = gain * as_array(norm.weight)
    shift = -as_array(norm.running_mean) * gain
    return gain, shift + as_array(norm.bias) if norm.affine else shift


def _form(lowering: Lowering, node: fx.Node, weight: np.ndarray, bias: np.ndarray) -> _Form:
    name, layer = f"{lowering.name(node)}_op", lowering.layer(node)
    read = lowering.read(node)
    if read is not None:
        x, matrix = _of_ring(lowering, node, weight, read)
        return _matrix(name, x, matrix, bias)
    value = lowering.value(node.args[0])
    if isinstance(layer, nn.Linear) or value.places.ndim == 1:
        if value.places.ndim != 1:
            raise LayerError(
                f"{where(node)}: a Linear on each row of {value.places.shape}; take a Conv1d of "
                "kernel size 1, or give longer sequences if one axis is time"
            )
        if isinstance(layer, nn.Conv1d):
            weight = spread(weight.swapaxes(1, 2), layer.groups)
        matrix = weight.reshape(len(weight), -1)
        return _matrix(name, value.tensor, _scattered(matrix, value), bias)
    make = _conv1d if isinstance(layer, nn.Conv1d) else _conv2d
    return make(lowering, node, value, weight, bias)


def _emit(
    lowering: Lowering, node: fx.Node, last: fx.Node, act: fx.Node | None, form: _Form
) -> Value:
    """Emit a form with its activation in the format that its readers want."""
    name, wide = lowering.name(last), lowering.is_wide(last)
    table = None if act is None else table_of(lowering, act)
    if act is not None and table is not None:
        pre = input_of(lowering, act, f"{name}_pre", form.shape)
        y = output_of(lowering, act, form.shape)
        lowering.emit(form.make(pre))
        lowering.emit(table_op(name, pre, y, table))
        return Value(y, form.places)
    if act is not None and not wide:
        y = rectified(name, form.shape, lowering.bounds(last)[1])
    else:
        dtype = "int16" if wide else "int8"
        y = symmetric(name, form.shape, dtype, _bound(lowering, last, dtype, form.most))
        y = y if act is None else cut_off_negative(y)
    lowering.emit(form.make(y))
    return Value(y, form.places)


def _matrix(name: str, x: QTensor, weight: np.ndarray, bias: np.ndarray) -> _Form:
    size = len(weight)
    most = _most(x, weight, bias)
    return _Form(
        lambda y: Linear.quantize(name, x, y, weight, bias), (size,), np.arange(size), most
    )


def _bound(lowering: Lowering, node: fx.Node, dtype: str, most: float) -> float:
    """Return the observed bound, or where a file tells none, in 16 bits, that of any input."""
    is_told = node.name in lowering.ranges or dtype == "int8"
    return lowering.bound(node) if is_told else most


def _most(x: QTensor, weight: np.ndarray, bias: np.ndarray) -> float:
    """Return the largest magnitude of W x + b for any x that a tensor holds."""
    largest = max(abs(x.dequantize(q)).max() for q in (x.qmin, x.qmax))
    return float((abs(weight).reshape(len(weight), -1).sum(1) * largest + abs(bias)).max())


def _scattered(weight: np.ndarray, value: Value) -> np.ndarray:
    """Return rows on the memory of a value from rows on torch's order."""
    matrix = np.zeros((len(weight), value.tensor.size))
    np.add.at(matrix.T, value.places, weight.T)
    return matrix


def _of_ring(
    lowering: Lowering, node: fx.Node, weight: np.ndarray, read: Read
) -> tuple[QTensor, np.ndarray]:
    """Return a convolution over time, one result: what it reads of the ring, and its rows."""
    window, source = lowering.window, lowering.source
    assert window is not None
    weight = spread(weight.swapaxes(1, 2), lowering.layer(node).groups).swapaxes(1, 2)
    size = source.tensor.size
    first = window.shape[0] - read.lag - read.size
    matrix = np.zeros((len(weight), window.size))
    for k in range(weight.shape[2]):
        matrix[:, source.places + size * (first + k * read.dilation)] += weight[:, :, k]
    is_simple = len(window.scales) == 1 and window.zero_points == (0,)
    if (first == 0 and read.lag == 0) or not is_simple:
        return window, matrix
    name = f"{lowering.name(node)}_part"
    part = replace(window, name=name, shape=(size * read.size,), role="scratch")
    lowering.emit(Slice.quantize(f"cut_{name}", window, part, size * first))
    return part, matrix[:, size * first : size * (first + read.size)]


def _conv1d(
    lowering: Lowering, node: fx.Node, value: Value, weight: np.ndarray, bias: np.ndarray
) -> _Form:
    """Return a convolution over the frames of a window."""
    layer = lowering.layer(node)
    channels, frames = value.places.shape
    ours = channels_last(channels, frames)
    if not lies(value, ours):
        return _unrolled(lowering, node, value, weight, bias)
    x = laid_out(lowering, node, (frames, channels), ours)
    padding = _padding(node, layer)
    way = (1, layer.kernel_size[0]), (1, layer.stride[0])
    sides = padding if isinstance(padding, str) else (0, padding[0])
    geometry = geometry_of((1, frames), *way, sides, (1, layer.dilation[0]))
    before, results = geometry.before[1], geometry.output[1]
    name = f"{lowering.name(node)}_op"

    def make(y: QTensor) -> Conv1d:
        stride, dilation, groups = layer.stride[0], layer.dilation[0], layer.groups
        options = {"before": before, "dilation": dilation, "groups": groups}
        return Conv1d.quantize(name, x, y, weight, bias, stride, **options)

    shape = (results, len(weight))
    return _Form(make, shape, channels_last(len(weight), results), _most(x, weight, bias))


def _conv2d(
    lowering: Lowering, node: fx.Node, value: Value, weight: np.ndarray, bias: np.ndarray
) -> _Form:
    """Return a convolution over an image, channels last."""
    layer = lowering.layer(node)
    channels, height, width = value.places.shape
    ours = channels_last(channels, height, width)
    if not lies(value, ours):
        return _unrolled(lowering, node, value, weight, bias)
    x = laid_out(lowering, node, (height, width, channels), ours)
    way = layer.kernel_size, layer.stride, _padding(node, layer), layer.dilation
    geometry = geometry_of((height, width), *way)
    shape = (*geometry.output, len(weight))
    name, kernel = f"{lowering.name(node)}_op", weight.transpose(2, 3, 1, 0)
    return _Form(
        lambda y: Conv2d.quantize(name, x, y, kernel, bias, geometry, groups=layer.groups),
        shape,
        channels_last(len(weight), *geometry.output),
        _most(x, weight, bias),
    )


def _unrolled(
    lowering: Lowering, node: fx.Node, value: Value, weight: np.ndarray, bias: np.ndarray
) -> _Form:
    """Return a convolution over numbers in any order as the matrix that it is.

    Raises:
        LayerError: The matrix is too large.
    """
    layer, size = lowering.layer(node), value.places.size
    shape = tuple(lowering.plan.axes[node.name].static)
    if size * int(np.prod(shape)) > MOST_UNROLLED:
        raise LayerError(
            f"{where(node)}: a convolution over {size} numbers that do not lie frame by frame; as "
            f"a matrix it would have more than {MOST_UNROLLED:,} weights, so leave the permutation "
            "before it out"
        )
    unit = torch.eye(size, dtype=torch.float64).reshape(size, *value.places.shape)
    convolve = functional.conv1d if isinstance(layer, nn.Conv1d) else functional.conv2d
    form = (layer.stride, _padding(node, layer), layer.dilation, layer.groups)
    made = convolve(unit, torch.from_numpy(weight), None, *form)
    matrix = made.reshape(size, -1).T.numpy()
    each = np.repeat(bias, len(matrix) // len(bias))
    matrix = _scattered(matrix, replace(value, places=value.places.ravel()))
    found = _matrix(f"{lowering.name(node)}_op", value.tensor, matrix, each)
    return replace(found, places=found.places.reshape(made.shape[1:]))


def _padding(node: fx.Node, layer: Any) -> Any:
    """Return a layer's padding by zeros: "same", "valid", or zeros on both sides of each axis."""
    if layer.padding_mode != "zeros":
        raise LayerError(
            f"{where(node)}: padding_mode {layer.padding_mode!r} has no operator; take 'zeros'"
        )
    return layer.padding


def channels_last(channels: int, *sides: int) -> np.ndarray:
    """Return the place in memory of each number of (channels, *sides), channels side by side."""
    places = np.arange(channels * int(np.prod(sides))).reshape(*sides, channels)
    return np.moveaxis(places, -1, 0)


def lies(value: Value, places: np.ndarray) -> bool:
    """Return whether the numbers of a value fill its tensor in an order."""
    fills = value.places.size == value.tensor.size
    return fills and np.array_equal(value.places.ravel(), places.ravel())


def laid_out(
    lowering: Lowering, node: fx.Node, shape: tuple[int, ...], places: np.ndarray
) -> QTensor:
    """Return the tensor in the shape that a convolution reads, channels last.

    Raises:
        LayerError: Its numbers lie in another order.
    """
    value = lowering.value(node.args[0])
    if not lies(value, places):
        raise LayerError(
            f"{where(node)}: a convolution over numbers that do not lie frame by frame"
        )
    if value.tensor.shape == shape:
        return value.tensor
    y = replace(value.tensor, name=f"{lowering.name(node)}_image", shape=shape, role="scratch")
    return lowering.emit(Requantize.quantize(f"reshape_{y.name}", value.tensor, y))


def norm(lowering: Lowering, node: fx.Node) -> None:
    """Emit a batch norm that no layer before it takes in."""
    first: Any = node.args[0]
    axes = len(lowering.plan.axes[first.name].names)
    gain, shift = gain_and_shift(lowering.layer(node))
    scale_channels(lowering, node, *(v.reshape(-1, *[1] * (axes - 2)) for v in (gain, shift)))


def scale_channels(lowering: Lowering, node: fx.Node, gain: np.ndarray, offset: np.ndarray) -> None:
    """Emit y = gain x + offset, both broadcast as torch does.

    Raises:
        LayerError: They differ from step to step.
    """
    first: Any = next(n for n in node.all_input_nodes if n.op != "get_attr")
    sizes = lowering.plan.axes[first.name].sizes
    try:
        spread = [np.broadcast_to(v, sizes).ravel() for v in (gain, offset)]
    except ValueError:
        raise LayerError(
            f"{where(node)}: a constant must have one value for each channel, of a shape "
            f"that fits {sizes}, and not differ from step to step"
        ) from None
    held, name = lowering.filled(first, "int16"), lowering.name(node)
    order = np.argsort(held.places, axis=None)
    dtype = "int16" if lowering.is_wide(node) else "int8"
    factors, offsets = (v[order] for v in spread)
    bound = _bound(lowering, node, dtype, _most(held.tensor, factors, offsets))
    y = symmetric(name, (held.tensor.size,), dtype, bound)
    lowering.emit(Scale.quantize(f"{name}_op", held.tensor, y, factors, offsets))
    lowering.values[node.name] = Value(y, held.places)


RULES: dict[Any, Rule] = {
    **dict.fromkeys((nn.Linear, nn.Conv1d, nn.Conv2d), Rule(rows)),
    **dict.fromkeys(BATCH_NORMS, Rule(norm, reads="int16")),
}
