"""What a value can reach before it is saturated; where that is within the output, nothing is.

Each of these maps is monotone in its inputs or convex between them, so their ends tell. What comes
from outside may have any value of its type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lnn_edge.graph import fixed
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Q15_ONE, Mix
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.memory_cell import Gate
from lnn_edge.graph.ops.rescale import AbstractRescale
from lnn_edge.graph.ops.synapse import Synapses
from lnn_edge.graph.ops.unfold import Unfold
from lnn_edge.graph.ops.window import Decimate

Reach = tuple[int, int]


def stays_inside(op: AbstractOp) -> bool:
    """Return whether the first output of an operator is proved to hold every value that arises."""
    y, find = op.outputs[0], _REACHES.get(type(op).kind)
    if find is None:
        return False
    low, high = find(op)
    return y.qmin <= low and high <= y.qmax


def is_convex(op: AbstractOp, makers: Mapping[str, AbstractOp]) -> bool:
    """Return whether membranes are proved to stay within their range without a limit.

    Where num and den come from synapses, |n| <= d - m: what leaks is m more than what it drives,
    and no driven conductance exceeds its conductance. With k = capacity 2**time_bits / dt a step
    towards n / d ends at most at ONE (k + n) / (k + d), and rounding adds
    2**(gap_bits - 1) / (k + d) and a half: below ONE + 1 if 2**gap_bits < k + d + 2 m ONE. Its
    length fits 32 bits if rounding adds less than 2**15.

    Args:
        op: Any operator.
        makers: What makes each tensor, by the tensor's name.
    """
    if not isinstance(op, Unfold):
        return False
    _, num, den, *elapsed = op.inputs
    maker = makers.get(num.name)
    if not isinstance(maker, Synapses) or maker.outputs != (num, den):
        return False
    longest = max(1, elapsed[0].qmax) if elapsed else 1
    driven, leak = maker.leak.astype(np.int64)
    room = (op.capacity.astype(np.int64) << op.time_bits) // longest + leak
    more = 2 * (leak - np.abs(driven)) * op.one
    is_short = bool((room << 16 > 1 << op.gap_bits).all())
    is_in_words = op.shifts[1] <= 31 and longest < 1 << 15
    return is_short and is_in_words and bool((room + more > 1 << op.gap_bits).all())


def _ends(x: QTensor) -> Reach:
    return RANGES[x.dtype] if x.role == "input" else (x.qmin, x.qmax)


def _of_rescale(op: AbstractOp) -> Reach:
    assert isinstance(op, AbstractRescale)
    low, high = (
        fixed.requantize(end - op.zero_points_of_x, op.multipliers, op.shifts) + op.zero_points_of_y
        for end in _ends(op.inputs[0])
    )
    return int(low.min()), int(high.max())


def _of_decimate(op: AbstractOp) -> Reach:
    assert isinstance(op, Decimate)
    ends = np.array(_ends(op.inputs[0])) * op.factor
    low, high = fixed.requantize(ends, op.multiplier, op.shift).tolist()
    return low, high


def _of_gate(op: AbstractOp) -> Reach:
    assert isinstance(op, Gate)
    x, gate = map(_ends, op.inputs)
    return _scaled(op, [a * b for a in x for b in gate])


def _of_mix(op: AbstractOp) -> Reach:
    assert isinstance(op, Mix)
    a, b = map(_ends, op.inputs[:2])
    return _scaled(op, [Q15_ONE * end for end in (*a, *b)])


def _of_lut(op: AbstractOp) -> Reach:
    """Between two entries a line stays between them, rounded or not."""
    assert isinstance(op, Lut)
    low, high = int(op.table.min()), int(op.table.max())
    if op.has_factor:
        return op.finished(low << op.step_bits), op.finished(high << op.step_bits)
    return low, high


def _scaled(op: Mix | Gate, ends: list[int]) -> Reach:
    values = fixed.requantize(np.array(ends), op.multiplier, op.shift)
    return int(values.min()), int(values.max())


_REACHES: dict[str, Callable[[AbstractOp], Reach]] = {
    "decimate": _of_decimate,
    "gate": _of_gate,
    "lut": _of_lut,
    "mix": _of_mix,
    "requantize": _of_rescale,
    "slice": _of_rescale,
}
