"""What a model takes is told before it is exported, and is what its build takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import lnn_edge as le
from lnn_edge.build.cmake import build
from lnn_edge.codegen.project import export
from lnn_edge.device.board import board_of, list_boards, load_board
from lnn_edge.errors import UsageError
from lnn_edge.files.model_facts import read_facts
from lnn_edge.files.shipped import shipped_folder
from lnn_edge.verify.analysis import analyze, roomy
from tests.cli.command import call, call_json, error_line
from tests.firmware.programs import needs_arm_gcc
from tests.support import arm_core, toy

pytestmark = [pytest.mark.target, needs_arm_gcc]


@pytest.fixture(autouse=True)
def emulator() -> None:
    arm_core.require_emulator()


@pytest.mark.parametrize("name", ["stm32f746", "stm32f405", "bluepill", "nucleo-g071rb"])
def test_sizes_are_those_of_the_build(name: str, tmp_path: Path) -> None:
    graph, board = toy.toy_graph(), load_board(name)
    (found,) = analyze(graph, [board])
    export(graph, board, tmp_path / "p")
    size = build(tmp_path / "p").size
    assert size is not None
    assert found.fits
    assert (found.flash_bytes, found.ram_bytes) == (size.flash_bytes, size.ram_bytes)
    assert found.stack_bytes == size.stack_bytes
    assert found.regions == {n: use for n, use in size.regions.items() if n in found.regions}


def test_boards_with_one_kind_of_chip_share_a_build() -> None:
    """They differ by the bytes of names, and of addresses that take another instruction."""
    graph, names = toy.toy_graph(), ("nucleo-f746zg", "stm32f746g-disco")
    boards = [load_board(name) for name in names]
    shared, alone = analyze(graph, boards, once_a_chip=True), analyze(graph, boards)
    assert [b.built_for for b in shared] == [names[0]] * 2
    assert [b.built_for for b in alone] == list(names)
    for a, b in zip(shared, alone, strict=True):
        assert abs(a.flash_bytes - b.flash_bytes) < 200
        assert (a.ram_bytes, a.stack_bytes) == (b.ram_bytes, b.stack_bytes)


def test_every_board_has_a_roomy_twin() -> None:
    for board in list_boards():
        twin = roomy(board)
        assert board_of(json.loads(twin.to_json()), "twin") == twin
        assert twin.dma_is_cached == board.dma_is_cached
        assert all(r.size > 1 << 24 for r in twin.memory)


def test_what_lacks_is_told_in_bytes() -> None:
    board = load_board("bluepill")
    small = replace(board, memory=tuple(replace(r, size=4096) for r in board.memory))
    (found,) = analyze(toy.toy_graph(), [small])
    flash = found.regions["flash"]
    assert not found.fits
    assert flash.size == 4096 < flash.used == found.flash_bytes
    assert f"flash has 4,096 bytes, {flash.used - 4096:,} too few" in found.lacking


def test_cores_without_the_dsp_instructions_take_more_of_them() -> None:
    boards = [load_board(n) for n in ("stm32f746", "nucleo-u575zi", "bluepill", "microbit")]
    m7, m33, m3, m0 = (b.instructions for b in analyze(toy.toy_graph(), boards))
    assert m7 is not None
    assert m33 is not None
    assert m3 is not None
    assert m0 is not None
    assert m7 <= m33 < m3 < m0


def test_what_cannot_be_counted_says_why() -> None:
    (found,) = analyze(toy.toy_graph(), [load_board("mps3-an547")])
    assert found.instructions is None
    assert found.uncounted == "the engine has no cortex-m55"


@pytest.mark.slow
def test_noise_costs_what_recordings_cost() -> None:
    """On recordings other beats are as long, and the counter itself is read around each call."""
    facts = read_facts(shipped_folder("ecg-beats-cfc")).measured
    assert facts is not None
    (found,) = le.analyze("ecg-beats-cfc", [facts.counted_on])
    assert found.instructions == pytest.approx(facts.instructions_with_samples, rel=0.1)


@pytest.mark.slow
def test_a_detector_of_beats_is_counted() -> None:
    alone, found = (
        le.analyze("ecg-beats-cfc", ["stm32f746"], find_beats=finds)[0] for finds in (False, True)
    )
    assert found.flash_bytes > alone.flash_bytes
    assert found.instructions is not None
    assert found.instructions > 10_000


def test_no_board_is_refused() -> None:
    with pytest.raises(UsageError, match="no board is given"):
        analyze(toy.toy_graph(), [])


def test_the_command_says_which_boards_fit(tmp_path: Path) -> None:
    path = tmp_path / "model.qgraph"
    toy.toy_graph().save(path)
    told = call_json("analyze", path, "--board", "stm32f405,bluepill")
    assert [b["board"] for b in told["boards"]] == ["stm32f405", "bluepill"]
    assert all(b["fits"] for b in told["boards"])
    outcome = call("analyze", path, "--board", "bluepill")
    assert outcome.code == 0
    assert "cortex-m3" in outcome.out


def test_exit_code_1_where_it_fits_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "model.qgraph"
    toy.toy_graph().save(path)
    board = (Path("boards") / "bluepill.toml").read_text().replace("0x10000", "0x1000")
    (tmp_path / "small.toml").write_text(board)
    outcome = call("analyze", path, "--board", tmp_path / "small.toml")
    assert outcome.code == 1
    assert "toy fits none of bluepill" in error_line(outcome)
