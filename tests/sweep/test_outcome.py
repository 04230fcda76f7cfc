"""The file of a trial holds what was judged, and damage in it is seen."""

from __future__ import annotations

import numpy as np
import pytest

from lnn_edge.files.archives import archive_of, members_of
from lnn_edge.graph.sim.predict import DecisionSequence
from lnn_edge.sweep.outcome import Judged, Outcome, outcome_of

RNG = np.random.default_rng(3)


def judged(shape: tuple[int, ...], dtype: type) -> Judged:
    sequences, scores = [], []
    for name, count in (("a", 5), ("b", 0), ("c", 2)):
        labels = RNG.integers(-1, 3, (count, *shape)).astype(dtype)
        stamps, values = np.arange(count) * 3, {"x": np.zeros(count)}
        sequences.append(DecisionSequence(name, f"p{name}", stamps, labels, values))
        scores.append(RNG.normal(size=(count, 3)).astype(np.float32))
    return Judged.of(sequences, scores)


@pytest.mark.parametrize(("shape", "dtype"), [((), np.int64), ((3,), np.int64), ((2,), float)])
def test_an_outcome_is_read_as_it_was_written(shape: tuple[int, ...], dtype: type) -> None:
    outcome = Outcome({"float": judged(shape, dtype), "integer": judged(shape, dtype)})
    data = outcome.to_bytes()
    again = outcome_of(data)
    assert again.to_bytes() == data
    assert again.forms.keys() == outcome.forms.keys()
    for form, mine in outcome.forms.items():
        theirs = again.forms[form]
        for a, b in zip(mine.sequences, theirs.sequences, strict=True):
            assert (a.name, a.patient, b.values) == (b.name, b.patient, {})
            assert (a.labels.dtype, a.labels.shape) == (b.labels.dtype, b.labels.shape)
            np.testing.assert_array_equal(a.stamps, b.stamps)
            np.testing.assert_array_equal(a.labels, b.labels)
        for x, y in zip(mine.scores, theirs.scores, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


def test_a_failure_is_kept() -> None:
    assert outcome_of(Outcome(failure="it diverged").to_bytes()).failure == "it diverged"


@pytest.mark.parametrize("gone", ["outcome.json", "float/labels.npy", "float/scores.npy"])
def test_what_lacks_a_part_is_damaged(gone: str) -> None:
    members = members_of(Outcome({"float": judged((), np.int64)}).to_bytes(), 1 << 20)
    with pytest.raises(ValueError, match=gone):
        outcome_of(archive_of({n: data for n, data in members.items() if n != gone}))


def test_arrays_that_are_too_short_are_damage() -> None:
    members = members_of(Outcome({"float": judged((), np.int64)}).to_bytes(), 1 << 20)
    members["outcome.json"] = members["outcome.json"].replace(b"5]", b"4]")
    with pytest.raises(ValueError, match="not as long as"):
        outcome_of(archive_of(members))


def test_what_is_no_archive_is_damaged() -> None:
    with pytest.raises(ValueError, match="zip"):
        outcome_of(b"half of a fi")
