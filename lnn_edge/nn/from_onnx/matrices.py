"""MatMul, Gemm and Conv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import Axis, Build, Value
from lnn_edge.nn.from_onnx.file import Node
from lnn_edge.nn.from_onnx.views import Padded
from lnn_edge.nn.table_layers import Conv1dSizes, Conv2dSizes, LinearSizes, PadSizes
from lnn_edge.nn.zero_taps import balanced


def matmul(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """MatMul: y = x W."""
    value, weight = x
    if not isinstance(value, Value) or not isinstance(weight, np.ndarray):
        raise build.refuse(node, "multiplies two values, or a matrix with a value; take x W")
    if weight.ndim != 2:
        raise build.refuse(node, f"multiplies with an array of shape {weight.shape}; take a matrix")
    return linear(build, node, value, weight.T, np.zeros(weight.shape[1]))


def gemm(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Gemm: y = alpha x W + beta c."""
    value, weight, *rest = x
    given = node.attributes
    bias = rest[0] if rest and rest[0] is not None else np.zeros(1)
    arrays = isinstance(weight, np.ndarray) and isinstance(bias, np.ndarray)
    if given.get("transA") or not arrays or weight.ndim != 2 or not isinstance(value, Value):
        raise build.refuse(node, "must multiply a value with a constant matrix")
    matrix = float(given.get("alpha", 1.0)) * (weight if given.get("transB") else weight.T)
    shift = np.broadcast_to(float(given.get("beta", 1.0)) * bias, (1, len(matrix)))
    return linear(build, node, value, matrix, shift[0])


def linear(build: Build, node: Node, value: Value, weight: np.ndarray, bias: np.ndarray) -> Value:
    """Return W x + b of the last axis; on the frames of a window a convolution of one tap.

    Args:
        build: The table.
        node: Where it comes from.
        value: x.
        weight: (O, I).
        bias: (O,).
    """
    *front, last = range(len(value.order))
    if value.kind(last) or value.sizes[last] != weight.shape[1]:
        raise build.refuse(node, f"reads {weight.shape[1]} numbers, and gets {value.sizes}")
    channels = value.statics([last])
    rest = [g for g in value.statics(front) if prod(value.row[i].size for i in g) > 1]
    place = {i: n for n, group in enumerate(value.leads) for i in group}
    row = [value.row[g[0]] for g in value.leads]
    if rest:
        return _of_rows(build, node, value, weight, bias)
    name = build.laid(node, value, [*value.leads, channels[0] if channels else ()])
    weights = {"weight": weight, "bias": bias}
    name = build.row(node, LinearSizes(weight.shape[1], len(weight)), [name], weights)
    order = [tuple(place[i] for i in value.order[a] if i in place) for a in front]
    return Value(name, (*row, Axis(len(weight))), (*order, (len(row),)))


def _of_rows(build: Build, node: Node, value: Value, weight: np.ndarray, bias: np.ndarray) -> Value:
    """Return what a matrix makes of each frame of a window."""
    *front, last = range(len(value.order))
    long = [a for a in front if not value.kind(a) and value.sizes[a] > 1]
    if value.has_time or len(long) > 1:
        raise build.refuse(
            node, f"is applied to each row of axes {value.sizes}; flatten them before it"
        )
    channels, (rest,) = value.statics([last]), value.statics(long)
    groups = [value.places("B"), channels[0] if channels else (), rest]
    name = build.laid(node, value, groups)
    weights = {"weight": weight[:, :, None], "bias": bias}
    name = build.row(node, Conv1dSizes(weight.shape[1], len(weight), 1), [name], weights)
    row = (value.row[groups[0][0]], Axis(len(weight)), Axis(value.sizes[long[0]]))
    order = [(2,) if a in long else ((0,) if value.kind(a) else ()) for a in front]
    return Value(name, row, (*order, (1,)))


def conv(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Conv: over frames, over a window, over an image."""
    given, weight, *rest = x
    zeros = given.zeros if isinstance(given, Padded) else {}
    value = given.value if isinstance(given, Padded) else given
    bias = rest[0] if rest and rest[0] is not None else np.zeros(len(np.atleast_1d(weight)))
    if not all(isinstance(v, np.ndarray) for v in (weight, bias)):
        raise build.refuse(node, "takes its kernel from a value; it must be a constant")
    axes, groups = weight.ndim - 2, int(node.attributes.get("group", 1))
    if axes < 1 or len(value.order) != weight.ndim or value.kind(1) or 0 in weight.shape:
        raise build.refuse(node, f"moves a kernel {weight.shape} over axes {value.sizes}")
    if value.sizes[1] != weight.shape[1] * groups or len(bias) != len(weight):
        raise build.refuse(node, f"reads {weight.shape[1] * groups} channels of {value.sizes}")
    if not set(zeros) <= set(range(2, 2 + axes)):
        raise build.refuse(node, "has zeros beside its channels; pad along the kernel alone")
    stride = per_axis(build, node, "strides", axes)
    dilation = per_axis(build, node, "dilations", axes)
    sides = _sides(build, node, value, weight.shape[2:], stride, dilation)
    sides = [
        (a + zeros.get(i + 2, (0, 0))[0], b + zeros.get(i + 2, (0, 0))[1])
        for i, (a, b) in enumerate(sides)
    ]
    weight, left = _without_single(value, weight, stride, dilation, sides)
    form = _Form(build, node, value, weight, bias, groups)
    if len(left) > 2:
        raise build.refuse(node, f"moves along {len(left)} axes; a device has at most two")
    if not left:
        left = [axes - 1]
        weight = weight[..., None]
        form = replace(form, weight=weight)
        sides[left[0]] = (0, 0)
        stride = [*stride[:-1], 1]
        dilation = [*dilation[:-1], 1]
    along = [stride[i] for i in left], [dilation[i] for i in left], [sides[i] for i in left]
    return form.made([i + 2 for i in left], *along)


def per_axis(build: Build, node: Node, name: str, axes: int, other: int | None = 1) -> list[int]:
    """Return the sizes of an attribute along each axis.

    Raises:
        DataError: They are none that a kernel has.
    """
    given = node.attributes.get(name, None if other is None else [other] * axes)
    is_list = isinstance(given, list) and len(given) == axes
    if not is_list or not all(isinstance(n, int) and 0 < n < 1 << 16 for n in given):
        raise build.refuse(node, f"has {name} {given} for {axes} axes")
    return list(given)


def padding_of(build: Build, node: Node, axes: int) -> list[tuple[int, int]]:
    """Return the zeros before and behind along each axis, as `pads` tells them."""
    given = node.attributes.get("pads", [0] * 2 * axes)
    is_list = isinstance(given, list) and len(given) == 2 * axes
    if not is_list or not all(isinstance(n, int) and 0 <= n < 1 << 16 for n in given):
        raise build.refuse(node, f"has pads {given} for {axes} axes")
    return list(zip(given[:axes], given[axes:], strict=True))


def results(size: int, span: int, stride: int, sides: tuple[int, int]) -> int:
    """Return how many positions a kernel has."""
    return (size + sum(sides) - span) // stride + 1


def _sides(
    build: Build,
    node: Node,
    value: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[tuple[int, int]]:
    """Return the zeros before and behind along each axis."""
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        return padding_of(build, node, len(kernel))
    if auto == "VALID":
        return [(0, 0)] * len(kernel)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise build.refuse(node, f"has auto_pad {auto!r}; give pads")
    found = []
    for k, s, d, axis in zip(kernel, stride, dilation, range(2, 2 + len(kernel)), strict=True):
        size, span = value.sizes[axis], d * (k - 1) + 1
        if value.kind(axis) and s > 1:
            raise build.window(node, "pads by the number of frames, which a stream has not")
        total = max((-(-size // s) - 1) * s + span - size, 0)
        less, more = total // 2, total - total // 2
        found.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return found


def _without_single(
    value: Value,
    weight: np.ndarray,
    stride: Sequence[int],
    dilation: Sequence[int],
    sides: Sequence[tuple[int, int]],
) -> tuple[np.ndarray, list[int]]:
    """Return a kernel without its taps on zeros along axes of one number, and the axes left."""
    left = list[int]()
    for i in range(weight.ndim - 2):
        axis, size = len(left) + 2, weight.shape[len(left) + 2]
        before, after = sides[i]
        span = dilation[i] * (size - 1) + 1
        is_single = value.sizes[i + 2] == 1 and not value.kind(i + 2)
        is_met = before % dilation[i] == 0 and before // dilation[i] < size
        if is_single and is_met and results(1, span, stride[i], (before, after)) == 1:
            weight = weight.take(before // dilation[i], axis)
        else:
            left.append(i)
    return weight, left


@dataclass(frozen=True)
class _Form:
    """A convolution that is being placed: its node, what it reads, kernel (O, I / groups, ...)."""

    build: Build
    node: Node
    value: Value
    weight: np.ndarray
    bias: np.ndarray
    groups: int

    def made(
        self,
        axes: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
        sides: Sequence[tuple[int, int]],
    ) -> Value:
        """Return what it gives.

        Args:
            axes: In ONNX, along which it moves.
            stride: From one position to the next along each.
            dilation: From one tap to the next.
            sides: Zeros before and behind.
        """
        build, node, value = self.build, self.node, self.value
        is_timed = [value.kind(axis) == "T" for axis in axes]
        if any(value.kind(axis) not in ("", "T") for axis in axes):
            raise build.refuse(node, "moves along sequences; move along frames or their numbers")
        if any(is_timed) and len(axes) > 1:
            raise build.window(node, "reads its frames as an image")
        channels = value.statics([1])
        along = [value.places("T")] if any(is_timed) else [value.order[axis] for axis in axes]
        leads = [g for g in value.leads if g not in along]
        name = build.laid(node, value, [*leads, channels[0] if channels else (), *along])
        like = name
        if len(leads) > 1:
            name = build.folded(node, name)
        if any(is_timed):
            name = self._over_time(name, stride[0], dilation[0], sides[0])
        else:
            name = self._over_window(name, stride, dilation, sides)
        if len(leads) > 1:
            name = build.unfolded(node, name, like)
        spans = [d * (k - 1) + 1 for k, d in zip(self.weight.shape[2:], dilation, strict=True)]
        sizes = [
            results(value.sizes[a], n, s, p)
            for a, n, s, p in zip(axes, spans, stride, sides, strict=True)
        ]
        if min(sizes) < 1:
            raise build.refuse(node, f"its kernel over {spans} does not fit {value.sizes}")
        row = [value.row[g[0]] for g in leads]
        row += [Axis(len(self.weight))]
        row += [Axis(n, "T" if t else "") for n, t in zip(sizes, is_timed, strict=True)]
        place = {i: n for n, g in enumerate(leads) for i in g}
        order = [tuple(place[i] for i in value.order[0]), (len(leads),)]
        moved = {axis: len(leads) + 1 + i for i, axis in enumerate(axes)}
        order += [(moved[a],) if a in moved else () for a in range(2, len(value.order))]
        return Value(name, tuple(row), tuple(order))

    def _over_time(self, name: str, stride: int, dilation: int, sides: tuple[int, int]) -> str:
        before, after = sides
        taps, place = self.weight.shape[2], ""
        made: int | str = 0
        if before and not after and before == dilation * (taps - 1):
            made, place = "causal", "1."
        elif before == after:
            made = before
        else:
            name = self.build.row(self.node, PadSizes(before, after), [name])
        inputs, filters = self.weight.shape[1] * self.groups, len(self.weight)
        form = Conv1dSizes(inputs, filters, taps, stride, dilation, self.groups, made)
        weights = {f"{place}weight": self.weight, f"{place}bias": self.bias}
        return self.build.row(self.node, form, [name], weights)

    def _over_window(
        self,
        name: str,
        stride: Sequence[int],
        dilation: Sequence[int],
        sides: Sequence[tuple[int, int]],
    ) -> str:
        weight, zeros = self.weight, list[int]()
        for i, (before, after) in enumerate(sides):
            try:
                weight, side = balanced(weight, i + 2, before, after, dilation[i])
            except ValueError as error:
                raise self.build.refuse(self.node, f"{error}; pad alike on both sides") from None
            zeros.append(side)
        inputs, filters = weight.shape[1] * self.groups, len(weight)
        taps, weights = weight.shape[2:], {"weight": weight, "bias": self.bias}
        form: Any
        if len(taps) == 1:
            head = (inputs, filters, taps[0], stride[0], dilation[0])
            form = Conv1dSizes(*head, self.groups, zeros[0])
        else:
            way = (tuple(taps), tuple(stride), tuple(dilation))
            form = Conv2dSizes(inputs, filters, *way, self.groups, tuple(zeros))
        return self.build.row(self.node, form, [name], weights)
