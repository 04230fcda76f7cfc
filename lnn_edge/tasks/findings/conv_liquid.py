"""CCfC and CLTC (Huang et al. 2024): ConvLSTM2D on STFT columns of 12 leads, then a liquid cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lnn_edge.nn.cells.cfc import CfcConfig, Head
from lnn_edge.nn.cells.convlstm2d import ConvLstm2d, ConvLstm2dConfig, RecurrentActivation
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, ncp
from lnn_edge.nn.model import AbstractRecallNet
from lnn_edge.nn.recurrent import Recurrent, afresh
from lnn_edge.tasks.findings.columns import (
    KERNEL_COLUMNS,
    STRIDE,
    AbstractColumnsNet,
    ColumnsConfig,
)
from lnn_edge.tasks.findings.front_end import HOP, LEADS, SAMPLE_RATE_HZ
from lnn_edge.tasks.findings.task import TASK
from lnn_edge.tasks.task import Task

DT = 1.0  # elapsed time of the cell, as published: one call, no clock
COLUMN_S = HOP / SAMPLE_RATE_HZ
CellKind = Literal["cfc", "ltc"]


@dataclass(frozen=True, kw_only=True)
class ConvLiquidConfig(ColumnsConfig):
    """Sizes and forms of the network; the defaults are those published.

    Attributes:
        neurons: Of the wiring AutoNCP(neurons, 6).
        recurrent_activation: Of the ConvLSTM2D's gates: "steep_hard_sigmoid" is that of Keras 2,
            "sigmoid" that of Keras 3.
    """

    neurons: int = 20
    recurrent_activation: RecurrentActivation = "sigmoid"


class ConvLiquidNet(AbstractColumnsNet):
    """Six findings of 33 STFT columns, every decision from a state of zeros.

    s = ConvLSTM2D(x),  e = act(E s + d),  scores = cell(e),  probabilities = sigmoid(scores)

    x (33 columns, 12 leads, 129 bins) are magnitudes in mV; Huang et al. have rows for leads, which
    transposes the kernel and nothing else. The cell is a CfC wired by AutoNCP or an LTC on that
    wiring, ncps' of Keras. There is one step, so the network never sees a sequence.

    Args:
        config: Sizes.
        task: Of whole records in the frame of TASK; classes are free.
        cell: Which liquid cell.

    Source: Huang et al. 2024, J Cardiovasc Transl Res, 10.1007/s12265-024-10504-y.
    """

    cell_head: ClassVar[Head] = "linear"  # of the CfC
    dt: ClassVar[float] = DT
    config: ConvLiquidConfig

    def __init__(self, config: ConvLiquidConfig, task: Task = TASK, *, cell: CellKind) -> None:
        form = ConvLstm2dConfig(
            config.filters,
            (KERNEL_COLUMNS, len(LEADS)),
            (STRIDE, 1),
            "valid",
            config.activation,
            config.recurrent_activation,
        )
        convlstm = ConvLstm2d((self.columns, len(LEADS), config.bins), form)
        super().__init__(config, convlstm.output_shape[0], task)
        self.convlstm = Recurrent([convlstm], result="outputs")
        wiring = ncp(config.dense_units, auto_ncp(config.neurons, len(task.classes)))
        liquid: nn.Module = (
            WiredCfc(wiring, CfcConfig(backbone_layers=0, head=self.cell_head, gate_sign=-1))
            if cell == "cfc"
            else Ltc(wiring, LtcConfig(positivity="clip"))
        )
        dtype = "int8" if cell == "cfc" else "int16"
        self.cell = Recurrent([liquid], result="outputs", dtype=dtype, dt=self.dt)

    def forward(self, window: Tensor) -> Tensor:
        """Return scores (B, T, classes) of windows (B, T, 33, 12, bins), each alone."""
        s = afresh(self.convlstm, self.entering(window))
        return afresh(self.cell, self.embed(s))


class ConvLiquidStreamNet(ConvLiquidNet, AbstractRecallNet):
    """The same findings with every STFT column, the states of both cells carried on.

    s' = ConvLSTM2D(last 3 columns, s),  e = act(E s' + d),  v' = cell(e, v, dt = 0.256 s)
    scores = W e + U v' + w, v' the motor neurons

    What the published network lays out side by side and judges at once comes here one after the
    other: the time axis is the columns. The heads of a CfC are lecun_tanh here: carried on over
    hundreds of steps, the state of linear ones grew without bound, and so did that of a ConvLSTM2D
    of relu. A bounded state as scores would bound them too, hence U; W e alone is what the
    auxiliary loss of training sees, without which the narrow cell learned late or never.

    Args:
        config: Sizes; hop is not read.
        task: Of whole records in the frame of TASK; classes are free.
        cell: Which liquid cell.
    """

    columns: ClassVar[int] = KERNEL_COLUMNS
    cell_head: ClassVar[Head] = "lecun_tanh"
    dt: ClassVar[float] = COLUMN_S

    def __init__(self, config: ConvLiquidConfig, task: Task = TASK, *, cell: CellKind) -> None:
        super().__init__(config, task, cell=cell)
        self.own_size = config.dense_units
        self.head = nn.Linear(config.dense_units + len(task.classes), len(task.classes))

    @property
    def hop(self) -> int:
        """One: a decision with every column."""
        return 1

    def forward(self, window: Tensor) -> Tensor:
        """Return scores (B, T, classes) of windows (B, T, 3, 12, bins), one behind the other."""
        return self.head(self.features(window))  # type: ignore[no-any-return]

    def features(self, window: Tensor) -> Tensor:
        """Return [e; v']."""
        e = self.embed(self.convlstm(self.entering(window)).flatten(2))
        return torch.cat((self.dropout(e), self.cell(e)), -1)
