"""Nodes that compute nothing: they turn axes, cut, or show the newest frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from lnn_edge.nn.from_onnx.build import WHOLE, Axis, Build, Value, as_numbers, axis_of
from lnn_edge.nn.from_onnx.constants import axes_of, split_sizes
from lnn_edge.nn.from_onnx.file import FLOAT, Node
from lnn_edge.nn.table_layers import CutSizes, NewestSizes, PadSizes, PartSizes, ReshapeSizes

Axes = tuple[tuple[int, ...], ...]
FLOATS = (FLOAT, 10, 11)
END = 1 << 31  # a slice to here or beyond has no end


@dataclass(frozen=True)
class Padded:
    """A value with zeros around it, which a convolution takes in.

    Attributes:
        value: What they surround.
        zeros: Before and behind, by axis in ONNX.
    """

    value: Value
    zeros: dict[int, tuple[int, int]]


def nothing(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Identity, Dropout: what is read."""
    value: Value = x[0]
    return value


def cast(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Cast: between floats alone."""
    if node.attributes["to"] not in FLOATS:
        raise build.refuse(node, "makes integers of values, which no layer of a device reads")
    value: Value = x[0]
    return value


def shape(build: Build, node: Node, x: Sequence[Any]) -> np.ndarray:
    """Shape: sizes, as the file has them."""
    first, last = node.attributes.get("start", 0), node.attributes.get("end")
    build.derived.update(node.outputs)
    return np.array(x[0].sizes[first:last], np.int64)


def transpose(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Transpose."""
    value: Value = x[0]
    perm = node.attributes.get("perm") or list(reversed(range(len(value.order))))
    if sorted(perm) != list(range(len(value.order))):
        raise build.refuse(node, f"no order {perm} of {len(value.order)} axes")
    return replace(value, order=tuple(value.order[i] for i in perm))


def squeeze(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Squeeze."""
    value: Value = x[0]
    axes = axes_of(build, node, x[1] if len(x) > 1 else None)
    if axes is None:
        chosen = {i for i, n in enumerate(value.sizes) if n == 1 and not value.kind(i)}
    else:
        chosen = {axis_of(build, node, axis, len(value.order)) for axis in axes}
    if any(value.sizes[i] != 1 or value.kind(i) for i in chosen):
        raise build.refuse(node, f"takes away axes {sorted(chosen)} of {value.sizes}")
    return replace(value, order=tuple(a for i, a in enumerate(value.order) if i not in chosen))


def unsqueeze(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Unsqueeze."""
    value: Value = x[0]
    axes = axes_of(build, node, x[1] if len(x) > 1 else None) or []
    count = len(value.order) + len(axes)
    chosen = {axis_of(build, node, axis, count) for axis in axes}
    left = iter(value.order)
    order = tuple(() if i in chosen else next(left) for i in range(count))
    return replace(value, order=order)


def flatten(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Flatten: the axes before one, and those from it on."""
    value: Value = x[0]
    at = node.attributes.get("axis", 1)
    at = at + len(value.order) if at < 0 else at
    parts = value.order[:at], value.order[at:]
    return replace(value, order=tuple(tuple(chain(*part)) for part in parts))


def reshape(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Reshape: axes are merged or split where their sizes say so."""
    value, given = x[0], x[1]
    if not isinstance(given, np.ndarray):
        raise build.refuse(node, "takes its shape from a value; it must be a constant")
    wanted, sizes = as_numbers(given), value.sizes
    if not node.attributes.get("allowzero"):
        wanted = [sizes[i] if n == 0 else n for i, n in enumerate(wanted)]
    known = prod(n for n in wanted if n != -1)
    if wanted.count(-1) > 1 or min(wanted, default=1) < -1 or known < 1 or prod(sizes) % known:
        raise build.refuse(node, f"makes no shape {wanted} of {sizes}")
    wanted = [prod(sizes) // known if n == -1 else n for n in wanted]
    if prod(wanted) != prod(sizes):
        raise build.refuse(node, f"makes no shape {wanted} of {sizes}")
    return _regrouped(build, node, value, wanted)


def _regrouped(build: Build, node: Node, value: Value, wanted: Sequence[int]) -> Value:
    """Return a value whose axes in ONNX have other sizes."""
    order = _matched(value, wanted)
    if order is not None:
        return replace(value, order=order)
    value = build.canonical(node, value)
    order = _matched(value, wanted)
    if order is not None:
        return replace(value, order=order)
    kept = len(value.leads)
    loose = tuple(n for n, kind in _kinds_of(value, wanted) if not kind)
    if prod(loose) != prod(axis.size for axis in value.row[kept:]):
        raise build.window(node, WHOLE)
    name = build.row(node, ReshapeSizes(kept, loose), [value.name])
    made = Value.plain(name, [*value.row[:kept], *(Axis(n) for n in loose)])
    order = _matched(replace(made, order=_as_leads(value, made)), wanted)
    if order is None:
        raise build.window(node, WHOLE)
    return replace(made, order=order)


def _as_leads(value: Value, made: Value) -> Axes:
    """Return the order of a split value: axes of sequences and frames where they were."""
    kept, order, has_rest = len(value.leads), list[tuple[int, ...]](), False
    rest = [(i,) for i in range(kept, len(made.row))]
    for axes in value.order:
        if axes and axes[0] < kept:
            order.append(axes)
        elif not has_rest:
            order += rest
            has_rest = True
    return tuple(order)


def _kinds_of(value: Value, wanted: Sequence[int]) -> list[tuple[int, str]]:
    """Return the sizes of a new shape, and which of them are sequences or frames."""
    leads = [axes for i, axes in enumerate(value.order) if value.kind(i)]
    left = [prod(value.row[i].size for i in axes) for axes in leads]
    found = []
    for size in wanted:
        met = next((n for n in range(1, len(left) + 1) if prod(left[:n]) == size), 0)
        found.append((size, "BT" if met else ""))
        left = left[met:]
    return found


def _matched(value: Value, wanted: Sequence[int]) -> Axes | None:
    """Return for each size the axes of the row that have it together; None where one is cut."""
    left = [i for axes in value.order for i in axes]
    order = list[tuple[int, ...]]()
    for index, size in enumerate(wanted):
        found, product = list[int](), 1
        if size == 1 and not (left and value.row[left[0]].size == 1):
            order.append(())
            continue
        while left and (product < size or not found):
            product *= value.row[left[0]].size
            found.append(left.pop(0))
        if product != size:
            return None
        rest = wanted[index + 1 :]
        while (
            left and value.row[left[0]].size == 1 and not value.row[left[0]].kind and 1 not in rest
        ):
            found.append(left.pop(0))
        kinds = {bool(value.row[i].kind) for i in found if value.row[i].size > 1}
        if len(kinds) > 1:
            return None
        order.append(tuple(found))
    return None if left else tuple(order)


def split(build: Build, node: Node, x: Sequence[Any]) -> tuple[Value, ...]:
    """Split: parts of an axis that is neither sequences nor frames."""
    value: Value = x[0]
    axis = axis_of(build, node, node.attributes.get("axis", 0), len(value.order))
    sizes = split_sizes(build, node, value.sizes[axis], x[1] if len(x) > 1 else None)
    starts = np.cumsum([0, *sizes[:-1]])
    return tuple(
        part_of(build, node, value, axis, int(start), size)
        for start, size in zip(starts, sizes, strict=True)
    )


def part_of(build: Build, node: Node, value: Value, axis: int, first: int, size: int) -> Value:
    """Return some numbers along an axis."""
    if value.kind(axis):
        raise build.refuse(node, "cuts sequences or frames apart; cut them before the model")
    if size == value.sizes[axis]:
        return value
    value = build.canonical(node, value)
    (place,) = value.order[axis]
    name = build.row(node, PartSizes(place, first, size), [value.name])
    row = list(value.row)
    row[place] = Axis(size)
    return replace(value, name=name, row=tuple(row))


def cut(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Slice: parts of axes; of frames those after the first, before the last, or the newest."""
    value, starts, ends, *rest = x
    given = [starts, ends, *rest]
    if not all(v is None or isinstance(v, np.ndarray) for v in given):
        raise build.refuse(node, "takes its places from a value; they must be constants")
    axes = rest[0] if rest and rest[0] is not None else np.arange(len(starts))
    steps = rest[1] if len(rest) > 1 and rest[1] is not None else np.ones(len(starts))
    is_loose = node.inputs[2] not in build.derived and not build.is_fixed
    for axis, start, end, step in zip(*map(as_numbers, (axes, starts, ends, steps)), strict=True):
        place = axis_of(build, node, axis, len(value.order))
        if step != 1:
            raise build.refuse(node, f"takes every {step}th number; take all of them")
        if value.kind(place) == "T":
            value = _cut_frames(build, node, value, place, start, end, is_loose)
            continue
        size = value.sizes[place]
        first, last = (min(n + size if n < 0 else n, size) for n in (start, end))
        if not 0 <= first < last:
            raise build.refuse(node, f"takes {start} to {end} of {size} numbers, which leaves none")
        value = part_of(build, node, value, place, first, last - first)
    return value  # type: ignore[no-any-return]


def _cut_frames(
    build: Build, node: Node, value: Value, axis: int, start: int, end: int, is_loose: bool
) -> Value:
    size = value.sizes[axis]
    is_open = end >= min(END, size) and (end >= END or not is_loose)
    if is_open and (start == -1 or (start == size - 1 and not is_loose)):
        return newest(build, node, value, axis, keep=True)
    if is_loose and (start < 0 or 0 < end < END):
        raise build.refuse(
            node,
            f"takes frames {start} to {end} of a record; a device has no such place: cut the "
            "first with x[:, j:], the last with x[:, :-j], or take the newest with x[:, -1:]",
        )
    first = start + size if start < 0 else start
    last = 0 if is_open else (-end if end < 0 else size - end)
    if not 0 <= first < size - last:
        raise build.refuse(node, f"cuts {first} and {last} of {size} frames, which leaves none")
    value = build.canonical(node, value)
    name = build.row(node, CutSizes(first, last), [value.name])
    return resized(value, name, size - first - last)


def resized(value: Value, name: str, frames: int) -> Value:
    """Return a value of another row, and of another number of frames."""
    row = tuple(Axis(frames, "T") if a.kind == "T" else a for a in value.row)
    return replace(value, name=name, row=row)


def newest(build: Build, node: Node, value: Value, axis: int, *, keep: bool = False) -> Value:
    """Return the newest frame alone.

    Args:
        build: The table.
        node: Who takes it.
        value: All frames.
        axis: Of frames.
        keep: Whether an axis of one frame stays.
    """
    if value.has_time:
        value = build.canonical(node, value)
    name = build.row(node, NewestSizes(), [value.name])
    place = 1
    order = []
    for index, axes in enumerate(value.order):
        if index == axis and not keep:
            continue
        order.append(tuple(i - (i > place) for i in axes if i != place))
    row = tuple(a for i, a in enumerate(value.row) if i != place)
    return Value(name, row, tuple(order))


def gather(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Gather: the newest frame, or numbers side by side."""
    value, given = x[0], x[1]
    if not isinstance(value, Value) or not isinstance(given, np.ndarray) or given.size == 0:
        raise build.refuse(node, "looks values up, which no device can; take constant places")
    axis = axis_of(build, node, node.attributes.get("axis", 0), len(value.order))
    indices, size = as_numbers(given), value.sizes[axis]
    if given.ndim > 1 or not all(-size <= i < size for i in indices):
        raise build.refuse(node, f"takes places {indices[:8]} of {size}")
    if value.kind(axis) == "T":
        is_sure = build.is_fixed or node.inputs[1] in build.derived
        if indices != [-1] and not (is_sure and indices == [size - 1]):
            raise build.refuse(
                node, f"takes frame {indices[0]} of a record; a device has the newest only, -1"
            )
        return newest(build, node, value, axis, keep=given.ndim == 1)
    first = indices[0] % size
    if [i % size for i in indices] != list(range(first, first + len(indices))):
        raise build.refuse(node, "takes numbers that lie apart; take them side by side")
    if given.ndim == 0 and first == size - 1 and value.order[axis] == (1,) and size > 1:
        return newest(build, node, value, axis)  # of a window
    part = part_of(build, node, value, axis, first, len(indices))
    if given.ndim == 1:
        return part
    if part.sizes[axis] != 1 or part.kind(axis):
        raise build.refuse(node, "takes one of several sequences")
    return replace(part, order=tuple(a for i, a in enumerate(part.order) if i != axis))


def expand(build: Build, node: Node, x: Sequence[Any]) -> Value:
    """Expand: to the same shape alone."""
    value, given = x[0], x[1]
    if not isinstance(given, np.ndarray):
        raise build.refuse(node, "takes its shape from a value")
    if np.broadcast_shapes(value.sizes, tuple(as_numbers(given))) != value.sizes:
        raise build.refuse(node, f"repeats {value.sizes} as {as_numbers(given)}")
    kept: Value = value
    return kept


def pad(build: Build, node: Node, x: Sequence[Any]) -> Value | Padded:
    """Pad: zeros around a value, for the convolution behind it."""
    value: Value = x[0]
    amount = x[1] if len(x) > 1 else None
    fill = x[2] if len(x) > 2 else None
    axes = axes_of(build, node, x[3]) if len(x) > 3 and x[3] is not None else None
    axes = list(range(len(value.order))) if axes is None else axes
    is_zero = fill is None or (isinstance(fill, np.ndarray) and not fill.any())
    if node.attributes.get("mode", "constant") != "constant" or not is_zero:
        raise build.refuse(node, "pads with something else than zeros; take zeros")
    if not isinstance(amount, np.ndarray) or amount.size != 2 * len(axes):
        raise build.refuse(node, "takes its size from a value; it must be a constant")
    sizes = as_numbers(amount)
    zeros = {
        axis_of(build, node, axis, len(value.order)): (sizes[i], sizes[i + len(axes)])
        for i, axis in enumerate(axes)
        if sizes[i] or sizes[i + len(axes)]
    }
    if any(n < 0 for pair in zeros.values() for n in pair):
        raise build.refuse(node, "pads by less than nothing; cut with Slice")
    return Padded(value, zeros) if zeros else value


def settled(build: Build, node: Node, padded: Padded) -> Value:
    """Return a padded value for a node that takes no zeros in: before frames alone."""
    value = padded.value
    if [value.kind(axis) for axis in padded.zeros] != ["T"]:
        raise build.refuse(
            node,
            "reads zeros that no convolution puts there itself; let the convolution pad",
        )
    ((before, after),) = padded.zeros.values()
    groups = [*value.leads[:1], *value.statics(), value.places("T")]
    name = build.laid(node, value, groups)
    name = build.row(node, PadSizes(before, after), [name])
    row = [Axis(prod(value.row[i].size for i in g), value.row[g[0]].kind) for g in groups]
    place = {i: n for n, g in enumerate(groups) for i in g}
    order = tuple(tuple(dict.fromkeys(place[i] for i in axes)) for axes in value.order)
    frames = value.row[value.places("T")[0]].size
    return resized(Value(name, tuple(row), order), name, frames + before + after)
