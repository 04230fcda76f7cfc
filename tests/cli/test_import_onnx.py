"""A CNN with a GRU, exported by torch.onnx.export: import, quantize, export, build, verify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import call, call_json, refusal
from tests.support.onnx_cases import CASES, frames_of
from tests.support.projects import needs_arm_gcc

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An imported model, quantized; X.npy beside it."""
    folder = tmp_path_factory.mktemp("onnx")
    case = CASES["conv, norm, gru"]
    path = case.save(folder / "activity.onnx")
    np.save(folder / "X.npy", frames_of(case, steps=300))
    facts = call_json("import", path, "-o", folder / "model")
    kinds = [row["kind"] for row in facts["layers"]]
    assert kinds == ["permute", "conv1d", "activation", "permute", "gru", "linear"]
    call_json("quantize", folder / "model", "--calibration", folder / "X.npy")
    return folder


def test_the_integers_are_proved_on_the_host(model: Path, tmp_path: Path) -> None:
    call_json("export", model / "model", "--board", "stm32f746", "-o", tmp_path / "firmware")
    proof = call_json("verify", tmp_path / "firmware", "--link", "host", "--input", model / "X.npy")
    assert proof["mismatches"] == 0
    assert 0 < proof["float_error"]["rmse"] < 0.02 * proof["float_error"]["range"]


@pytest.mark.target
@needs_arm_gcc
def test_the_road_ends_on_the_virtual_board(model: Path, tmp_path: Path) -> None:
    short, project = tmp_path / "short.npy", tmp_path / "firmware"
    np.save(short, np.load(model / "X.npy")[0, :80])
    call_json("export", model / "model", "--board", "stm32f746", "-o", project)
    call_json("build", project)
    proof = call_json("verify", project, "--link", "virtual", "--input", short)
    assert (proof["steps"], proof["mismatches"]) == (39, 0)


def test_windows_move_by_a_hop(tmp_path: Path) -> None:
    case = CASES["window: image"]
    path = case.save(tmp_path / "net.onnx")
    assert "give --time-axis 1 to 3" in refusal(call("import", path, "-o", tmp_path / "model"))
    ways = ("--time-axis", 2, "--hop", 8)
    assert call_json("import", path, "-o", tmp_path / "model", *ways)["channels"] == 6


def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    path = CASES["mlp"].save(tmp_path / "net.onnx")
    said = call("import", path, "-o", tmp_path / "model").out
    assert "quantize" in said
    assert "--calibration X.npy" in said.replace("\n", " ")
    assert "give --calibration" in refusal(call("quantize", tmp_path / "model"))
