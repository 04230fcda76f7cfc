"""A build with one wrong weight fails verification, which names the operator and the element."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.board import load_board
from lnn_edge.build import build
from lnn_edge.codegen import export
from lnn_edge.project import open_project
from lnn_edge.verify import verify_project
from tests.recordings import invented
from tests.toy import toy_graph

pytestmark = pytest.mark.target


def damage(weights: Path, symbol: str) -> None:
    """Change the first constant of an array by more than its rounding hides."""
    text = weights.read_text()
    found = re.search(rf"{symbol}\[[^=]*= {{\s*(-?\d+)", text)
    assert found is not None, symbol
    value = int(found[1])
    changed = value - 2000 if value > 0 else value + 2000
    weights.write_text(text[: found.start(1)] + str(changed) + text[found.end(1) :])


@pytest.mark.parametrize("link", ["host", "virtual"])
def test_a_wrong_bias_is_located(tmp_path: Path, link: str) -> None:
    folder = tmp_path / "project"
    export(toy_graph(), load_board("stm32f746"), folder)
    damage(folder / "model" / "toy_weights.c", "toy_beat_backbone_linear_bias")
    build(folder, "board")
    result = verify_project(open_project(folder), link, [invented("a", 12, 1)])
    assert result.mismatches > 0
    first = result.first_mismatch
    assert first is not None
    assert (first.operator, first.tensor, first.element) == ("backbone_linear", "hidden_pre", 0)
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
