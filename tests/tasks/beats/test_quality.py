"""Models of beats that judge the signal: flat leads, rails, noise; scores as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.data.record import Channel, Mark, Record
from lnn_edge.errors import UsageError
from lnn_edge.graph.file import load_graph, save_graph
from lnn_edge.graph.flaws import FLAT, NOISY, SATURATED, told_flaws
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import DecisionSequence, run_records
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.beats.quality import with_quality
from lnn_edge.tasks.classifiable import judge_classifiable
from lnn_edge.tasks.predicted import header, rows
from tests.support.host_c import compile_model, record_items, run_c, run_reference
from tests.support.toy import toy_every_graph, toy_graph
from tests.tasks.beats.test_find_beats import beats_of, two_leads

RAILS = (0, 2047)
BEATS = np.arange(400, 6000, 290)
LENGTH = 6600
CLEAN = two_leads(beats_of(BEATS, LENGTH))


@pytest.fixture(scope="module")
def graph() -> QGraph:
    return with_quality(le.load("ecg-beats-cfc"), RAILS)


def flaws(graph: QGraph, frames: np.ndarray) -> np.ndarray:
    """Return the flaws (D, 3) of the decisions on frames (N, 2)."""
    name, output = graph.output.name, graph.flaws
    assert output is not None
    ((stamps, values),) = run_records(graph, [(frames.astype(np.int16), BEATS)], (name,))
    assert len(stamps) == len(BEATS)
    return output.part(values[name])


def muscle(size: float, leads: tuple[int, ...]) -> np.ndarray:
    """Return the clean frames with white noise in some leads."""
    frames, rng = CLEAN.astype(float), np.random.default_rng(1)
    for lead in leads:
        frames[:, lead] += rng.normal(0, size, LENGTH)
    return frames.round()


def changed(lead: int, values: np.ndarray | int) -> np.ndarray:
    frames = CLEAN.copy()
    frames[:, lead] = values
    return frames


def test_a_good_signal_has_no_flaws(graph: QGraph) -> None:
    assert not flaws(graph, CLEAN).any()


@pytest.mark.parametrize("lead", [0, 1])
def test_one_flat_lead_spoils_a_decision(graph: QGraph, lead: int) -> None:
    hum = 1024 + 2 * (np.arange(LENGTH) // 60 % 2)
    for values in (1024, hum):
        found = flaws(graph, changed(lead, values))
        assert (found[:, 0] == FLAT).all()
        assert (found[:, 1 + lead] & FLAT == FLAT).all()
        assert not found[:, 2 - lead].any()


def test_a_low_lead_is_not_flat(graph: QGraph) -> None:
    low = 1024 + (CLEAN[:, 0].astype(int) - 1024) // 16  # 0.06 mV
    assert not (flaws(graph, changed(0, low)) & FLAT).any()


@pytest.mark.parametrize("rail", RAILS)
def test_samples_at_a_rail_saturate_where_a_frame_holds_no_others(graph: QGraph, rail: int) -> None:
    at_rail, one = CLEAN.copy(), CLEAN.copy()
    at_rail[1600:1606, 1] = rail  # whatever three belong together
    one[1600, 1] = rail
    holds = (BEATS - 138 <= 1600) & (BEATS + 162 >= 1606)
    found = flaws(graph, at_rail)
    assert (found[holds] & SATURATED == [SATURATED, 0, SATURATED]).all()
    assert holds.sum() == 1
    assert not found[~holds].any()
    assert not (flaws(graph, one) & SATURATED).any()


def test_a_lead_held_at_a_rail_is_flat_as_well(graph: QGraph) -> None:
    found = flaws(graph, changed(1, 2047))
    assert (found == [FLAT | SATURATED, 0, FLAT | SATURATED]).all()


def test_other_rails_are_those_of_another_converter(graph: QGraph) -> None:
    tall = (CLEAN.astype(int) - 1024) * 5 + 1024  # R peaks of 5 mV
    assert not flaws(graph, tall).any()
    narrow = with_quality(le.load("ecg-beats-cfc"), (512, 1535))
    found = flaws(narrow, tall.clip(512, 1535))
    assert (found == [SATURATED, SATURATED, 0]).all()


def test_noise_in_all_leads_spoils_a_decision_and_in_one_does_not(graph: QGraph) -> None:
    both = flaws(graph, muscle(50, (0, 1)))
    assert (both == NOISY).all()
    for lead in (0, 1):
        found = flaws(graph, muscle(80, (lead,)))
        assert not found[:, 0].any()
        assert (found[:, 1 + lead] == NOISY).all()
        assert not found[:, 2 - lead].any()
    assert not flaws(graph, muscle(3, (0, 1))).any()


def test_slow_waves_and_tall_t_waves_are_no_noise(graph: QGraph) -> None:
    sway = 100 * np.sin(2 * np.pi * np.arange(LENGTH) / 720)
    swaying = CLEAN + sway.round().astype(int)[:, None]
    assert not flaws(graph, swaying).any()


def test_scores_are_those_of_the_model_without_it(graph: QGraph) -> None:
    plain = le.load("ecg-beats-cfc")
    rng = np.random.default_rng(3)
    wild = rng.integers(-(1 << 15), 1 << 15, (LENGTH, 2)).astype(np.int16)
    for frames in (CLEAN, wild):
        ((_, bare),) = run_records(plain, [(frames, BEATS)], (plain.output.name,))
        ((_, more),) = run_records(graph, [(frames, BEATS)], (graph.output.name,))
        assert graph.scores is not None
        scores = graph.scores.part(more[graph.output.name])
        assert np.array_equal(scores, bare[plain.output.name])


@pytest.mark.parametrize("finds", [False, True])
def test_generated_c_judges_as_the_simulator_does(
    graph: QGraph, tmp_path: Path, finds: bool
) -> None:
    """Whole ranges, rails, flat stretches and noise in turn, lost samples in between."""
    rng = np.random.default_rng(4)
    frames = muscle(30, (0,)).astype(np.int64)
    frames[900:1500] = 1024
    frames[1500:1900] = rng.integers(-(1 << 15), 1 << 15, (400, 2))
    frames[1900:2300, 1] = (1 << 15) - 1
    frames[2300:2700, 0] = -(1 << 15)
    frames[3000:3600] += rng.normal(0, 60, (600, 2)).round().astype(np.int64)
    model = find_beats(graph) if finds else graph
    events = np.zeros(0, np.int64) if finds else BEATS
    items = record_items(frames.clip(-(1 << 15), (1 << 15) - 1).astype(np.int16), events)
    items = [*items[:4000], ("S", 40), *items[4000:], ("G", None)]
    expected = run_reference(model, items)
    assert expected.count(b"D") >= 8
    assert run_c(compile_model(model, tmp_path), items) == expected


def test_a_file_keeps_the_output(graph: QGraph, tmp_path: Path) -> None:
    save_graph(graph, tmp_path / "model.qgraph")
    loaded = load_graph(tmp_path / "model.qgraph")
    assert loaded.heads == graph.heads
    assert [o.kind for o in loaded.heads] == ["scores", "flaws"]
    frames = changed(0, 1024)
    assert np.array_equal(flaws(loaded, frames), flaws(graph, frames))


def test_it_takes_no_memory_of_the_window(graph: QGraph) -> None:
    """It reads what the front end has decimated, not samples that only the ring holds."""
    plain = le.load("ecg-beats-cfc")
    assert len(graph.ops) == len(plain.ops) + 2
    judging = next(op for op in graph.ops if op.kind == "signal_quality")
    assert graph.deciding_stage.inputs[0] not in judging.inputs


@pytest.mark.parametrize(
    ("make", "rails", "message"),
    [
        (lambda g: g, RAILS, "judges the quality of the signal already"),
        (lambda g: le.load("ecg-beats-cfc"), (2047, 0), "rails must be two samples of -32768 to"),
        (lambda g: le.load("ecg-beats-cfc"), (5, 5), "the lower one first, not 5 and 5"),
        (lambda g: le.load("ecg-beats-cfc"), (0, 1 << 15), "rails must be two samples"),
        (lambda g: le.load("ccfc"), RAILS, "ccfc must be a model that decides on beats"),
        (lambda g: toy_every_graph(), RAILS, "must be a model that decides on beats"),
    ],
)
def test_other_models_and_rails_are_refused(
    graph: QGraph, make: object, rails: tuple[int, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        with_quality(make(graph), rails)  # type: ignore[operator]


def test_a_window_too_short_to_hold_a_qrs_is_refused() -> None:
    with pytest.raises(UsageError, match="toy: its window must hold"):
        with_quality(toy_graph(), RAILS)


def test_a_stream_tells_flaws_as_they_fall(graph: QGraph) -> None:
    stream = Stream(graph)
    told = [d.outputs[4:].tolist() for d in stream.run(changed(1, 1024), BEATS)]
    assert told == [[FLAT, 0, FLAT]] * len(BEATS)


def test_flaws_read_as_words() -> None:
    assert [told_flaws(b) for b in (0, 1, 6, 7)] == [
        "good",
        "flat",
        "saturated+noisy",
        "flat+saturated+noisy",
    ]


def record(frames: np.ndarray) -> Record:
    channels = tuple(Channel(name, "mV", 200.0, 1024) for name in ("MLII", "V1"))
    marks = tuple(Mark(int(b), "N") for b in BEATS)
    return Record("r", "p", frames, 360.0, channels, marks=marks)


def test_predictions_say_flaws_in_words(graph: QGraph) -> None:
    frames = CLEAN.copy()
    frames[3000:, 0] = 2047
    (found,) = le.predict(graph, record(frames), marks=True)
    first, *rest = rows(found)
    columns = header(found.answer, with_floats=False)
    assert columns[-3:] == ["quality", "quality_1", "quality_2"]
    assert columns[3:8] == ["class", "N", "S", "V", "F"]
    assert first[-3:] == ["good"] * 3
    assert rest[-1][-3:] == ["flat+saturated", "flat+saturated", "good"]
    assert found.is_unclassifiable.tolist() == [r[-3] != "good" for r in rows(found)]
    (mean,) = rows(found.mean())
    assert mean[-3:] == ["flat+saturated", "flat+saturated", "good"]
    assert mean[:2] == ["r", rest[-1][1]]
    columns = header(found.answer, with_floats=True)
    assert columns[-5:] == ["class_float", "N_float", "S_float", "V_float", "F_float"]
    floats = np.tile([0.5, -1.0, 2.0, 0.0], (len(found.stamps), 1))
    last = list(rows(replace(found, floats=floats)))[-1]
    assert last[-5:] == ["V", 0.5, -1.0, 2.0, 0.0]
    assert len(last) == len(columns)


def test_quality_is_added_on_demand(graph: QGraph) -> None:
    (found,) = le.predict("ecg-beats-cfc", record(changed(1, 1024)), marks=True, quality=RAILS)
    assert found.is_unclassifiable.all()
    (plain,) = le.predict("ecg-beats-cfc", record(changed(1, 1024)), marks=True)
    assert not plain.is_unclassifiable.any()
    assert np.array_equal(found.steps[:, :4], plain.steps)
    (alone,) = le.predict("ecg-beats-cfc", record(CLEAN), quality=RAILS)
    is_beat = np.abs(alone.stamps[:, None] - BEATS).min(1) < 10
    assert is_beat.sum() > 10
    assert np.array_equal(alone.is_unclassifiable, ~is_beat)  # those found before the first beat


def test_a_library_judges_the_signal_on_demand(tmp_path: Path) -> None:
    folder = le.export("ecg-beats-cfc", format="library", quality=RAILS, to=tmp_path / "l")
    assert isinstance(folder, Path)
    model = le.load_c(folder)
    stamps, outputs = model.run(changed(0, 1024), BEATS)
    assert len(stamps) == len(BEATS)
    assert (outputs[:, 4:] == [FLAT, FLAT, 0]).all()


def sequence(labels: list[int], bits: list[int]) -> DecisionSequence:
    steps = np.zeros((len(bits), 7), np.int64)
    steps[:, 4] = bits
    stamps = np.arange(len(bits))
    return DecisionSequence("r", "p", stamps, np.array(labels), {"scores_and_quality": steps})


def test_what_is_left_is_judged_apart(graph: QGraph) -> None:
    assert graph.output.name == "scores_and_quality"
    decided = [sequence([0, 0, 2, -1, 1], [0, FLAT, FLAT | NOISY, NOISY, 0])]
    scores = [np.eye(4, dtype=int)[[0, 1, 2, 0, 0]]]
    found = judge_classifiable(graph, decided, scores, None)
    assert found is not None
    assert (found.decisions, found.unclassifiable) == (5, 3)
    assert found.flaws == {"flat": 2, "saturated": 0, "noisy": 2}
    assert found.figures is not None
    assert found.figures.accuracy == 0.5  # of the first and the last
    assert found.to_json()["figures"] == found.figures.to_json()
    none = judge_classifiable(graph, [sequence([0], [FLAT])], [np.eye(4)[:1]], None)
    assert none is not None
    assert none.figures is None
    plain = replace(graph, heads=(), stages=le.load("ecg-beats-cfc").stages)
    assert judge_classifiable(plain, decided, scores, None) is None
