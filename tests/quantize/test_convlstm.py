"""ConvLSTM2D in a module of one's own, and factors that the weights behind them take in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lnn_edge as le
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d, ConvLstm2dConfig
from lnn_edge.nn.proof import CLOSE
from lnn_edge.nn.recurrent import Recurrent, afresh
from tests.support.host_c import compile_model, run_c, run_reference
from tests.support.signals import sines

X = sines(6, 96, 6, 1)


class Images(nn.Module):
    """Frames as images of two leads and three bins, a ConvLSTM2D, a matrix."""

    def __init__(self, activation: str, *, is_kept: bool) -> None:
        super().__init__()
        form = ConvLstm2dConfig(3, (2, 2), (1, 1), "same", activation)  # type: ignore[arg-type]
        cell = ConvLstm2d((2, 3, 1), form)
        if activation == "relu":  # nothing else keeps the recurrence from growing
            cell.recurrent_kernel.data *= 0.3
        self.convlstm = Recurrent([cell], result="outputs")
        self.register_buffer("gain", torch.tensor([0.7]))
        self.head, self.is_kept = nn.Linear(18, 2), is_kept

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(*x.shape[:2], 2, 3, 1) * self.gain
        s = self.convlstm(images).flatten(2) if self.is_kept else afresh(self.convlstm, images)
        return self.head(s)  # type: ignore[no-any-return]


def error_of(module: nn.Module) -> tuple[le.QGraph, float]:
    """Return the graph, and the RMSE of its integers relative to the span of forward."""
    graph = le.quantize(module, X, name="net", rate_hz=50)
    with torch.no_grad():
        wanted = module(torch.from_numpy(X[2:3]))[0].double().numpy()
    got = le.simulate(graph, X[2])[0]
    return graph, float(np.sqrt(np.mean((got - wanted) ** 2)) / np.ptp(wanted))


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "fresh"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_integers_follow_a_convlstm_in_a_module(
    activation: str, is_kept: bool, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = Images(activation, is_kept=is_kept).eval()
    graph, error = error_of(module)
    assert float(str(graph.metadata["streaming_error"])) < CLOSE
    assert error < 0.01
    assert sum(op.kind == "conv2d" for op in graph.ops) == (8 if is_kept else 3)
    assert len(graph.deciding_stage.states) == (2 if is_kept else 0)
    assert not any(op.kind == "scale" for op in graph.ops)
    items = [("F", row) for row in graph.frame.quantize(X[3]).astype(np.int16)] + [("G", None)]
    assert run_c(compile_model(graph, tmp_path), items) == run_reference(graph, items)


class Scaled(nn.Module):
    """x * gain before a convolution over windows, or before a matrix."""

    def __init__(self, gain: Tensor, *, has_windows: bool) -> None:
        super().__init__()
        self.register_buffer("gain", gain)
        self.conv = nn.Conv1d(6, 4, 3) if has_windows else None
        self.dense = nn.Linear(24 if has_windows else 6, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.conv is None:
            return self.dense(x * self.gain)  # type: ignore[no-any-return]
        windows = x.unfold(1, 8, 4).transpose(2, 3) * self.gain
        y = torch.tanh(self.conv(windows.flatten(0, 1).transpose(1, 2))).flatten(1)
        return self.dense(y).reshape(*windows.shape[:2], -1)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("gain", "has_windows", "scales"),
    [
        (torch.linspace(0.2, 3, 6), False, 0),
        (torch.linspace(0.2, 3, 6), True, 0),
        (torch.tensor(0.3), True, 0),
        (torch.linspace(0.2, 3, 8)[:, None], True, 1),  # one factor a frame: no kernel holds it
    ],
    ids=["matrix", "channels", "number", "frames"],
)
def test_a_factor_goes_into_the_weights_where_they_can_hold_it(
    gain: Tensor, has_windows: bool, scales: int
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        module = Scaled(gain, has_windows=has_windows).eval()
    graph, error = error_of(module)
    assert sum(op.kind == "scale" for op in graph.ops) == scales
    assert error < 0.01
