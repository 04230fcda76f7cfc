"""Rules of the detector at their edges, from a state on which a beat is told of."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.r_peak_rules import NEW, RPeakRules, RPeakTimes, r_peak_state
from lnn_edge.graph.ops.r_peaks import RPeaks
from tests.graph.ops.cases import MAKERS, Seeded, make_r_peaks, step_with_a_beat, with_age


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


def test_times_at_360_hz_are_those_of_the_docstring() -> None:
    times = RPeakTimes.at(360, 5)
    assert times == RPeakTimes(6, 40, 45, 72, 120, 130, 480, 720, 2880, 360, 5)
    assert (times.looked_back, times.ring) == (42, 88)
    assert times.usual_delay == 45 + 72 + 42 + 5
    assert times.longest_delay == 480 + 72 + 42 + 5
    assert RPeakTimes.at(20, 0).slope == 1


def test_the_state_is_held_to_what_each_part_can_be() -> None:
    op = MAKERS["r_peaks"](Seeded(0))
    assert isinstance(op, RPeaks)
    high = {n: r.high for n, r in zip(op.layout, op.limits_of(op.outputs[0]), strict=True)}
    x = op.inputs[0]
    steepest = x.size * (x.qmax - x.qmin) * op.t.window
    assert {high[n] for n in ("total", "top", "before", "held", "heights")} == {steepest}
    assert (high["top_age"], high["beat_age"]) == (op.t.fall + 1, 1 << 20)


def test_more_leads_than_sums_hold_are_refused() -> None:
    times = RPeakTimes.at(360, 5)
    most = (2**31 - 1) // (128 * 65535 * times.window)  # of half the threshold
    refused = pytest.raises(GraphError, match="share of a height can reach")
    for leads, outcome in ((most, contextlib.nullcontext()), (most + 1, refused)):
        x, z = (QTensor(n, (leads,), "int16") for n in "xz")
        state, update = r_peak_state("s", leads, RPeakRules(times))
        event = QTensor("event", (1,), "uint16", qmax=65535)
        with outcome:
            RPeaks.make("op", (x, z, state), (update, event), RPeakRules(times))


def silent(op: RPeaks, state: np.ndarray, steps: int) -> list[np.ndarray]:
    """Return the state after each of some samples of nothing."""
    x, z = (np.zeros(t.shape, np.int64) for t in op.inputs[:2])
    states = []
    for _ in range(steps):
        state, _ = op.reference(x, z, state)
        states.append(state)
    return states


def test_heights_sink_once_a_second_of_long_silence() -> None:
    op = MAKERS["r_peaks"](Seeded(0))
    assert isinstance(op, RPeaks)
    _, _, state = step_with_a_beat(op)
    place = op.layout["heights"]
    (state,) = silent(op, state, 1)
    state[op.layout["silence"]] = 0
    heights = [s[place].tolist() for s in silent(op, state, op.t.quiet + 3 * op.t.second - 1)]
    sunk = [n for n in range(1, len(heights)) if heights[n] < heights[n - 1]]
    told = [n for n in sunk if n + 1 >= op.t.quiet]
    assert [n + 1 - op.t.quiet for n in told] == [0, op.t.second, 2 * op.t.second]


def test_a_beat_is_searched_for_from_one_sample_after_the_limit() -> None:
    op = MAKERS["r_peaks"](Seeded(0))
    assert isinstance(op, RPeaks)
    _, _, state = step_with_a_beat(op)
    at, t = op.layout, op.t
    mean = int(state[at["intervals"]].sum()) >> 3
    limit = min(mean + (mean >> 1), t.longest_search) + t.blank
    for age, is_found in ((limit, False), (limit + 1, True)):
        changed = with_age(op, state, "beat_age", age)
        for name, value in (("missed", state[at["heights"]].max()), ("missed_age", t.gap)):
            changed[at[name]] = value
        for name in ("held", "blank", "top", "top_age"):
            changed[at[name]] = 0
        changed[at["event_age"]] = age
        x, z = (np.zeros(v.shape, np.int64) for v in op.inputs[:2])
        after, _ = op.reference(x, z, changed)
        assert (int(after[at["missed"]][0]) == 0) == is_found, age


def beats_told(op: RPeaks, beats: list[int], steps: int) -> list[tuple[int, int]]:
    """Return sample and peak of each event of a new detector on single tall samples."""
    state, told = np.full(op.inputs[2].shape, NEW, np.int64), []
    for n in range(steps):
        x, z = (np.full(t.shape, 9000 * (n in beats), np.int64) for t in op.inputs[:2])
        state, event = op.reference(x, z, state)
        if event[0]:
            told.append((n, n + 1 - int(event[0]) + op.t.delay))
    return told


def test_beats_that_were_learned_from_are_told_in_the_samples_after() -> None:
    op = make_r_peaks(Seeded(0), told_blocks=4)
    learned = 4 * op.t.learn
    beats = [2, 2 + op.t.learn + 1, learned + op.t.learn]
    told = beats_told(op, beats, learned + 4 * op.t.learn)
    assert [peak for _, peak in told] == beats
    assert [n for n, _ in told[:2]] == [learned + 1, learned + 2]  # tops come out a block late
    silent = make_r_peaks(Seeded(0))
    assert not [n for n, _ in beats_told(silent, beats, learned + 2)]


def test_a_beat_that_lies_too_far_back_after_learning_is_not_told() -> None:
    op = make_r_peaks(Seeded(0), told_blocks=4)
    late = replace(op, times=(*op.times[:4], 4 * op.t.learn, *op.times[5:]))
    beats = [2, late.rules.blocks * late.t.learn - op.t.learn]
    assert [peak for _, peak in beats_told(late, beats, 20 * op.t.learn)] == beats[1:]


def test_the_threshold_lies_where_the_share_tells() -> None:
    op = make_r_peaks(Seeded(0))
    x, z, state = step_with_a_beat(op)
    after = op.reference(x, z, state)[0]
    height = int(after[op.layout["heights"]][0])
    state[op.layout["noises"]] = 0
    for share, mean, is_beat in ((128, 2 * height - 2, True), (128, 2 * height, False)):
        state[op.layout["heights"]] = mean
        event = replace(op, share=share).reference(x, z, state)[1]
        assert (event[0] > 0) == is_beat
