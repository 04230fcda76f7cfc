"""CCfC and CLTC: equal to Keras and ncps in real numbers; the passes change no bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lnn_edge.cells.ltc import Ltc
from lnn_edge.cells.wired_cfc import WiredCfc
from lnn_edge.cells.wirings import auto_ncp, ncp
from lnn_edge.networks.conv_liquid import CellKind, ConvLiquidConfig, ConvLiquidNet
from tests.keras.make_huang2024_inputs import draw_input, draw_weights

WITNESS = Path(__file__).parent / "keras" / "huang2024.npz"
KINDS: tuple[CellKind, ...] = ("cfc", "ltc")
PARAMETERS = {"cfc": 357_067, "ltc": 361_241}
GATES_OF = {"relu": "sigmoid", "tanh": "hard_sigmoid"}


def network(kind: CellKind, activation: Any = "relu", **more: Any) -> ConvLiquidNet:
    torch.manual_seed(1)
    gate: Any = GATES_OF[activation]
    config = ConvLiquidConfig(activation=activation, recurrent_activation=gate, **more)
    return ConvLiquidNet(config, kind).double().eval()


@pytest.mark.parametrize("kind", KINDS)
def test_the_parameters_are_as_many_as_published(kind: CellKind) -> None:
    assert sum(p.numel() for p in network(kind).parameters()) == PARAMETERS[kind]


def load_keras(net: ConvLiquidNet, names: list[str], weights: list[np.ndarray]) -> None:
    """Put the weights of Keras in; rows there are leads, and here they are columns."""
    values = {
        name.split("/", 1)[1]: torch.from_numpy(w).double()
        for name, w in zip(names, weights, strict=True)
    }
    with torch.no_grad():
        cell = net.convlstm
        for key in ("kernel", "recurrent_kernel"):
            getattr(cell, key).copy_(values[f"conv_lstm_cell/{key}"].transpose(0, 1))
        cell.kernel.div_(net.gain[:, None])
        cell.bias.copy_(values["conv_lstm_cell/bias"])
        ((_, kernel),) = (
            (k, v) for k, v in values.items() if k.startswith("dense") and k.endswith("kernel")
        )
        ((_, bias),) = (
            (k, v) for k, v in values.items() if k.startswith("dense") and k.endswith("bias")
        )
        net.dense.weight.copy_(kernel.T)
        net.dense.bias.copy_(bias)
        if isinstance(net.cell, Ltc):
            for key, value in values.items():
                if "ltc_cell" in key:
                    name = key.rsplit("/", 1)[-1]
                    getattr(net.cell, name).copy_(value)
            return
        assert isinstance(net.cell, WiredCfc)
        wiring = ncp(75, auto_ncp(20, 6))
        ours = [v for k, v in values.items() if "cf_c_cell" in k]
        for index, layer in enumerate(net.cell.layers):
            ff1, b1, ff2, b2, wa, ba, wb, bb = ours[8 * index : 8 * index + 8]
            sign = torch.from_numpy(wiring.mask(index, signed=True)).double()  # ncps.keras keeps it
            layer.ff1.weight.copy_(ff1.T * sign)
            layer.ff2.weight.copy_(ff2.T * sign)
            for module, w, b in (
                (layer.ff1, None, b1),
                (layer.ff2, None, b2),
                (layer.time_a, wa, ba),
                (layer.time_b, wb, bb),
            ):
                module.bias.copy_(b)
                if w is not None:
                    module.weight.copy_(w.T)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_keras_and_ncps(kind: CellKind, activation: str) -> None:
    witness = np.load(WITNESS)
    key = f"c{kind}.{activation}"
    net = network(kind, activation)
    names = witness[f"{key}.names"].tolist()
    shapes = [tuple(n for n in s if n) for s in witness[f"{key}.shapes"].tolist()]
    load_keras(net, names, draw_weights(names, shapes))
    assert witness[f"{key}.count"] == PARAMETERS[kind]
    windows = torch.from_numpy(draw_input()).double()[:, 0].permute(0, 2, 1, 3)  # columns first
    with torch.no_grad():
        scores = net.judge(windows).numpy()
    assert np.ptp(witness[key], axis=0).min() > 1e-4  # ten times the tolerance
    np.testing.assert_allclose(scores, witness[key], rtol=0, atol=1e-5)
