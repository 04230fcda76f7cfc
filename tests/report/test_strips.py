"""Recordings and what a model says of them, drawn: one SVG, with a letter for each decision."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import lnn_edge as le
from lnn_edge.data.embedded import folder_of_pieces
from lnn_edge.data.record import Channel, Mark, Record
from lnn_edge.report import strips
from lnn_edge.report.drawings.timeline import INNER, LEFT
from lnn_edge.report.strips import draw_predicted
from tests.support.toy import toy_every_graph, toy_heads_graph
from tests.tasks.beats.test_find_beats import beats_of, two_leads

SVG = "{http://www.w3.org/2000/svg}"


def drawn(length: int, graph: object = None, start_s: float = 0.0) -> ElementTree.Element:
    values = np.random.default_rng(3).normal(0, 0.2, (length, 3))
    record = Record("<r>", "r", values, 50.0, tuple(Channel(c, "g") for c in "xyz"))
    (predicted,) = le.predict(graph or toy_every_graph(), record)  # type: ignore[arg-type]
    text = draw_predicted(predicted, events=False, start_s=start_s)
    return ElementTree.fromstring(text)


def texts(root: ElementTree.Element, kind: str) -> list[str]:
    return [e.text or "" for e in root.iter(f"{SVG}text") if e.get("class") == kind]


def paths(root: ElementTree.Element, kind: str) -> int:
    return sum((e.get("class") or "").split()[0] == kind for e in root.iter(f"{SVG}path"))


def test_a_strip_of_a_minute_has_a_line_for_each_channel() -> None:
    graph = toy_every_graph()
    root = drawn(50 * 130, replace(graph, metadata={**graph.metadata, "units": ["g"] * 3}))
    assert paths(root, "trace") == 3 * 3
    assert texts(root, "lead") == ["x, y, z (g)"] * 3
    assert texts(root, "caption") == ["Record <r>, second 0 to 130"]
    assert set(texts(root, "beat")) <= {"A", "B", "C"}
    assert texts(root, "beat")


def test_values_have_lines_of_their_own() -> None:
    root = drawn(50 * 30, toy_heads_graph())
    assert paths(root, "value") == 3
    assert texts(root, "lead")[1:] == ["pose_0", "pose_1", "strides"]


def test_what_is_wrong_with_the_signal_stands_in_words_below_the_beats() -> None:
    frames = two_leads(beats_of(np.arange(400, 6000, 290), 6600))
    frames[4000:, 1] = 2047
    channels = (Channel("MLII", "mV", 200.0, 1024), Channel("V1", "mV", 200.0, 1024))
    marks = tuple(Mark(at, "N") for at in range(400, 6000, 290))
    record = Record("r", "r", frames, 360.0, channels, marks=marks)
    (predicted,) = le.predict("ecg-beats-cfc", record, marks=True, quality=(0, 2047))
    root = ElementTree.fromstring(draw_predicted(predicted, events=True))
    assert texts(root, "lead") == ["MLII (mV)", "V1 (mV)"] * 2  # no curve of bits
    rows = [t for t in texts(root, "tick") if t not in ("true", "model")]
    assert rows == ["signal", "V1"] * 2  # MLII is good throughout
    words = [t for t in texts(root, "beat") if "+" in t]
    assert set(words) == {"flat+saturated"}
    (clean,) = le.predict("ecg-beats-cfc", record, marks=True)
    assert "flat" not in draw_predicted(clean, events=True)


def test_a_long_recording_is_drawn_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "MOST_STRIPS", 2)
    root = drawn(50 * 60 * 5, start_s=60.0)
    assert paths(root, "trace") == 3 * 2
    assert texts(root, "caption") == ["Record <r>, second 60 to 180"]


def test_beats_stand_at_their_instants() -> None:
    predicted = le.predict("ecg-beats-cfc", folder_of_pieces() / "200_1490.hea", marks=True)[0]
    root = ElementTree.fromstring(draw_predicted(predicted, events=True))
    said = [e for e in root.iter(f"{SVG}text") if (e.get("class") or "").startswith("beat")]
    assert [e.text for e in said] == predicted.classes
    places = [float(e.get("x", 0)) for e in said]
    wanted = LEFT + predicted.times_s % 15 * INNER / 15
    assert np.abs(np.array(places) - wanted).max() < 0.06
