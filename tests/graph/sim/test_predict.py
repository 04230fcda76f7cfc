"""Beats run side by side equal beats that are streamed one by one."""

from __future__ import annotations

import numpy as np
import pytest

from lnn_edge.errors import UsageError
from lnn_edge.graph.sim.predict import run_decisions, run_records, run_values
from lnn_edge.graph.sim.stream import Stream
from tests.support.recordings import invented
from tests.support.toy import toy_every_graph, toy_graph


def test_batched_beats_equal_streamed_beats() -> None:
    graph = toy_graph()
    recordings = [invented("a", 40, 1), invented("b", 25, 2)]
    together = run_decisions(graph, recordings, ("scores", "h_next", "dt"))
    for recording, beats in zip(recordings, together, strict=True):
        streamed = list(Stream(graph).run(recording.frames, recording.events))
        assert [d.stamp for d in streamed] == beats.stamps.tolist()
        for name in ("scores", "h_next", "dt"):
            expected = np.stack([d.values[name] for d in streamed])
            assert np.array_equal(expected, beats.values[name])


def test_the_first_decisions_of_each_record_are_those_of_all() -> None:
    graph, names = toy_graph(), ("scores", "h_next", "dt")
    records = [(r.frames, r.events) for r in (invented("a", 40, 1), invented("b", 5, 2))]
    whole, few = run_records(graph, records, names), run_records(graph, records, names, 9)
    assert [len(stamps) for stamps, _ in few] == [9, len(whole[1][0])]
    for (stamps, values), (all_stamps, all_values) in zip(few, whole, strict=True):
        count = len(stamps)
        assert np.array_equal(stamps, all_stamps[:count])
        for name in names:
            assert np.array_equal(values[name], all_values[name][:count])


def test_labels_follow_their_beats() -> None:
    recording = invented("a", 30, 3)
    (beats,) = run_decisions(toy_graph(), [recording], ("scores",))
    label_of = {m.sample: "NAV".index(m.symbol) for m in recording.record.marks}
    assert set(label_of.values()) == {0, 1, 2}
    assert beats.labels.tolist() == [label_of[t] for t in beats.stamps.tolist()]


def test_records_too_short_for_a_decision_have_none() -> None:
    graph = toy_every_graph()
    short, long = np.zeros((3, 3), np.int16), np.zeros((60, 3), np.int16)
    none = np.zeros(0, np.int64)
    for records in ([(short, none)], [(short, none), (short, none)], [(short, none), (long, none)]):
        stamps, values = run_records(graph, records, ("scores",))[0]
        assert (len(stamps), values["scores"].shape) == (0, (0, 3))


def test_one_sequence_and_several_give_the_same_values() -> None:
    graph = toy_every_graph()
    data = np.random.default_rng(4).normal(0, 0.3, (3, 40, graph.frame.size))
    together = run_values(graph, data)
    for alone, values in zip(data, together, strict=True):
        (one,) = run_values(graph, alone)
        assert np.array_equal(one, values)
    for shape in ((40,), (2, 3, 40, graph.frame.size), (40, 2)):
        with pytest.raises(UsageError, match=r"needs \(T, 3\) or \(N, T, 3\)"):
            run_values(graph, np.zeros(shape))
