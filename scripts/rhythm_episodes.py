"""Judges a model of rhythm, which decides on records, as a detector of episodes of fibrillation.

Example: python scripts/rhythm_episodes.py MODEL --data-dir DIR
DS1 of MIT-BIH, lead MLII brought to the model's rate, by its marks of rhythm: "(AFIB", flutter is
none of it. The class of the mean score of the last seconds holds from a decision to the next; all
is counted by time. No threshold is chosen, and DS2 is not read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import lnn_edge as le
from lnn_edge.data import mitdb
from lnn_edge.tasks.predicted import Predicted

LEAD, RHYTHM, CLASS = "MLII", "AFIB", "AF"
SPANS_S = (1.0, 10.0, 30.0)


@dataclass(frozen=True)
class Times:
    """Seconds of a record by what is true, and by what is said from the first decision on.

    Attributes:
        name: Of the record.
        hits: Fibrillation that is called so.
        missed: Fibrillation that is not.
        false: Called fibrillation, and none.
        right: Neither.
    """

    name: str
    hits: float
    missed: float
    false: float
    right: float


def mean_of_last(values: np.ndarray, times: np.ndarray, span: float) -> np.ndarray:
    """Return at each row of values (D, K) the mean of those of the last `span` seconds.

    Args:
        values: (D, K).
        times: (D,) ascending, in seconds; the row itself always counts.
        span: Length.
    """
    sums = np.concatenate((np.zeros((1, values.shape[1])), np.cumsum(values, 0)))
    first = np.minimum(np.searchsorted(times, times - span, side="right"), np.arange(len(times)))
    after = np.arange(1, len(times) + 1)
    means: np.ndarray = (sums[after] - sums[first]) / (after - first)[:, None]
    return means


def times_of(found: Predicted, span: float) -> Times:
    """Return the seconds of a record; a decision holds until the next."""
    record, times = found.fed.record, found.times_s
    at = found.answer.columns.index(CLASS)
    said = mean_of_last(found.values, times, span).argmax(1) == at
    frames = np.arange(len(record.samples))
    held = np.searchsorted(found.stamps, frames, side="right")
    called = np.append(False, said)[held]
    is_true = np.zeros(len(frames), bool)
    for interval in record.intervals:
        if interval.label == RHYTHM:
            is_true[interval.first : interval.last + 1] = True
    seconds = [
        np.count_nonzero((held > 0) & a & b) / record.rate_hz
        for a, b in ((is_true, called), (is_true, ~called), (~is_true, called), (~is_true, ~called))
    ]
    return Times(record.name, *seconds)


def predictions(model: Path, data_dir: Path) -> Iterator[Predicted]:
    """Yield what the model says of each record of DS1."""
    graph = le.load(model)
    (channel,) = graph.contract.leads
    for name in mitdb.DS1:
        yield from le.predict(
            graph, data_dir / mitdb.NAME / f"{name}.hea", channels={channel: LEAD}
        )


def table(times: Sequence[Sequence[Times]]) -> Iterator[str]:
    """Yield rows of the page: of each span sensitivity, positive predictivity and specificity."""
    yield "| mean over | sensitivity | positive predictivity | specificity |"
    yield "|---|---|---|---|"
    for span, each in zip(SPANS_S, times, strict=True):
        hits, missed, false, right = (
            sum(getattr(t, k) for t in each) for k in ("hits", "missed", "false", "right")
        )
        figures = hits / (hits + missed), hits / (hits + false), right / (right + false)
        yield f"| {span:g} s | " + " | ".join(f"{f:.3f}" for f in figures) + " |"


def main() -> None:
    """Print the table, and of the longest span each record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="A model.qgraph, or the name of a shipped model.")
    parser.add_argument("--data-dir", type=Path, required=True)
    arguments = parser.parse_args()
    found = list(predictions(arguments.model, arguments.data_dir))
    times = [[times_of(one, span) for one in found] for span in SPANS_S]
    print("\n".join(table(times)))
    for one in times[-1]:
        print(
            f"{one.name}: {one.hits + one.missed:,.0f} s, called {one.hits + one.false:,.0f} s, "
            f"falsely {one.false:,.0f} s"
        )
    true = sum(one.hits + one.missed for one in times[-1])
    whole = true + sum(one.false + one.right for one in times[-1])
    print(f"{true:,.0f} s of fibrillation in {whole:,.0f} s")


if __name__ == "__main__":
    main()
