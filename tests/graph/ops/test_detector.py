"""Rules of the detector at their edges, from a state on which a beat is told of."""

from __future__ import annotations

import numpy as np
import pytest

from lnn_edge.graph.ops.r_peaks import NEW, RPeaks
from tests.graph.ops.cases import MAKERS, Seeded

Step = tuple[np.ndarray, np.ndarray, np.ndarray]


def step_with_a_beat(op: RPeaks) -> Step:
    """Return inputs and state of a step that tells of a beat, once heights are learned."""
    state, told = np.full(op.inputs[2].shape, NEW, np.int64), 0
    for n in range(2000):
        x, z = (np.full(t.shape, 9000 * (n % 25 == 0), np.int64) for t in op.inputs[:2])
        after, event = op.reference(x, z, state)
        told += int(event[0]) > 0
        if told == 3:
            return x, z, state
        state = after
    raise AssertionError("no beat was found")


def with_age(op: RPeaks, state: np.ndarray, name: str, age: int) -> np.ndarray:
    """Return a state in which an age is so many samples once this step has counted it up."""
    changed = state.copy()
    changed[op.layout[name]] = age - 1
    return changed


@pytest.mark.parametrize("seed", range(2))
def test_a_beat_is_told_of_once(seed: int) -> None:
    op = MAKERS["r_peaks"](Seeded(seed))
    assert isinstance(op, RPeaks)
    x, z, state = step_with_a_beat(op)
    told = int(op.reference(x, z, state)[1][0]) - op.t.delay - 1
    for age, is_told in ((told - 1, False), (told, False), (told + 1, True)):
        event = op.reference(x, z, with_age(op, state, "event_age", age))[1]
        assert (event[0] > 0) == is_told, age


@pytest.mark.parametrize("seed", range(2))
def test_a_top_within_the_blank_is_no_beat(seed: int) -> None:
    op = MAKERS["r_peaks"](Seeded(seed))
    assert isinstance(op, RPeaks)
    x, z, state = step_with_a_beat(op)
    age = int(op.reference(x, z, state)[0][op.layout["beat_age"]][0])
    for since, is_beat in ((op.t.blank - 1, False), (op.t.blank, False), (op.t.blank + 1, True)):
        event = op.reference(x, z, with_age(op, state, "beat_age", age + since))[1]
        assert (event[0] > 0) == is_beat, since
