"""Where the columns of a convolution lie: looked up frame by frame, tap by tap."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.conv import Conv1d


def conv(frames: int, out: int, **way: int) -> Conv1d:
    x, y = QTensor("x", (frames, 4), "int8", 1.0), QTensor("y", (out, 4), "int8", 1.0)
    groups, taps = way.pop("groups", 1), way.pop("taps", 3)
    weight = np.ones((4, 4 // groups, taps))
    stride = way.pop("stride", 1)
    return Conv1d.quantize("op", x, y, weight, np.zeros(4), stride, groups=groups, **way)


CASES = [
    conv(9, 7),
    conv(9, 4, stride=2),
    conv(9, 5, dilation=2),
    conv(9, 7, before=1),
    conv(9, 9, before=1),
    conv(9, 9, taps=1),
    conv(9, 8, taps=2),
    conv(9, 7, taps=2, dilation=2),
    conv(9, 7, groups=2),
]


@pytest.mark.parametrize("op", CASES, ids=lambda op: f"{op.outputs[0].shape[0]}")
def test_columns_lie_side_by_side_where_all_taps_follow_each_other(op: Conv1d) -> None:
    frames, out = op.inputs[0].shape[0], op.outputs[0].shape[0]
    taps = [
        [t * op.stride - op.before + k * op.dilation for k in range(op.kernel_size)]
        for t in range(out)
    ]
    inside = all(0 <= frame < frames for window in taps for frame in window)
    follow = all(b - a == 1 for window in taps for a, b in pairwise(window))
    assert op.is_contiguous == (inside and follow and op.groups == 1)
