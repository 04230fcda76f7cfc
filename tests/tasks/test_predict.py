"""What a model says of recordings: events, channels, units, rates; bit by bit as evaluated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.build import decide as decide_module
from lnn_edge.data.embedded import folder_of_pieces
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.record import Channel, Mark, Record
from lnn_edge.errors import DataError, UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.predict import run_records, run_values
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.tasks.live import predict_live
from lnn_edge.tasks.metrics.single_label import integer_scores
from lnn_edge.tasks.predict import MOST_TOGETHER, Predictor
from lnn_edge.tasks.predicted import documents, header, rows
from lnn_edge.tasks.recordings import load_labelled
from tests.support.places import ROOT
from tests.support.toy import toy_every_graph, toy_graph, toy_heads_graph


def imported(name: str) -> QGraph:
    return le.load(ROOT / "tests" / "support" / "imported" / f"{name}.qgraph")


def pieces() -> list[Record]:
    return list(read_records(find_records(folder_of_pieces())))


def noise(length: int = 300, channels: int = 3, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, (length, channels))


def test_annotated_beats_give_what_an_evaluation_sees_bit_by_bit() -> None:
    graph = le.load("ecg-beats-cfc")
    wanted, scores = integer_scores(graph, load_labelled("excerpts"))
    got = le.predict(graph, folder_of_pieces(), marks=True)
    assert [p.name for p in got] == [w.name for w in wanted]
    for predicted, sequence, score in zip(got, wanted, scores, strict=True):
        assert np.array_equal(predicted.stamps, sequence.stamps)
        assert np.array_equal(predicted.steps, score)
        assert predicted.classes == [graph.classes[i] for i in score.argmax(1)]


def test_without_marks_the_beats_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    record = replace(pieces()[0], marks=())
    short = replace(record, samples=record.samples[:5400])
    (found,) = le.predict("ecg-beats-cfc", short)
    beats = np.array([m.sample for m in pieces()[0].marks if m.sample in range(1100, 4600)])
    inside = found.stamps[(found.stamps > 1090) & (found.stamps < 4610)]
    assert len(inside) == len(beats)
    assert np.abs(inside - beats).max() <= 6
    with pytest.raises(DataError, match="marks no R peak"):
        le.predict("ecg-beats-cfc", short, marks=True)
    monkeypatch.setattr(decide_module, "_WORTH_WITH_FILTERS", 0)
    (compiled,) = le.predict("ecg-beats-cfc", short)
    assert np.array_equal(compiled.stamps, found.stamps)
    assert np.array_equal(compiled.steps, found.steps)


def test_another_rate_keeps_the_instants_of_the_recording() -> None:
    record = pieces()[1]
    values = np.repeat(record.values(), 2, axis=0)
    plain = tuple(Channel(c.name, "V") for c in record.channels)
    twice = replace(
        record,
        samples=values / 1000,
        channels=plain,
        rate_hz=720.0,
        marks=tuple(Mark(2 * m.sample, m.symbol) for m in record.marks),
    )
    (native,), (doubled,) = (le.predict("ecg-beats-cfc", r, marks=True) for r in (record, twice))
    assert np.array_equal(doubled.stamps, native.stamps)
    assert np.array_equal(doubled.samples, 2 * native.stamps)
    assert np.array_equal(doubled.times_s, native.times_s)
    agree = np.mean([a == b for a, b in zip(native.classes, doubled.classes, strict=True)])
    assert agree > 0.95
    said = doubled.changes.lines()
    assert any("from 720 Hz to 360 Hz" in line for line in said)
    assert "converted from V to mV: 2 channels in 1 record" in said


def test_arrays_in_real_units_and_in_steps() -> None:
    graph, values = toy_every_graph(), noise()
    (wanted,) = run_values(graph, values)
    (real,) = le.predict(graph, values)
    assert np.array_equal(real.values, wanted)
    steps = graph.frame.quantize(values).astype(np.int16)
    several = le.predict(graph, np.stack([steps, steps[::-1]]))
    assert np.array_equal(several[0].steps, real.steps)
    assert [p.name for p in several] == ["0", "1"]
    with pytest.raises(DataError, match=r"needs \(T, 3\)"):
        le.predict(graph, values[:, :2])


def test_a_model_of_no_task_tells_values_of_any_five_channels() -> None:
    graph = imported("default_head")
    record = Record("r", "r", noise(40, 5) / 100, 7.0, tuple(Channel(c) for c in "abcde"))
    (got,) = le.predict(graph, record)
    assert np.array_equal(got.values, run_values(graph, record.samples)[0])
    assert (header(got.answer, with_floats=False), got.classes) == (
        ["record", "sample", "time_s", "output_0", "output_1"],
        [],
    )
    assert got.times_s[-1] == 39 / 7.0
    narrow = replace(record, samples=record.samples[:, :3], channels=record.channels[:3])
    with pytest.raises(DataError, match=r"3 channels \(a, b, c\) and the model .* needs 5"):
        le.predict(graph, narrow)


def test_elapsed_time_is_that_of_the_rate() -> None:
    graph = imported("default_dt_head")
    graph = replace(graph, metadata={"dt": "input"})
    values = noise(40, 5) / 100
    record = Record("r", "r", values, 2.0, tuple(Channel(c) for c in "abcde"))
    (got,) = le.predict(graph, record)
    wanted = run_values(graph, np.column_stack((values, np.full(40, 0.5))))[0]
    assert np.array_equal(got.values, wanted)


def test_rows_name_classes_values_and_logits() -> None:
    graph = toy_heads_graph()
    (got,) = le.predict(graph, noise())
    columns = ["class", *graph.classes, "pose_0", "pose_1", "strides"]
    beside = [f"{c}_float" for c in columns]
    places = ["record", "sample", "time_s"]
    assert header(got.answer, with_floats=True) == places + columns + beside
    first = next(documents(got))
    scores = [first[name] for name in graph.classes]
    assert first["class"] == graph.classes[int(np.argmax(scores))]
    assert first["time_s"] == first["sample"] / 50
    assert next(rows(got)) == list(first.values())
    assert got.counts() == {c: got.classes.count(c) for c in graph.classes if c in got.classes}


def test_several_findings_are_decided_each_by_itself() -> None:
    graph = toy_every_graph()
    graph = replace(graph, metadata={**graph.metadata, "task": "findings"})
    (got,) = le.predict(graph, noise())
    wanted = [
        "+".join(c for c, s in zip("ABC", row, strict=True) if s > 0) or "-" for row in got.steps
    ]
    assert got.classes == wanted
    assert len(set(wanted)) > 1


def test_recordings_side_by_side_are_the_same_as_alone() -> None:
    graph = toy_every_graph()
    lengths = range(20, 20 + MOST_TOGETHER + 3)
    records = [
        Record(f"r{n}", "r", noise(n), 50.0, tuple(Channel(c) for c in "xyz")) for n in lengths
    ]
    together = le.predict(graph, records)
    assert [p.name for p in together] == [r.name for r in records]
    for predicted, record in zip(together, records, strict=True):
        assert np.array_equal(predicted.values, run_values(graph, record.samples)[0])


def test_one_recording_that_does_not_fit_is_named_and_the_others_go_on() -> None:
    good = Record("good", "r", noise(), 50.0, tuple(Channel(c) for c in "xyz"))
    bad = replace(good, name="bad", channels=tuple(Channel(c) for c in "xyw"))
    refused: dict[str, str] = {}
    predictor = Predictor.of(toy_every_graph())
    got = list(predictor.run([bad, good], lambda name, e: refused.update({name: str(e)})))
    assert [p.name for p in got] == ["good"]
    assert "has the channels x, y, w and the model needs z" in refused["bad"]
    with pytest.raises(DataError, match="needs z"):
        list(predictor.run([bad]))
    (renamed,) = le.predict(toy_every_graph(), bad, channels={"z": "w"})
    assert np.array_equal(renamed.steps, got[0].steps)


def test_a_stream_decides_as_a_recording_does() -> None:
    for graph in (toy_every_graph(), toy_heads_graph()):
        steps = graph.frame.quantize(noise()).astype(np.int16)
        (whole,) = le.predict(graph, steps)
        live = list(predict_live(graph, iter(steps)))
        assert [p.stamps.item() for p in live] == whole.stamps.tolist()
        assert np.array_equal(np.concatenate([p.steps for p in live]), whole.steps)


def test_events_that_no_detector_finds_must_be_marked() -> None:
    graph = toy_graph()
    other = replace(graph, metadata={k: v for k, v in graph.metadata.items() if k != "task"})
    with pytest.raises(UsageError, match="events that it cannot find itself"):
        Predictor.of(other)
    record = Record(
        "r", "r", noise(400, 2), 360.0, (Channel("MLII"), Channel("V1")), (Mark(90, "knock"),)
    )
    (got,) = le.predict(other, record, marks=True)
    frames = got.fed.record.samples
    wanted = run_records(other, [(frames, np.array([90]))], ("scores",))[0]
    assert got.stamps.tolist() == wanted[0].tolist() == [90]
    assert np.array_equal(got.steps, wanted[1]["scores"])
    assert [d.stamp for d in Stream(other).run(frames, [90])] == [90]


def test_events_are_those_of_the_models_task() -> None:
    graph = toy_graph()
    document = {
        "format": 1,
        "name": "knocks",
        "frame": {"rate_hz": 360.0, "channels": [{"name": "MLII", "steps_per_unit": 200.0}]},
        "decide": {"on": "events"},
        "labels": {"kind": "event", "classes": ["N", "S", "V"], "map": {"soft": "S"},
                   "unscored": ["?"]},
        "words": {"event": "knock"},
    }  # fmt: skip
    own = replace(graph, metadata={**graph.metadata, "task": "knocks", "task_file": document})
    symbols = ("N", "x", "soft", "?", "A")
    marks = tuple(Mark(100 + 100 * i, s) for i, s in enumerate(symbols))
    channels = (Channel("MLII", "mV"), Channel("V1", "mV"))
    record = Record("r", "r", noise(900, 2), 360.0, channels, marks)
    (got,) = le.predict(own, record, marks=True)
    assert got.fed.events.tolist() == [100, 300, 400]
    with pytest.raises(UsageError, match="events that it cannot find itself"):
        le.predict(own, record)
    with pytest.raises(DataError, match="marks no knock"):
        le.predict(own, replace(record, marks=marks[1:2]), marks=True)


def test_a_name_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    lines = ["x,y,z", *(",".join(f"{v:.6f}" for v in row) for row in noise())]
    path.write_text("\n".join(lines))
    (got,) = le.predict(toy_every_graph(), path, rate_hz=50)
    (wanted,) = le.predict(toy_every_graph(), np.round(noise(), 6))
    assert (got.name, np.array_equal(got.steps, wanted.steps)) == ("walk", True)
