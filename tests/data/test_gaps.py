"""Lines over gaps of a channel that comes in parts: those of one interpolation, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn_edge.data.gaps import OverGaps

VALUES = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6), st.just(np.inf))


@given(st.lists(VALUES, min_size=1, max_size=60), st.integers(1, 9))
def test_parts_give_what_one_interpolation_gives(values: list[float], size: int) -> None:
    whole = np.array(values)
    gaps = OverGaps(whole[at : at + size] for at in range(0, len(whole), size))
    told = list(gaps)
    there = np.isfinite(whole)
    assert (gaps.there, gaps.absent) == (int(there.sum()), int((~there).sum()))
    if not there.any():
        assert not told
        return
    at = np.arange(len(whole))
    whole[~there] = np.interp(at[~there], at[there], whole[there])
    assert np.array_equal(np.concatenate(told), whole)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([np.nan, np.nan, 2.0], [2.0, 2.0, 2.0]),
        ([1.0, np.nan, np.nan, np.nan, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]),
        ([3.0, np.nan], [3.0, 3.0]),
    ],
)
def test_gaps_are_lines_and_ends_are_held(values: list[float], expected: list[float]) -> None:
    parts = [np.array([value]) for value in values]
    assert np.concatenate(list(OverGaps(parts))).tolist() == expected
