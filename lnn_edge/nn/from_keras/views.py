"""Layers that compute nothing: other shapes, frames cut away or put before."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from lnn_edge.nn.from_keras.build import Build, NeedsWindow, Shape, Value
from lnn_edge.nn.from_keras.graph import KerasLayer
from lnn_edge.nn.table_layers import CutSizes, PadSizes, PermuteSizes, ReshapeSizes

WHOLE = "reads a whole record, which has no end on a device"


def flatten(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Flatten: all numbers of a window, frame by frame."""
    value = build.turned(layer, values[0], to_first=False)
    if value.has_time and not value.is_newest:
        raise NeedsWindow(layer, WHOLE)
    return _shaped(build, layer, value, (prod(value.sizes),))


def reshape(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Reshape: of each frame in a stream, of all numbers elsewhere."""
    value = build.turned(layer, values[0], to_first=False)
    wanted = [int(n) for n in layer.config["target_shape"]]
    if value.has_time and not value.is_newest:
        rest = wanted[1:]
        if wanted[0] not in (-1, build.length) or prod(rest) != prod(value.sizes):
            raise NeedsWindow(layer, WHOLE)
        return _shaped(build, layer, value, tuple(rest))
    size = prod(value.sizes)
    if wanted.count(-1) > 1 or (size % max(-prod(wanted), 1)):
        raise layer.refuse(f"no {wanted} can be made of a shape {value.shape}")
    known = -prod(wanted)
    sizes = tuple(size // known if n == -1 else n for n in wanted)
    if prod(sizes) != size:
        raise layer.refuse(f"no {wanted} can be made of a shape {value.shape}")
    return _shaped(build, layer, value, sizes)


def permute(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Permute: other axes, time the first of them in a stream."""
    value = build.turned(layer, values[0], to_first=False)
    order = tuple(int(n) for n in layer.config["dims"])
    if sorted(order) != list(range(1, len(value.shape) + 1)) or value.is_newest:
        raise layer.refuse(f"no order {order} of a shape {value.shape}")
    if value.has_time and order[0] != 1:
        raise NeedsWindow(layer, "moves time to another axis")
    shape: Shape = tuple(value.shape[n - 1] for n in order)
    return build.row(layer, PermuteSizes((0, *order)), [value], shape)


def crop(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """Cropping1D: frames less at both ends."""
    first, last = _ends(layer, "cropping")
    value = build.turned(layer, values[0], to_first=False)
    length = _length_of(layer, value)
    if length is not None and first + last >= length:
        raise layer.refuse(f"cuts {first} and {last} of {length} frames, which leaves none")
    left = None if length is None else length - first - last
    return build.row(layer, CutSizes(first, last), [value], (left, *value.shape[1:]))


def pad(build: Build, layer: KerasLayer, values: Sequence[Value]) -> Value:
    """ZeroPadding1D: frames of zeros before a convolution."""
    before, after = _ends(layer, "padding")
    if _length_of(layer, values[0]) is not None:
        raise layer.refuse(
            "zeros in a window that no convolution puts there itself have no operator; train with "
            'padding="same" or "causal" in the convolution'
        )
    value = build.turned(layer, values[0], to_first=True)
    return build.row(layer, PadSizes(before, after), [value], value.shape)


def per_frame(build: Build, layer: KerasLayer, value: Value) -> Value:
    """Flatten each frame of a stream."""
    return _shaped(build, layer, value, (prod(value.sizes),))


def _shaped(build: Build, layer: KerasLayer, value: Value, sizes: tuple[int, ...]) -> Value:
    """Return a value with other sizes behind the batch, and behind time."""
    kept = 1 + value.has_time
    shape = (*value.shape[: kept - 1], *sizes)
    if shape == value.shape:
        return value
    return build.row(layer, ReshapeSizes(kept, sizes), [value], shape)


def _length_of(layer: KerasLayer, value: Value) -> int | None:
    if len(value.shape) != 2 or value.is_newest:
        raise layer.refuse(f"reads frames of channels, and gets a shape {value.shape}")
    return value.shape[0]


def _ends(layer: KerasLayer, name: str) -> tuple[int, int]:
    given = layer.config[name]
    ends = tuple(given) if isinstance(given, list | tuple) else (given, given)
    if len(ends) != 2 or not all(type(n) is int and 0 <= n < 1 << 16 for n in ends):
        raise layer.refuse(f"{name} {given} is none of frames; give two numbers")
    return ends
