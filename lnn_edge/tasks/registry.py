"""Networks: published ones and ours, built of cells. torch lives here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lnn_edge.errors import UsageError
from lnn_edge.files import tables
from lnn_edge.files.names import shown
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.activity.har_cfc import HarNet, HarNetConfig
from lnn_edge.tasks.activity.har_convlstm_cfc import HarConvLstmConfig, HarConvLstmNet
from lnn_edge.tasks.beats.network import BeatNet, BeatNetConfig
from lnn_edge.tasks.findings.cnn12 import ConvNet
from lnn_edge.tasks.findings.columns import ColumnsConfig
from lnn_edge.tasks.findings.conv_liquid import ConvLiquidConfig, ConvLiquidNet, ConvLiquidStreamNet

NETWORKS: dict[str, tuple[Callable[[Any], AbstractStreamNet], type]] = {
    "ccfc": (partial(ConvLiquidNet, cell="cfc"), ConvLiquidConfig),
    "ccfc-stream": (partial(ConvLiquidStreamNet, cell="cfc"), ConvLiquidConfig),
    "cltc": (partial(ConvLiquidNet, cell="ltc"), ConvLiquidConfig),
    "cltc-stream": (partial(ConvLiquidStreamNet, cell="ltc"), ConvLiquidConfig),
    "cnn12": (ConvNet, ColumnsConfig),
    "ecg-beats-cfc": (BeatNet, BeatNetConfig),
    "har-cfc": (HarNet, HarNetConfig),
    "har-convlstm-cfc": (HarConvLstmNet, HarConvLstmConfig),
}


def make_network(name: str, model: Mapping[str, object]) -> AbstractStreamNet:
    """Build a network with fresh weights from a recipe's [model] table.

    Raises:
        UsageError: Unknown network or a wrong key.
    """
    if name not in NETWORKS:
        raise UsageError(f"no network {shown(repr(name))}; known are {', '.join(NETWORKS)}")
    network, config = NETWORKS[name]
    return network(tables.build(config, model, f"[model] of {name}", UsageError))
