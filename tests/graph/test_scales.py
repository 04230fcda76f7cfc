"""Which integers a tensor of known range gets."""

from __future__ import annotations

import numpy as np
import pytest

from lnn_edge.errors import QuantizationError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import (
    STANDSTILL,
    integrating_dtype,
    q15,
    q15_gate,
    range_of,
    rectified,
    symmetric,
    symmetric_of,
)


@pytest.mark.parametrize(("dtype", "top"), [("int8", 127), ("int16", 32767)])
def test_a_symmetric_tensor_reaches_its_bound_both_ways(dtype: str, top: int) -> None:
    x = symmetric("x", (2,), dtype, 4.0)
    assert (x.zero_points, x.qmin, x.qmax) == ((0,), -top, top)
    assert x.quantize([-4.0, 4.0]).tolist() == [-top, top]
    assert x.quantize([-5.0, 5.0]).tolist() == [-top, top]
    np.testing.assert_allclose(x.dequantize(np.array([-top, top])), [-4.0, 4.0], rtol=1e-15)


@pytest.mark.parametrize(("given", "bound"), [((-1.0, 3.0), 3.0), ((-5.0, 3.0), 5.0)])
def test_the_wider_side_of_a_range_decides(given: tuple[float, float], bound: float) -> None:
    x = symmetric_of("x", (1,), "int8", {"x": given})
    assert x.scales[0] * 127 == pytest.approx(bound)


def test_a_rectified_tensor_uses_every_byte_and_its_zero_is_exact() -> None:
    x = rectified("x", (1,), 2.55)
    assert x.quantize([0.0, -1.0, 2.55, 9.0]).tolist() == [-128, -128, 127, 127]
    np.testing.assert_allclose(x.dequantize(np.array([-128, 127])), [0.0, 2.55], rtol=1e-15)


def test_q15_holds_what_lies_inside_one() -> None:
    x = q15("x", 3)
    assert x.quantize([-1.0, 0.5, 1.0]).tolist() == [-32767, 16384, 32767]


def test_a_gate_holds_one_exactly_and_its_product_with_any_difference_fits_32_bits() -> None:
    gate = q15_gate("g", 1)
    assert gate.quantize([0.0, 1.0, 1.1]).tolist() == [0, 32768, 32768]
    assert gate.dequantize(np.array([32768])).tolist() == [1.0]
    assert gate.qmax * (q15("a", 1).qmax - q15("b", 1).qmin) < 1 << 31


@pytest.mark.parametrize("ranges", [{}, {"x": (1.0, 1.0)}, {"x": (2.0, 1.0)}])
def test_a_tensor_nobody_saw_is_named(ranges: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(QuantizationError, match="x: no range was observed; calibrate with data"):
        range_of(ranges, "x")


def test_formats_are_tensors() -> None:
    made = (
        q15("a", 1),
        q15_gate("b", 1),
        rectified("c", (1,), 1.0),
        symmetric("d", (1,), "int8", 1),
    )
    assert all(isinstance(t, QTensor) for t in made)


def test_a_state_of_16_bits_has_32767_steps_to_either_side() -> None:
    assert integrating_dtype(0.5 / 32767 / STANDSTILL) == "int16"
    assert integrating_dtype(0.5 / 32767.5 / STANDSTILL) == "int32"


@pytest.mark.parametrize("share", [0.2, 0.05, 0.01, 1e-3, 1e-4])
def test_an_integrating_state_stands_still_where_its_format_says(share: float) -> None:
    """Let an int16 state follow 0.5 and see how far from it a rounded update ends."""
    target, state = 16384, 0
    while step := int(np.floor(share * (target - state) + 0.5)):
        state += step
    stops_early = (target - state) / 32767 > STANDSTILL
    assert integrating_dtype(share) == ("int32" if stops_early else "int16")
