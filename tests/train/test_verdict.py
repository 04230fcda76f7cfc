"""Models without a task are judged on frames: integers against floats, decisions by labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import nn

import lnn_edge as le
from lnn_edge.errors import DataError, UsageError
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from tests.support.modules import Net
from tests.support.signals import sines

X = sines(4, 60, 3, 1)
CLASSES = ["rest", "walk"]


def make_net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = {"rnn": nn.GRU(3, 5, batch_first=True), "head": nn.Linear(5, 2)}
    return Net(lambda s, x: s.head(s.rnn(x)[0]), **layers)


@pytest.fixture(scope="module")
def graph() -> QGraph:
    return le.quantize(make_net(), X, name="own", rate_hz=50, classes=CLASSES)


@pytest.fixture(scope="module")
def forward() -> np.ndarray:
    with torch.no_grad():
        values: np.ndarray = make_net()(torch.from_numpy(X)).double().numpy()
    return values


def test_a_graph_is_compared_with_the_reference_that_it_keeps(
    graph: QGraph, forward: np.ndarray, tmp_path: Path
) -> None:
    graph.save(tmp_path / "own.qgraph")
    verdict = le.evaluate(tmp_path / "own.qgraph")
    assert (verdict.figures, verdict.compared_on) == (None, "calibration data")
    (error,) = verdict.float_errors.values()
    got = np.stack(le.simulate(graph, X))
    rmse = np.sqrt(np.mean((got - forward) ** 2))
    assert error["rmse"] == pytest.approx(rmse, rel=1e-4)  # torch rounds a batch in another order
    assert error["range"] == pytest.approx(np.ptp(forward))
    assert 0 < error["rmse"] < 0.01 * error["range"]


@pytest.mark.parametrize("each", [True, False])
def test_decisions_are_judged_by_labels(graph: QGraph, each: bool) -> None:
    decided = np.stack(le.simulate(graph, X)).argmax(-1)
    truth = np.random.default_rng(0).integers(0, 2, decided.shape)
    given = truth if each else truth[:, -1]
    verdict = le.evaluate(graph, (X, given))
    assert verdict.figures is not None
    wanted = decided if each else decided[:, -1]
    assert verdict.figures.accuracy == accuracy_score(given.ravel(), wanted.ravel())
    assert verdict.figures.n == given.size
    assert verdict.float_errors, "on calibration data, since no float model lies beside it"


def test_what_is_of_no_class_is_not_judged(graph: QGraph) -> None:
    verdict = le.evaluate(graph, (X, np.array([0, -1, 1, -1])))
    assert verdict.figures is not None
    assert verdict.figures.n == 2


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros(3, int), r"labels must be integers \(4,\) of the sequences"),
        (np.zeros(4), r"labels must be integers .*, not float64 \(4,\)"),
        (np.full(4, 2), "labels must be 0 to 1, the indices of rest, walk, or -1"),
        (np.full(4, -1), "no decision has a label"),
    ],
)
def test_labels_that_do_not_fit_are_refused(graph: QGraph, labels: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        le.evaluate(graph, (X, labels))


def test_frames_that_do_not_fit_are_refused(graph: QGraph) -> None:
    with pytest.raises(DataError, match="frames of 3 channels; the frames have 2"):
        le.evaluate(graph, X[..., :2])


def test_a_graph_without_classes_refuses_labels() -> None:
    values = le.quantize(make_net(), X, name="own")
    with pytest.raises(UsageError, match=r"names no classes.*classes=\[\.\.\.\]"):
        le.evaluate(values, (X, np.zeros(4, int)))


def test_own_recordings_are_labelled_with_the_classes_of_a_graph(
    graph: QGraph, tmp_path: Path
) -> None:
    truth = np.repeat([0, 1, 0], 20)
    rows = ["time,x,y,z,activity"]
    for t, (frame, label) in enumerate(zip(X[0], truth, strict=True)):
        rows.append(f"{t / 50},{','.join(f'{v:.6f}' for v in frame)},{CLASSES[label]}")
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    graph.save(tmp_path / "own.qgraph")
    from lnn_edge.data.readers.reader import Hints
    from lnn_edge.tasks.feed import Wish
    from lnn_edge.tasks.own_data import Source

    wish = Wish(own=Source(tmp_path / "a.csv", Hints(label_column="activity")))
    verdict = le.evaluate(tmp_path / "own.qgraph", wish)
    assert verdict.figures is not None
    decided = le.simulate(load_graph(tmp_path / "own.qgraph"), X[0])[0].argmax(-1)
    assert verdict.figures.accuracy == pytest.approx(accuracy_score(truth, decided), abs=0.02)
