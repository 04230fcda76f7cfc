"""The networks of the tasks, plain modules, give the operators of their former own lowering."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lnn_edge.graph.scales import Ranges
from lnn_edge.nn.threads import one_thread
from lnn_edge.nn.timing import make_plan
from lnn_edge.nn.trace import trace
from lnn_edge.quantize.assemble import lower, lower_behind
from lnn_edge.quantize.observe import observe
from lnn_edge.quantize.trained import plan_of
from lnn_edge.tasks.recordings import load_labelled
from tests.support.trials import LOWERED, TRIALS, meanings

REFERENCE = json.loads(LOWERED.read_text())
CHANGED = {
    # A convolution writes what the dense layer reads, without an int16 tensor between.
    "cnn12.relu": ({"convolve", "narrow_columns"}, {"convolution_op"}),
    "cnn12.tanh": ({"convolve", "convolve_act", "narrow_columns"}, {"convolution_op", "tanh_act"}),
    # The dense layer behind a ConvLSTM2D reads int8, as it does in ccfc and cltc.
    "har-convlstm-cfc": ({"embed"}, {"to_convlstm_y", "embedding_op"}),
}
"""Operators that are others now: those of then, and those of today."""


def same_ranges(wanted: list[tuple[float, float]], seen: Ranges) -> Ranges:
    """Return ranges, those of then where they differ by the order of float sums alone."""
    found = dict(seen)
    for values in wanted:
        close = [n for n, r in seen.items() if np.allclose(r, values, rtol=1e-4, atol=1e-6)]
        assert close, f"{values} is nowhere in the module"
        found.update(dict.fromkeys(close, values))
    return found


class OnFrames(nn.Module):
    """A network of windows as a user writes it, who has frames (B, T, C)."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.config = network, network.config

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unfold(1, self.config.window, self.config.hop)
        return self.network(windows.transpose(2, 3))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["har-demo", "har-cfc"])
def test_windows_cut_in_forward_give_the_same_operators(name: str) -> None:
    network, reference = TRIALS[name]().network, REFERENCE[name]
    frame = network.front.frame
    runs = load_labelled("synthetic-activity")[:3]
    frames = [torch.from_numpy(frame.dequantize(r.frames.astype(np.int64))).float() for r in runs]
    sequences = [(x[None],) for x in frames]
    plan = make_plan(trace(OnFrames(network), sequences[0]), sequences[0])
    ranges = same_ranges(
        [tuple(pair) for pair in reference["ranges"].values()], observe(plan, sequences)
    )
    got = [h for _, h in meanings(lower(plan, ranges, frame, "net", {})[0])]
    assert got == [h for _, h in reference["operators"]]


@pytest.mark.parametrize("name", TRIALS)
def test_networks_are_equal_in_every_number(name: str) -> None:
    trial, reference = TRIALS[name](), REFERENCE[name]
    network = trial.network
    plan = plan_of(network)
    with one_thread():
        seen = observe(plan, [tuple(inputs.values()) for inputs in trial.sequences])
    ranges = same_ranges([tuple(pair) for pair in reference["ranges"].values()], seen)
    facts = {"classes": list(network.classes)}
    got = list(meanings(lower_behind(plan, ranges, network.front, "net", facts)[0]))
    wanted = [tuple(pair) for pair in reference["operators"]]
    theirs, ours = CHANGED.get(name, (set[str](), set[str]()))
    assert theirs <= {n for n, _ in wanted}
    assert ours <= {n for n, _ in got}
    left = [h for n, h in got if n not in ours]
    assert left == [h for n, h in wanted if n not in theirs]
