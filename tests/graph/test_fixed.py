"""The integer arithmetic equals exact rational arithmetic, in numpy and in torch."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn_edge.errors import QuantizationError
from lnn_edge.files import resources
from lnn_edge.graph import fixed

QUICK = settings(max_examples=300, deadline=None, derandomize=True, database=None)
TOP = (1 << 31) - 1
Term = tuple[int, int, int]


@st.composite
def terms(draw: st.DrawFn) -> Term:
    """An accumulator with |acc| << shift below 2**31, a multiplier and a shift."""
    shift = draw(st.integers(0, 30))
    most = TOP >> shift
    acc = draw(st.integers(-most, most) | st.integers(-3, 3).map(lambda n: max(-most, n)))
    multiplier = draw(st.integers(1, TOP) | st.integers(0, 30).map(lambda n: 1 << n))
    return min(acc, most), multiplier, shift


def exact(acc: int, multiplier: int, shift: int) -> Fraction:
    """The product that the integers mean."""
    return acc * Fraction(multiplier * 2**shift, 2**32)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@QUICK
@given(terms())
def test_requantize_is_the_exact_product_rounded_half_up(term: Term) -> None:
    acc, multiplier, shift = term
    got = fixed.requantize(array(acc), array(multiplier), array(shift))
    assert got.tolist() == [half_up(exact(*term))]


@pytest.mark.parametrize(
    ("acc", "wanted"), [(1, 1), (-1, 0), (3, 2), (-3, -1), (5, 3), (-5, -2), (2, 1), (-2, -1)]
)
def test_requantize_rounds_ties_up(acc: int, wanted: int) -> None:
    half = 1 << 30, 1  # M = 0.5
    assert fixed.requantize(array(acc), *half).tolist() == [wanted]


@pytest.mark.parametrize("multiplier", [1, 1 << 30, TOP])
@pytest.mark.parametrize("shift", [0, 1, 15, 30])
def test_requantize_holds_at_the_ends_of_its_range(multiplier: int, shift: int) -> None:
    most = TOP >> shift
    got = fixed.requantize(array(-most, 0, most), multiplier, shift)
    wanted = [half_up(exact(acc, multiplier, shift)) for acc in (-most, 0, most)]
    assert got.tolist() == wanted
    assert max(map(abs, wanted)) < 1 << 31


def test_requantize_takes_a_factor_per_channel() -> None:
    acc = array(7, -7, 100).reshape(1, 3) * array(1, 2).reshape(2, 1)
    pairs = [fixed.quantize_multiplier(m) for m in (0.5, 0.3, 3.0)]
    multiplier, shift = array(*(m for m, _ in pairs)), array(*(s for _, s in pairs))
    assert fixed.requantize(acc, multiplier, shift).tolist() == [[4, -2, 300], [7, -4, 600]]


@QUICK
@given(st.lists(terms(), min_size=1, max_size=3))
def test_requantize_sum_rounds_the_exact_sum_once(given_terms: list[Term]) -> None:
    got = fixed.requantize_sum(*((array(a), m, s) for a, m, s in given_terms))
    assert got.tolist() == [half_up(sum((exact(*t) for t in given_terms), Fraction(0)))]


def test_requantize_sum_differs_from_two_roundings() -> None:
    third = fixed.quantize_multiplier(0.3)
    assert fixed.requantize(array(1), *third).tolist() == [0]
    assert fixed.requantize_sum((array(1), *third), (array(1), *third)).tolist() == [1]


@QUICK
@given(st.floats(2.0**-32, 2.0**28))
def test_quantize_multiplier_errs_a_quarter_of_a_step_at_most(real: float) -> None:
    multiplier, shift = fixed.quantize_multiplier(real)
    largest_acc = Fraction(1 << 31, 1 << shift)
    error = abs(exact(1, multiplier, shift) - Fraction(real)) * largest_acc
    assert error <= Fraction(1, 4)


@QUICK
@given(st.floats(2.0**-32, 2.0**28))
def test_quantize_multiplier_shifts_no_more_than_it_must(real: float) -> None:
    multiplier, shift = fixed.quantize_multiplier(real)
    assert 1 <= multiplier < 1 << 31
    assert 0 <= shift <= 30
    if shift > 0:
        assert round(Fraction(real) * 2 ** (33 - shift)) >= 1 << 31


def test_a_multiplier_that_reaches_31_bits_takes_the_next_shift() -> None:
    below = 0.5 - 2.0**-40
    assert fixed.quantize_multiplier(below) == (1 << 30, 1)
    assert fixed.quantize_multiplier(0.5) == (1 << 30, 1)
    assert fixed.quantize_multiplier(0.5 - 2.0**-32) == (TOP, 0)


@pytest.mark.parametrize(
    ("refused", "neighbour"),
    [
        (2.0**-33, 2.0**-32),
        (2.0**29, 2.0**28),
        (2.0**29 - 2.0**-11, 2.0**29 - 1),  # only its rounded multiplier needs shift 31
    ],
)
def test_factors_beyond_the_format_are_refused_and_their_neighbours_are_not(
    refused: float, neighbour: float
) -> None:
    with pytest.raises(QuantizationError, match=r"does not fit .*choose scales closer"):
        fixed.quantize_multiplier(refused)
    fixed.quantize_multiplier(neighbour)


@pytest.mark.parametrize("real", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_must_be_positive_and_finite(real: float) -> None:
    with pytest.raises(QuantizationError, match="must be positive and finite"):
        fixed.quantize_multiplier(real)


@QUICK
@given(st.integers(1, TOP), st.integers(0, 30))
def test_real_multiplier_says_what_the_integers_mean(multiplier: int, shift: int) -> None:
    real = fixed.real_multiplier(np.float64(multiplier), np.float64(shift))
    assert Fraction(float(real)) == exact(1, multiplier, shift)


@QUICK
@given(st.integers(-TOP, TOP), st.integers(1, TOP))
def test_divide_is_the_exact_quotient_rounded_half_up(numerator: int, denominator: int) -> None:
    got = fixed.divide(array(numerator), array(denominator))
    assert got.tolist() == [half_up(Fraction(numerator, denominator))]


def test_divide_rounds_ties_up() -> None:
    assert fixed.divide(array(1, -1, 3, -3, 5, -5), 2).tolist() == [1, 0, 2, -1, 3, -2]


POWERS = st.integers(0, 31).flatmap(lambda n: st.integers(-2, 2).map(lambda d: (1 << n) + d))
DENOMINATORS = st.integers(1, (1 << 32) - 1) | POWERS.filter(lambda d: d > 0)


@QUICK
@given(DENOMINATORS)
def test_a_reciprocal_is_never_above_the_exact_one_and_close_below(d: int) -> None:
    factor, zeros = (int(v[0]) for v in fixed.reciprocal(array(d)))
    assert zeros == 32 - d.bit_length()
    assert 1 << 15 <= factor < 1 << 16
    share = factor * Fraction(2) ** (zeros - 47) * d
    assert 1 - Fraction(1, 1 << 14) < share <= 1


@QUICK
@given(st.lists(st.integers(-32768, 32767), min_size=2, max_size=6), st.data())
def test_interpolate_is_the_exact_line_rounded_half_up(table: list[int], data: st.DataObject):
    bits, low = data.draw(st.integers(1, 12)), data.draw(st.integers(-32768, 0))
    u = data.draw(st.integers(0, ((len(table) - 1) << bits) - 1))
    index, part = u >> bits, Fraction(u % (1 << bits), 1 << bits)
    wanted = half_up(table[index] + (table[index + 1] - table[index]) * part)
    assert fixed.interpolate(array(low + u), array(*table), low, bits).tolist() == [wanted]


def test_interpolate_hits_the_entries_and_reads_a_full_table_as_it_is() -> None:
    table = array(5, -100, 32767, -32768)
    assert fixed.interpolate(array(-7, 1, 9), table, -7, 3).tolist() == [5, -100, 32767]
    assert fixed.interpolate(array(-1, 0, 1, 2), table, -1, 0).tolist() == table.tolist()


@QUICK
@given(st.lists(st.integers(-TOP, TOP), min_size=2, max_size=2), st.floats(0, 6.3))
def test_rotate_rounds_the_exact_sum_once(z: list[int], angle: float) -> None:
    cosine, sine = (round(f(angle) * (1 << 30)) for f in (math.cos, math.sin))
    got = fixed.rotate(array(z[0]), cosine, array(z[1]), sine).tolist()
    assert got == [half_up(Fraction(z[0] * cosine + z[1] * sine, 1 << 30))]


def test_isqrt_is_exact_around_every_square() -> None:
    root = np.arange(1, 1 << 16)
    np.testing.assert_array_equal(fixed.isqrt(root * root), root)
    np.testing.assert_array_equal(fixed.isqrt(root * root - 1), root - 1)
    assert fixed.isqrt(array(0, (1 << 32) - 1)).tolist() == [0, 65535]


@QUICK
@given(st.floats(2.0**-32, 0.35), st.integers(-TOP, TOP), st.integers(-TOP, TOP))
def test_magnitude_is_the_exact_root_rounded_half_up(real: float, re: int, im: int) -> None:
    multiplier, shift = fixed.quantize_square(real)
    assert 1 << 30 <= multiplier < 1 << 31
    square = Fraction(multiplier, 1 << (34 + shift))
    assert abs(square / Fraction(real) ** 2 - 1) <= Fraction(1, 1 << 31)
    re, im = re // 2, im // 2
    got = int(fixed.magnitude(array(re), array(im), multiplier, shift, 32767)[0])
    exact_square = square * (re * re + im * im)
    assert got == 32767 or exact_square < Fraction(2 * got + 1, 2) ** 2
    assert got == 0 or exact_square >= Fraction(2 * got - 1, 2) ** 2


@pytest.mark.parametrize("real", [0.0, -1.0, math.nan, math.inf, 0.3536, 2.0**-34])
def test_factors_of_a_magnitude_beyond_the_format_are_refused(real: float) -> None:
    with pytest.raises(QuantizationError):
        fixed.quantize_square(real)


def test_the_square_of_a_factor_that_reaches_31_bits_takes_the_next_shift() -> None:
    below = 0.25 * (1 - 2.0**-40)
    assert fixed.quantize_square(below) == fixed.quantize_square(0.25) == (1 << 30, 0)


def test_saturate_stops_at_both_ends() -> None:
    x = array(-TOP, -129, -128, 0, 127, 128, TOP)
    assert fixed.saturate(x, -128, 127).tolist() == [-128, -128, -128, 0, 127, 127, 127]


def test_dot_is_exact_up_to_53_bits() -> None:
    """A product in float32 would lose the last digits of these sums."""
    x, weight = array((1 << 31) - 1, 3, -1), array((1 << 20) + 1, -1, 1).reshape(1, 3)
    wanted = ((1 << 31) - 1) * ((1 << 20) + 1) - 4
    assert wanted < 1 << 53
    assert fixed.dot(x, weight).tolist() == [wanted]


def test_dot_keeps_leading_axes() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    weight = np.arange(8).reshape(2, 4) - 3
    assert fixed.dot(x, weight).tolist() == np.einsum("btk,ok->bto", x, weight).tolist()


RNG = np.random.default_rng(0)
WIDE, SMALL = RNG.integers(-TOP, TOP, 200), RNG.integers(1, 1000, 200)
POWERS_OF_TWO = 1 << np.arange(32)
TABLE = RNG.integers(-999, 999, 130)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: fixed.requantize(x(WIDE), x(SMALL << 20), x(0 * SMALL)),
        lambda x: fixed.requantize_sum((x(WIDE), 12345, 0), (x(SMALL), 777, 3)),
        lambda x: fixed.divide(x(WIDE), x(SMALL)),
        lambda x: fixed.reciprocal(x(SMALL))[0],
        lambda x: fixed.leading_zeros(x(POWERS_OF_TWO)),
        lambda x: fixed.interpolate(x(SMALL), x(TABLE), 0, 3),
        lambda x: fixed.interpolate(x(SMALL % 130), x(TABLE), 0, 0),
        lambda x: fixed.saturate(x(WIDE), -1000, 77),
        lambda x: fixed.dot(x(WIDE), SMALL.reshape(1, -1)),
        lambda x: fixed.to_int(fixed.to_float(x(WIDE))),
    ],
    ids=(
        "requantize requantize_sum divide reciprocal zeros interpolate table saturate dot casts"
    ).split(),
)
def test_torch_gives_the_bits_of_numpy(compute: Callable[..., fixed.Array]) -> None:
    mine, theirs = compute(np.asarray), compute(torch.from_numpy)
    assert isinstance(theirs, torch.Tensor)
    assert theirs.dtype == torch.int64
    np.testing.assert_array_equal(theirs.numpy(), mine)


OTHER_COMPILER = """#include <stdint.h>
#include <stdio.h>
#undef __GNUC__
#include "lnn_fixed.h"

int main(void)
{
    for (uint32_t n = 0; n < 32U; n++)
    {
        printf("%d %d\\n", lnn_leading_zeros(1U << n), lnn_leading_zeros(0xFFFFFFFFU >> n));
    }
    return 0;
}
"""


def test_a_compiler_without_the_builtin_counts_leading_zeros(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(OTHER_COMPILER)
    include = f"-I{resources.path('firmware') / 'runtime'}"
    command = ["gcc", "-std=c11", include, str(tmp_path / "main.c"), "-o", str(tmp_path / "main")]
    subprocess.run(command, check=True)
    said = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(z) for n in range(32) for z in (31 - n, n)]
