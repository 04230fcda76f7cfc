"""Channels that one file holds at several rates, brought to the highest one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.record import MOST_VALUES
from lnn_edge.data.resample import to_rate
from lnn_edge.errors import DataError


def to_one_rate(
    name: str, columns: Sequence[np.ndarray], rates: Sequence[float]
) -> tuple[np.ndarray, float, Changes]:
    """Return samples (N, C) float64, their rate, and what was resampled.

    Args:
        name: Of the record.
        columns: C channels of values, NaN where absent.
        rates: Of each, in Hz.

    Raises:
        DataError: The result is too long, or two rates have no ratio of small numbers.
    """
    highest = max(rates)
    length = max(len(c) for c, r in zip(columns, rates, strict=True) if r == highest)
    if length * len(columns) > MOST_VALUES:
        raise DataError(f"record {name} at {highest:g} Hz has over {MOST_VALUES:,} values; cut it")
    changes = Changes()
    whole = np.full((length, len(columns)), np.nan)
    for place, (column, rate) in enumerate(zip(columns, rates, strict=True)):
        moved = column
        if rate != highest:
            try:
                moved = to_rate(column, rate, highest)
            except ValueError as error:
                raise DataError(
                    f"record {name} cannot be resampled {error}; leave it out"
                ) from None
            changes = changes.also(
                "resampled", f"channels from {rate:g} Hz to {highest:g} Hz", 1, "channels", name
            )
        whole[: len(moved), place] = moved[:length]
    return whole, highest, changes
