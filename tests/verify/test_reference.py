"""A project that holds outputs of its model verifies on them, by the library and by command."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

import lnn_edge as le
from lnn_edge.errors import DataError, VerificationError
from tests.cli.command import call, call_json, refusal
from tests.support.modules import make_module
from tests.support.signals import sines
from tests.support.toy import toy_every_graph


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    graph = le.quantize(make_module("two_heads"), sines(6, 96, 6, 1), name="net", rate_hz=50)
    graph.save(folder / "net.qgraph")
    call_json("export", folder / "net.qgraph", "--board", "stm32f746", "-o", folder / "firmware")
    return folder / "firmware"


def test_the_error_of_each_output_is_told(project: Path) -> None:
    result = le.verify(project)
    assert (result.mismatches, result.steps) == (0, 3 * 94)
    for check in result.outputs:
        assert check.float_error is not None
        assert check.float_error["rmse"] <= 0.01 * check.float_error["range"]
    assert [(x.link, x.steps) for x in le.report(project).links] == [("host", result.steps)]
    proof = call_json("verify", project, "--link", "host")
    assert (proof["mismatches"], proof["steps"]) == (0, result.steps)
    assert [o["float_error"] for o in proof["outputs"]] == [
        check.float_error for check in result.outputs
    ]


def test_a_reference_of_another_graph_is_refused(project: Path, tmp_path: Path) -> None:
    other = le.quantize(make_module("gelu"), sines(3, 40, 6, 1), name="net")
    other.save(tmp_path / "other.qgraph")
    (tmp_path / "mine.qgraph").write_bytes((project / "model.qgraph").read_bytes())
    beside = tmp_path / "mine.qgraph.reference.npz"
    beside.write_bytes((tmp_path / "other.qgraph.reference.npz").read_bytes())
    with pytest.raises(DataError, match="of another graph"):
        le.load(tmp_path / "mine.qgraph")
    beside.write_bytes(b"PK damaged")
    with pytest.raises(DataError, match="is damaged"):
        le.load(tmp_path / "mine.qgraph")


def test_a_project_without_one_asks_for_data(tmp_path: Path) -> None:
    project = le.export(toy_every_graph(), board="stm32f746", to=tmp_path / "firmware")
    with pytest.raises(VerificationError, match="holds no reference; give sequences"):
        le.verify(project)
    assert refusal(call("verify", project.folder, "--link", "host"))


def test_a_file_of_the_user_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "net.npz").write_bytes(b"my own")
    graph = le.quantize(make_module("gelu"), sines(3, 40, 6, 1), name="net")
    graph.save(tmp_path / "net.qgraph")
    assert le.load(tmp_path / "net.qgraph").reference is not None
    assert (tmp_path / "net.npz").read_bytes() == b"my own"


def test_no_damage_of_a_reference_escapes(tmp_path: Path) -> None:
    """Every byte of a small one, flipped: it loads or is refused by name."""
    graph = le.quantize(make_module("gelu"), sines(2, 12, 6, 1), name="net")
    graph.save(tmp_path / "net.qgraph")
    beside = tmp_path / "net.qgraph.reference.npz"
    whole = beside.read_bytes()
    for at in range(0, len(whole), 7):
        beside.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with suppress(DataError):
            le.load(tmp_path / "net.qgraph")
