"""LSTM and GRU are those of torch; quantize/test_cells.py takes their integers down the road."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell

INPUT, HIDDEN = 5, 7


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_cell_is_that_of_torch(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        theirs: nn.RNNBase
        ours: LstmCell | Gru
        if name == "lstm":
            theirs, ours = nn.LSTM(INPUT, HIDDEN, batch_first=True), LstmCell(INPUT, HIDDEN)
            ours.load_torch(theirs)
        else:
            theirs, ours = nn.GRU(INPUT, HIDDEN, batch_first=True), Gru(INPUT, HIDDEN)
            ours.load_torch(theirs)
        x = torch.randn(3, 60, INPUT)
    with torch.no_grad():
        wanted, _ = theirs(x)
        got, _ = ours(x, torch.ones(3, 60, 1), ours.initial_state(3))
    assert float((got - wanted).abs().max()) < 1e-5
