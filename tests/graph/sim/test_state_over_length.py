"""Integers follow their cell over 10,000 steps of ECG: no drift, no state that stands still."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from lnn_edge.graph.sim.stream import Stream
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.wirings import fully_connected
from lnn_edge.tasks.recordings import load_labelled
from tests.support.cells import net_of, quantized

STEPS, RATE_HZ, LEADS = 10_000, 360, 2


def leaky() -> Ltc:
    """One neuron with a time constant of 10 s, driven by the inputs alone."""
    cell = Ltc(fully_connected(LEADS, 1), LtcConfig(1, "clip"))
    with torch.no_grad():
        for name, value in (("cm", 10.0), ("gleak", 1.0), ("vleak", 0.0), ("w", 0.0)):
            getattr(cell, name).fill_(value)
        cell.sensory_w.fill_(0.5)
        cell.sensory_mu.fill_(0.0)
        cell.sensory_erev.copy_(torch.tensor([[1.0], [-0.5]]))
    return cell


CELLS: dict[str, Callable[[], nn.Module]] = {
    "cfc": lambda: Cfc(LEADS, 6, 12),
    "lstm": lambda: LstmCell(LEADS, 6),
    "leaky": leaky,
}


def ecg(record: str) -> np.ndarray:
    (recording,) = load_labelled("excerpts", records=[record])
    return recording.record.values()[:STEPS]


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_integers_follow_the_cell_over_ten_thousand_steps(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        cell = CELLS[name]()
    model = net_of(cell, 1 / RATE_HZ).double()
    graph = quantized(model, ecg("213_0500")[None])
    frames = ecg("100_0830")
    wanted = model.run(frames[None])[0]
    q = graph.frame.quantize(frames).astype(np.int16)
    got = graph.output.dequantize(np.stack([d.outputs for d in Stream(graph).run(q)]))
    error = np.sqrt(((got - wanted) ** 2).mean(1)) / np.ptp(wanted)
    tenth = STEPS // 10
    assert np.sqrt(np.mean(error**2)) <= 0.01
    assert error[-tenth:].mean() <= 2 * error[:tenth].mean() + 0.001
    if name == "leaky":
        assert graph.deciding_stage.states[0].tensor.dtype == "int32"
        assert np.ptp(got[-tenth:]) == pytest.approx(np.ptp(wanted[-tenth:]), rel=0.02)
