"""Values of 16 bits: formats, and the few kernels of TFLite that all operators are made of.

All values are int16 around 0, four axes, the first of them 1. A tensor whose channels differ in
scale keeps their ratios: what reads it has them in its weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lnn_edge.codegen.tflite.flat import Flat, Stored
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.geometry import Geometry

MOST = 32767
Q15 = 1 / 32768
NONE, RELU, RELU6 = 0, 1, 3
AXES = 4
_LEAST = float(np.finfo(np.float32).tiny)
SAME = 1e-6  # relative: formats that are one
_COARSEST = 4096.0  # steps of a sum in one of what is added: TFLite ends the program above 16384


def wide(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape of four axes."""
    return (*(1,) * (AXES - len(shape)), *shape)


def fineness(flat: Flat, tensor: QTensor) -> int:
    """Return a step in 16 bits in steps of the tensor, a power of two: 1 where 16 bits hold it."""
    most = min(flat.seen.get(tensor.name, tensor.magnitude), tensor.magnitude)
    return 1 << max(0, (most - 1).bit_length() - 15)


def scale_of(flat: Flat, tensor: QTensor) -> float:
    """Return what a step in 16 bits is worth in the first channel."""
    return tensor.scales[0] * fineness(flat, tensor)


def in_steps_of(flat: Flat, x: Stored, scale: float) -> Stored:
    """Return a value in another format."""
    if math.isclose(x.scale, scale, rel_tol=SAME):
        return x
    return flat.add("QUANTIZE", [x], x.shape, "int16", scale)


def times(flat: Flat, x: Stored, factors: np.ndarray, scale: float, how: int = NONE) -> Stored:
    """Return x times constants that are broadcast to it."""
    step = max(float(np.abs(factors).max()) / MOST, _LEAST)
    constant = flat.constant(np.round(factors / step).astype(np.int16), step)
    return product(flat, x, constant, scale, how)


def plus(flat: Flat, x: Stored, constants: np.ndarray, scale: float, how: int = NONE) -> Stored:
    """Return x plus constants that are broadcast to it."""
    step = max(float(np.abs(constants).max()) / MOST, scale * 2.0**-8)
    constant = flat.constant(np.round(constants / step).astype(np.int16), step)
    return total(flat, "ADD", x, constant, scale, how)


def product(flat: Flat, a: Stored, b: Stored, scale: float, how: int = NONE) -> Stored:
    """Return a * b."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    return flat.add("MUL", [a, b], shape, "int16", scale, fusedActivationFunction=how)


def total(flat: Flat, code: str, a: Stored, b: Stored, scale: float, how: int = NONE) -> Stored:
    """Return a + b or a - b."""
    a, b = (in_steps_of(flat, v, min(v.scale, _COARSEST * scale)) for v in (a, b))
    shape = np.broadcast_shapes(a.shape, b.shape)
    options = {"fusedActivationFunction": how, "potScaleInt16": False}
    return flat.add(code, [a, b], shape, "int16", scale, **options)


def shaped(flat: Flat, x: Stored, shape: Sequence[int]) -> Stored:
    """Return the elements in another shape."""
    sizes = tuple(shape)
    if x.shape == sizes:
        return x
    told = flat.constant(np.array(sizes, np.int32))
    made = flat.add("RESHAPE", [x, told], sizes, x.dtype, x.scale, x.zero_point, newShape=sizes)
    return made


def padded(flat: Flat, x: Stored, geometry: Geometry) -> Stored:
    """Return an image with zeros around it, as far as a kernel reaches."""
    margins = np.zeros((AXES, 2), np.int32)
    for axis in (0, 1):
        before, size = geometry.before[axis], x.shape[axis + 1]
        reach = (geometry.output[axis] - 1) * geometry.strides[axis] + 1
        reach += (geometry.kernel_size[axis] - 1) * geometry.dilation[axis]
        margins[axis + 1] = before, max(reach - before - size, 0)
    if not margins.any():
        return x
    shape = np.array(x.shape) + margins.sum(axis=1)
    return flat.add("PAD", [x, flat.constant(margins)], shape, x.dtype, x.scale)
