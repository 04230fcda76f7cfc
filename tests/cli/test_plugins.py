"""A package from outside adds a layer, a cell, a data set, a runner and an exporter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lnn_edge as le
from lnn_edge.device.board import load_board
from lnn_edge.device.runners import make_runner
from lnn_edge.errors import DataError, UsageError
from lnn_edge.nn.layers import MAKERS, REGISTERED
from lnn_edge.tasks.recordings import load_labelled
from tests.cli.command import call
from tests.support import plugin
from tests.support.host_c import compile_model, run_c, run_reference
from tests.support.signals import sines

X = sines(4, 60, 6, 1)


@pytest.fixture
def info(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the package; return the folder of its metadata."""
    folder = plugin.install(tmp_path / "site")
    monkeypatch.syspath_prepend(plugin.HERE)
    monkeypatch.syspath_prepend(folder.parent)
    return folder


@pytest.fixture
def layers(info: Path) -> Iterator[object]:
    known, made = dict(REGISTERED), dict(MAKERS)
    import lnn_sample_layers  # type: ignore[import-not-found]

    yield lnn_sample_layers
    for registry, before in ((REGISTERED, known), (MAKERS, made)):
        registry.clear()
        registry.update(before)


class Net(nn.Module):
    def __init__(self, calibrate: nn.Module) -> None:
        super().__init__()
        self.calibrate, self.rnn = calibrate, nn.RNN(6, 10, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.rnn(self.calibrate(x))[0])
        return y


def test_a_layer_and_a_cell_of_a_package_become_integers(layers: object, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Net(layers.Calibrate(6)).eval()  # type: ignore[attr-defined]
        module.calibrate.gain.data.uniform_(0.5, 1.5)
        module.calibrate.offset.data.uniform_(-0.5, 0.5)
    graph = le.quantize(module, X, name="net")
    with torch.no_grad():
        wanted = module(torch.from_numpy(X)).double().numpy()
    got = le.simulate(graph, X[2])[0]
    assert np.sqrt(np.mean((got - wanted[2]) ** 2)) < 0.01 * np.ptp(wanted)
    items = [("F", f) for f in graph.frame.quantize(X[2]).astype(np.int16)]
    assert run_c(compile_model(graph, tmp_path), items) == run_reference(graph, items)


def test_its_data_set_is_loaded_by_name(info: Path) -> None:
    ours, theirs = load_labelled("sample-beats"), load_labelled("excerpts")
    assert [r.name for r in ours] == [r.name for r in theirs]
    assert "sample-beats" in call("data", "list").out
    with pytest.raises(DataError, match="sample-beats"):
        load_labelled("no-such-set")


def test_its_runner_is_made_by_name(info: Path) -> None:
    board = load_board("stm32f746")
    assert make_runner("sample:fast", board).name == "sample:fast"
    with pytest.raises(UsageError, match="sample"):
        make_runner("no-such-runner", board)


def test_its_exporter_writes_its_files(info: Path, tmp_path: Path) -> None:
    arguments = ("export", "--board", "stm32f746", "--format", "summary", "-o", tmp_path / "out")
    assert call(*arguments).code == 0
    assert (tmp_path / "out" / "summary.txt").read_text().startswith("stm32f746g-disco\necg_beats")
    refused = call(*arguments[:4], "no-such-form", "-o", tmp_path / "other")
    assert refused.code == 2
    assert "take one of project, library, " in refused.err
    assert refused.err.endswith(", summary\n")


def test_a_broken_package_is_one_sentence_and_breaks_nothing_else(
    info: Path, tmp_path: Path
) -> None:
    names = "\nsample = lnn_missing:X\nsummary = lnn_missing:X\nsample-beats = lnn_sample:runner\n"
    groups = ("datasets", "runners", "exporters")
    (info / "entry_points.txt").write_text("".join(f"[lnn_edge.{g}]{names}" for g in groups))
    board = load_board("stm32f746")
    broken = "lnn-sample offers '{}' in lnn_edge.{} and it cannot be loaded .*lnn_missing"
    with pytest.raises(UsageError, match=broken.format("sample", "runners")):
        make_runner("sample", board)
    with pytest.raises(UsageError, match="a function; it must be a DataSet"):
        load_labelled("sample-beats")
    refused = call("export", "--board", "stm32f746", "--format", "summary", "-o", tmp_path / "out")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "mend or uninstall that package" in refused.err
    assert call("data", "list").code == 0
    assert load_labelled("excerpts")
    assert make_runner("host", board).name == "host"
