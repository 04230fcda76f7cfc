"""A build with one wrong weight fails verification, which names the operator and the element."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.build.cmake import build
from lnn_edge.build.project import open_project
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.verify import verify_project, verify_signals
from tests.support.recordings import invented
from tests.support.toy import motion, toy_every_graph, toy_graph

pytestmark = pytest.mark.target


def damage(weights: Path, symbol: str) -> None:
    """Change the bias of the first row, second in its stream, by more than rounding hides."""
    text = weights.read_text()
    found = re.search(rf"{symbol}\[[^=]*= {{\s*\d+, (\d+)", text)
    assert found is not None, symbol
    value = int(found[1])
    changed = value - 2000 if value > 2000 else value + 2000
    weights.write_text(text[: found.start(1)] + str(changed) + text[found.end(1) :])


def make_board(folder: Path, link: str) -> None:
    """Build what runs on the virtual board; a host program is built by the verification."""
    if link != "host":
        build(folder, "board")


@pytest.mark.parametrize("link", ["host", "virtual"])
def test_a_wrong_bias_is_located(tmp_path: Path, link: str) -> None:
    folder = tmp_path / "project"
    export(toy_graph(), load_board("stm32f746"), folder)
    damage(folder / "model" / "toy_weights.c", "toy_beat_narrow_out_stream")
    make_board(folder, link)
    result = verify_project(open_project(folder), link, [invented("a", 12, 1)])
    assert result.mismatches > 0
    first = result.first_mismatch
    assert first is not None
    assert first.operator.startswith("narrow_out (")
    assert "backbone_linear" in first.operator
    assert first.tensor == "h_next"
    assert first.got != first.expected


def test_an_undamaged_build_verifies_on_the_virtual_board(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    export(toy_graph(), load_board("stm32f746"), folder)
    build(folder, "board")
    recording = invented("a", 12, 1)
    result = verify_project(open_project(folder), "virtual", [recording])
    assert result.passed
    assert result.clock_source == "instructions"
    assert result.counts is not None
    assert result.counts.min > 1000
    again = verify_project(open_project(folder), "virtual:pty", [recording])
    assert again.passed
    assert again.counts == result.counts
    assert np.isfinite(result.core_clock_hz)
    assert result.core_clock_hz == 216_000_000


MOTION = [Signal("walk", motion(1, 150)), Signal("run", motion(2, 60, -32768, 32767))]


@pytest.mark.parametrize("link", ["host", "virtual"])
def test_a_model_that_fires_on_frames_verifies_and_its_damage_is_located(
    tmp_path: Path, link: str
) -> None:
    folder = tmp_path / "project"
    export(toy_every_graph(), load_board("stm32f746"), folder)
    make_board(folder, link)
    project = open_project(folder)
    result = verify_signals(project, link, MOTION)
    assert result.passed
    assert (result.steps, result.longest_run, result.judged) == (37 + 14, 37, None)
    damage(folder / "model" / "toy_every_weights.c", "toy_every_step_narrow_out_stream")
    make_board(folder, link)
    first = verify_signals(project, link, MOTION).first_mismatch
    assert first is not None
    assert first.operator.startswith("narrow_out (")
    assert "fresh_linear" in first.operator
    assert (first.tensor, first.element) == ("h_next", 0)
    assert (first.record, first.stamp) == ("walk", 5 + 4 * first.step)
    assert first.got != first.expected


def test_a_model_that_fires_on_frames_takes_recordings_without_their_beats(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    export(toy_every_graph(), load_board("stm32f746"), folder)
    recording = invented("a", 2, 1)
    three = np.concatenate([recording.frames, recording.frames[:, :1]], axis=1)
    signal = Signal("a", three, recording.events)
    result = verify_signals(open_project(folder), "host", [signal])
    assert result.passed
    assert result.steps == len(range(5, len(three), 4))
    assert result.judged is None


@pytest.mark.parametrize("counter", ["", "events_rejected", "event_overflows"])
def test_a_firmware_that_miscounts_what_it_drops_fails(tmp_path: Path, counter: str) -> None:
    """Of six events on six samples in a row the toy's queue of two drops some, and the last twice.

    Every decision is right all the same.
    """
    folder = tmp_path / "project"
    export(toy_graph(), load_board("stm32f746"), folder)
    runtime = folder / "firmware" / "runtime" / "lnn_runtime.c"
    if counter:
        text = runtime.read_text()
        assert f"counters->{counter}++;" in text
        runtime.write_text(text.replace(f"counters->{counter}++;", f"counters->{counter} += 0U;"))
    frames = invented("a", 2, 1).frames
    signal = Signal("crowd", frames, np.array([300, 300, *range(301, 306), 700]))
    result = verify_signals(open_project(folder), "host", [signal])
    assert result.mismatches == 0
    assert result.passed == (counter == "")
    assert [c.counter for c in result.wrong_counters] == ([counter] if counter else [])
    assert all(c.got == 0 < c.expected for c in result.wrong_counters)
