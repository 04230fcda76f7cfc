"""Every known operator of ONNX gives what onnxruntime gives, in a stream and in windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lnn_edge.nn.imported import Imported, load_imported, save_imported
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from tests.support.onnx_cases import CASES, Case, by_onnxruntime, frames_of
from tests.support.places import SUPPORT

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def read_case(case: Case, path: Path) -> Imported:
    return import_model(path, ImportOptions(hop=case.hop, time_axis=case.time_axis))


def largest_error(model: Imported, path: Path, case: Case, frames: np.ndarray) -> float:
    """Return the largest difference from onnxruntime."""
    with torch.no_grad():
        values = model.module(torch.from_numpy(frames))
    ours = list(values.values()) if isinstance(values, dict) else [values]
    worst = 0.0
    for mine, theirs in zip(ours, by_onnxruntime(path, case, frames), strict=True):
        found = mine.numpy()
        assert found.shape == theirs.shape
        worst = max(worst, float(np.abs(found - theirs).max()))
    return worst


@pytest.mark.parametrize("name", CASES)
def test_a_model_gives_what_onnxruntime_gives(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = case.save(tmp_path / "net.onnx")
    save_imported(tmp_path / "folder", read_case(case, path))
    model = load_imported(tmp_path / "folder")
    assert largest_error(model, path, case, frames_of(case)) < 1e-5


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("causal", ["permute", "conv1d", "activation", "permute", "linear"]),
        ("two heads", ["gru", "linear", "linear", "softmax"]),
        ("lstm of two layers", ["lstm", "lstm", "linear"]),
        ("window: lstm", ["lstm", "newest", "linear"]),
        ("normalized input", ["permute", "batch_norm", "batch_norm", "permute", "linear"]),
    ],
)
def test_the_table_has_a_row_for_each_layer(name: str, kinds: list[str], tmp_path: Path) -> None:
    case = CASES[name]
    model = read_case(case, case.save(tmp_path / "net.onnx"))
    assert [row.kind for row in model.card.layers] == kinds


STORED = {
    "dynamo_lstm": CASES["lstm of two layers"],
    "dynamo_causal": CASES["causal"],
    "dynamo_image": CASES["window: image"],
    "keras_window": CASES["window: cnn"],
    "keras_residual": CASES["window: cnn"],
}
"""Files of other exporters, by tests/support/onnx/make.py, and what is fed as to them."""


@pytest.mark.parametrize("name", STORED)
def test_files_of_other_exporters_give_what_onnxruntime_gives(name: str) -> None:
    case, path = STORED[name], SUPPORT / "onnx" / f"{name}.onnx"
    model = read_case(case, path)
    assert largest_error(model, path, case, frames_of(case)) < 1e-5
