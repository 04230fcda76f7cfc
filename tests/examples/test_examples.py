"""Each example ends on the virtual board, bit by bit, within a hundredth of its outputs' span."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch

import lnn_edge as le
from tests.support.keras_models import keras_library
from tests.support.places import ROOT
from tests.support.projects import needs_arm_gcc

DATA = ("ecg", "motion")
EXAMPLES = sorted(p.stem for p in (ROOT / "examples").glob("[a-z]*.py") if p.stem not in DATA)


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*")  # of Keras, by numpy 2
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_bit_exact_and_close(name: str, tmp_path: Path) -> None:
    assert len((ROOT / "examples" / f"{name}.py").read_text().splitlines()) <= 40
    if name.startswith("keras"):
        keras_library()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net, graph = import_module(f"examples.{name}").make()
    assert sum(p.numel() for p in net.parameters()) >= 10_000
    project = le.export(graph, board="stm32f746", to=tmp_path / "firmware")
    result = le.verify(project, link="virtual")
    assert result.steps > 40
    assert result.mismatches == 0
    for check in result.outputs:
        assert check.float_error is not None
        assert check.float_error["rmse"] <= 0.01 * check.float_error["range"]
