"""Records under a task: exact conversion, leads by name, labels at decisions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn_edge.data.frame import Frame, FrameChannel
from lnn_edge.data.record import Channel, Interval, Mark, Record
from lnn_edge.errors import DataError
from lnn_edge.tasks.beats.front_end import TWO_LEADS
from lnn_edge.tasks.labelled import FALSE, NOT_SCORED, Labelled
from lnn_edge.tasks.recordings import label
from lnn_edge.tasks.registry import find_task
from lnn_edge.tasks.task import Task
from tests.support.recordings import BEATS, twelve_leads

MLII, V1 = Channel("MLII", "mV", 200.0, 1024.0), Channel("V1", "mV", 200.0, 1024.0)


def make(**changes: object) -> Record:
    adc = np.arange(-4, 8, dtype=np.int16).reshape(6, 2) * 100
    plain = Record("r1", "p1", adc, 360.0, (MLII, V1), (Mark(1, "N"), Mark(4, "V")))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_record_in_the_frame_stays_as_it_is() -> None:
    assert np.array_equal(label(make(), BEATS).frames, make().samples)


def test_the_frame_is_what_the_front_end_is_built_for() -> None:
    frame, step = BEATS.frame, (TWO_LEADS.adc_gain, TWO_LEADS.adc_zero)
    assert frame.rate_hz == TWO_LEADS.rate_hz
    assert [(c.steps_per_unit, c.zero) for c in frame.channels] == [step] * TWO_LEADS.leads


@settings(max_examples=60, deadline=None)
@given(
    gain=st.decimals(30, 5000, places=3).map(float) | st.decimals(-5000, -30, places=3).map(float),
    zero=st.integers(-2000, 2000),
    sample=st.integers(-2000, 2000),
)
def test_gain_and_zero_are_converted_exactly(gain: float, zero: int, sample: int) -> None:
    samples = np.full((6, 2), sample, np.int16)
    out = label(make(samples=samples, channels=(replace(MLII, gain=gain, zero=zero), V1)), BEATS)
    exact = Fraction(sample - zero) * 200 / Fraction(str(gain)) + 1024 + Fraction(1, 2)
    assert out.frames[0, 0] == floor(exact)
    assert [(c.gain, c.zero) for c in out.record.channels] == [(200.0, 1024.0)] * 2


def test_the_lead_of_the_task_comes_first_and_the_first_other_one_second() -> None:
    samples = np.arange(24, dtype=np.int16).reshape(6, 4)
    channels = tuple(replace(V1, name=name) for name in ("I", "V1", "MLII", "V2"))
    out = label(make(samples=samples, channels=channels), BEATS)
    assert out.leads == ("MLII", "I")
    assert np.array_equal(out.frames, samples[:, [2, 0]])


def test_one_lead_gets_a_second_at_rest() -> None:
    out = label(make(samples=make().samples[:, :1], channels=(MLII,)), BEATS)
    assert out.leads == ("MLII", "absent")
    assert (out.frames[:, 1] == 1024).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate_hz": 250.0}, "r1 is sampled at 250 Hz and the model needs 360 Hz; give its path"),
        ({"channels": (replace(MLII, name="II"), V1)}, "leads II, V1 and the model needs MLII"),
        ({"channels": (replace(MLII, gain=0.5), V1)}, "MLII lie beyond 16 bit at 200 steps per mV"),
        ({"channels": (replace(MLII, gain=1.2345678901234567e-11), V1)}, "beyond 16 bit"),
        ({"marks": (Mark(4, "N"), Mark(4, "V"))}, "sample 4 follows one at sample 4"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        label(make(**changes), BEATS)


def test_a_record_out_of_the_frame_is_refused() -> None:
    with pytest.raises(DataError, match=r"must be int16 \(N, 2\) at 360 Hz"):
        Labelled(make(samples=make().samples.astype(np.float64)), BEATS)


def test_events_are_marks_of_classes_and_those_without() -> None:
    symbols = "NLx/AF+"
    out = label(
        make(
            samples=np.zeros((7, 2), np.int16),
            marks=tuple(Mark(i, s) for i, s in enumerate(symbols)),
        ),
        BEATS,
    )
    assert out.events.tolist() == [0, 1, 3, 4, 5]
    assert out.labels.tolist() == [0, 0, NOT_SCORED, 1, 3]
    assert out.count() == {"N": 2, "S": 1, "V": 0, "F": 1, "Q": 1}
    assert out.left_out() == {"x": 1, "+": 1}


def test_symbols_map_as_in_de_chazal_2004() -> None:
    table = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F"}
    for name, symbols in table.items():
        assert {BEATS.class_of(s) for s in symbols} == {BEATS.classes.index(name)}
    assert {BEATS.class_of(s) for s in "/fQ"} == {None}
    assert set("/fQ") <= set(BEATS.unscored)
    assert not set('+~|x![]"') & {*BEATS.map, *BEATS.unscored}


def samples_of(*intervals: Interval, marks: tuple[Mark, ...] = ()) -> Labelled:
    """Return 100 samples at 10 Hz of one channel; labels hold for 1 s before they are learned."""
    frame = Frame(10.0, (FrameChannel("x", "g", 100.0),))
    task = Task("t", "", frame, "frames", "sample", ("a", "b"), {"c": "b"},
                settling_s=1.0, stretch_s=2.0 if marks else 0.0)  # fmt: skip
    frames = np.zeros((100, 1), np.int16)
    return label(
        Record("r", "r", frames, 10.0, (Channel("x", "g", 100.0),), marks, intervals), task
    )


def test_samples_are_learned_once_their_label_has_held() -> None:
    run = samples_of(Interval(10, 39, "a"), Interval(40, 79, "c"), Interval(80, 89, "z"))
    assert run.left_out() == {"z": 1}
    stamps = np.array([9, 10, 19, 20, 39, 40, 49, 50, 79, 80, 95])
    wanted = [-1, -1, -1, 0, 0, -1, -1, 1, 1, -1, -1]
    assert run.targets_at(stamps).tolist() == wanted
    assert run.labels_at(stamps).tolist() == wanted
    assert run.count() == {"a": 30, "b": 40}


def test_a_stretch_is_judged_by_the_last_decision_in_it() -> None:
    run = samples_of(Interval(10, 60, "a"), marks=(Mark(30, "a"), Mark(50, "b"), Mark(60, "z")))
    stamps = np.array([5, 12, 29, 31, 65])
    assert run.labels_at(stamps).tolist() == [-1, -1, 0, 1, -1]
    assert run.count() == {"a": 1, "b": 1}


def test_labels_of_a_record_hold_for_every_decision() -> None:
    rhythm = find_task("rhythm")
    record = Record("r", "r", np.zeros((9, 1), np.int16), 300.0, (Channel("ECG", "mV", 1000.0),))
    stamps = np.array([3, 8])
    af = label(replace(record, labels=("elsewhere", "A")), rhythm)
    assert af.labels_at(stamps).tolist() == [1, 1]
    assert af.count() == {"normal": 0, "AF": 1, "other": 0, "noise": 0}
    assert label(record, rhythm).labels_at(stamps).tolist() == [-1, -1]


def test_findings_are_present_absent_or_unknown() -> None:
    ecg = twelve_leads("r", np.zeros((9, 12), np.int16), [1, 0, -1, 0, 1, 0])
    assert ecg.labels.tolist() == [1, 0, -1, 0, 1, 0]
    assert ecg.labels_at(np.array([1, 2])).tolist() == [[1, 0, -1, 0, 1, 0]] * 2
    assert ecg.count() == {"1dAVb": 1, "RBBB": 0, "LBBB": 0, "SB": 0, "AF": 1, "ST": 0}


def heart(*marks: Mark) -> Labelled:
    """Return 5,000 samples of two leads with these marks; beats match within 54 samples."""
    return label(make(samples=np.zeros((5000, 2), np.int16), marks=marks), BEATS)


def test_a_decision_that_stands_for_no_event_is_false() -> None:
    ecg = heart(Mark(1000, "V"), Mark(1300, "Q"), Mark(1600, "N"))
    stamps = np.array([946, 1060, 1300, 1545, 1600])
    assert ecg.labels_at(stamps).tolist() == [2, FALSE, NOT_SCORED, FALSE, 0]


def test_events_that_nothing_stands_for_are_missed_unless_they_have_no_class() -> None:
    ecg = heart(Mark(100, "N"), Mark(1000, "V"), Mark(1300, "Q"), Mark(1600, "A"), Mark(4900, "N"))
    everywhere = range(5000)
    assert ecg.missed_at(np.array([1054]), everywhere).tolist() == [0, 1, 0]
    assert ecg.missed_at(np.array([1055]), everywhere).tolist() == [0, 2, 1, 0]
    assert ecg.missed_at(np.array([1054]), range(101, 4900)).tolist() == [1]
    assert ecg.missed_at(np.zeros(0, np.int64), range(100, 4901)).tolist() == [0, 2, 1, 0]


@pytest.mark.parametrize(
    ("marks", "inside"),
    [
        ((Mark(1000, "["), Mark(2000, "]")), [946, 1500, 2054]),
        ((Mark(2000, "]"),), [0, 1500, 2054]),
        ((Mark(4000, "["),), [3946, 4999]),
        ((Mark(100, "["), Mark(200, "]"), Mark(900, "["), Mark(950, "]")), [100, 254, 846, 1004]),
    ],
)
def test_in_ventricular_flutter_nothing_is_false_or_missed(
    marks: tuple[Mark, ...], inside: list[int]
) -> None:
    """As EC57 has it; a flutter without begin or end goes on to that of the recording."""
    stamps = np.array(inside)
    assert heart(*marks).labels_at(stamps).tolist() == [NOT_SCORED] * len(stamps)
    beats = tuple(Mark(at, "N") for at in inside)
    told = heart(*sorted(marks + beats))
    assert told.missed_at(np.zeros(0, np.int64), range(5000)).tolist() == []
    assert heart(*marks).labels_at(np.array([300, 2055, 3945])).tolist().count(FALSE) >= 2
    assert told.labels_at(stamps).tolist() == [0] * len(stamps)  # what is annotated is judged
