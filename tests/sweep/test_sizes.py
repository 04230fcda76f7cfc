"""Sizes are those of a firmware, and known before a network is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lnn_edge.build.cmake import build
from lnn_edge.codegen.project import export
from lnn_edge.device.board import load_board
from lnn_edge.errors import MissingToolError
from lnn_edge.graph.file import load_graph
from lnn_edge.sweep.plan import plan_sweep
from lnn_edge.sweep.sizes import Limits, Sizes, sizes_of
from tests.cli.command import call_json
from tests.support import arm_core, toy
from tests.support.projects import needs_arm_gcc
from tests.sweep.walks import COLUMNS, SMALL, asked, write_walks


@pytest.mark.target
@needs_arm_gcc
def test_sizes_are_those_of_the_firmware_of_a_trained_network(tmp_path: Path) -> None:
    arm_core.require_emulator()
    walks, model = write_walks(tmp_path / "walks"), tmp_path / "model"
    (planned,) = plan_sweep(asked(walks, "hidden_size=4")).settings
    words = tuple(w for s in (*SMALL, "hidden_size=4") for w in ("--set", s))
    call_json("train", "har-cfc", "--data", walks, *COLUMNS, *words, "-o", model)
    call_json("quantize", model)
    export(load_graph(model / "model.qgraph"), load_board("stm32f746"), tmp_path / "p")
    size = build(tmp_path / "p").size
    assert size is not None
    found = planned.sizes
    assert found.ram == size.ram_bytes + size.stack_bytes
    assert found.flash is not None
    assert 0.99 * found.flash <= size.flash_bytes <= found.flash  # weights of 0 take nothing
    assert found.instructions is not None
    assert found.instructions > 1000


def test_without_a_compiler_only_a_limit_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNN_ARM_GCC", "no-such-compiler")
    graph, board = toy.toy_graph(), load_board("stm32f746")
    found = sizes_of(graph, board, is_limited=False)
    assert found == Sizes(found.constants)
    assert found.constants > 0
    with pytest.raises(MissingToolError):
        sizes_of(graph, board, is_limited=True)


def test_limits_are_told_apart() -> None:
    sizes = Sizes(1, 2000, 300, 40)
    assert not list(Limits(2000, 300, 40).exceeded(sizes))
    said = list(replace(Limits(2000, 300, 40), flash=1999, instructions=1).exceeded(sizes))
    assert said == [
        "flash 2,000, 1 more than the limit",
        "instructions 40, 39 more than the limit",
    ]
