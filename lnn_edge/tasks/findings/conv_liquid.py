"""CCfC and CLTC (Huang et al. 2024): ConvLSTM2D on STFT columns of 12 leads, then a liquid cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Concat, Requantize
from lnn_edge.graph.passes.columns import stream_columns
from lnn_edge.graph.passes.constants import fold_constants
from lnn_edge.graph.passes.taps import crop_kernels
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.scales import Ranges, symmetric, symmetric_of
from lnn_edge.nn.cell import LoweredCell, Tap, from_rest, linear_op, no_tap
from lnn_edge.nn.cells.cfc import CfcConfig, Head
from lnn_edge.nn.cells.convlstm2d import GATES, ConvLstm2d, ConvLstm2dConfig, RecurrentActivation
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, ncp
from lnn_edge.tasks.findings.columns import (
    CLASSES,
    KERNEL_COLUMNS,
    STRIDE,
    AbstractColumnsNet,
    ColumnsConfig,
)
from lnn_edge.tasks.findings.front_end import HOP, LEADS, SAMPLE_RATE_HZ

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
        cell: Which liquid cell.

    Source: Huang et al. 2024, J Cardiovasc Transl Res, 10.1007/s12265-024-10504-y.
    """

    cell_head: ClassVar[Head] = "linear"  # of the CfC
    config: ConvLiquidConfig

    def __init__(self, config: ConvLiquidConfig, cell: CellKind) -> None:
        form = ConvLstm2dConfig(
            config.filters,
            (KERNEL_COLUMNS, len(LEADS)),
            (STRIDE, 1),
            "valid",
            config.activation,
            config.recurrent_activation,
        )
        convlstm = ConvLstm2d((self.columns, len(LEADS), config.bins), form)
        super().__init__(config, convlstm.output_shape[0])
        self.convlstm = convlstm
        wiring = ncp(config.dense_units, auto_ncp(config.neurons, len(CLASSES)))
        self.cell: nn.Module = (
            WiredCfc(wiring, CfcConfig(backbone_layers=0, head=self.cell_head, gate_sign=-1))
            if cell == "cfc"
            else Ltc(wiring, LtcConfig(positivity="clip"))
        )

    @property
    def reads_int16(self) -> bool:
        """An LTC does."""
        return isinstance(self.cell, Ltc)

    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge windows (B, T, 33, 12, 129); every decision is alone."""
        window = inputs["window"]
        scores = self.judge(window.flatten(0, 1), tap).reshape(*window.shape[:2], -1)
        return scores, scores

    def judge(self, x: Tensor, tap: Tap = no_tap) -> Tensor:
        """Return scores (N, 6) of windows (N, 33, 12, 129)."""
        state = self.convlstm.initial_state(len(x))
        s, _ = self.convlstm.step(self.entering(x), state, _within("convlstm_", tap))
        e = self.embed(s, tap)
        cell: Any = self.cell
        dt = e.new_full((len(e), 1), DT)
        y, _ = cell.step(e, cell.initial_state(len(e)), dt, tap)
        return tap("scores", y)

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph: what is dead is gone, columns are worked off as they come."""
        return stream_columns(fold_constants(self.lower_plainly(name, ranges, metadata)))

    def lower_plainly(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph as the network is written: 33 columns at once, states of 0."""
        ranges = _with_dead_ranges(ranges)
        encoder = from_rest(self._folded_convlstm().lower(self.window, ranges, "convlstm_"))
        between, e = self.lower_between(encoder.output, ranges)
        cell: Any = self.cell
        liquid = from_rest(cell.lower((e,), DT, ranges))
        ops = (*encoder.ops, *between, *liquid.ops)
        return self.graph(ops, (), (liquid.output, e), name, metadata)

    def _folded_convlstm(self) -> ConvLstm2d:
        """Return the ConvLSTM2D that reads magnitudes in mV: the gain is in its kernel."""
        folded = ConvLstm2d(self.convlstm.shape, self.convlstm.config).double()
        folded.load_state_dict(self.convlstm.state_dict())
        with torch.no_grad():
            folded.kernel.copy_(torch.from_numpy(self.folded(self.convlstm.kernel)))
        return folded


class ConvLiquidStreamNet(ConvLiquidNet):
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
        cell: Which liquid cell.
    """

    columns: ClassVar[int] = KERNEL_COLUMNS
    cell_head: ClassVar[Head] = "lecun_tanh"

    def __init__(self, config: ConvLiquidConfig, cell: CellKind) -> None:
        super().__init__(config, cell)
        self.head = nn.Linear(config.dense_units + len(CLASSES), len(CLASSES))

    @property
    def hop(self) -> int:
        """One: a decision with every column."""
        return 1

    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge sequences of windows (B, T, 3, 12, 129); a column alone has v' = 0."""
        x = self.entering(inputs["window"])
        state = self.convlstm.initial_state(len(x))
        s, _ = self.convlstm(x, state, _within("convlstm_", tap))
        e = self.embed(s, tap)
        cell: Any = self.cell
        dt = e.new_full((*e.shape[:2], 1), COLUMN_S)
        v, _ = cell(e, dt, cell.initial_state(len(e)), tap)
        alone, recalled = torch.split(self.head.weight, [e.shape[-1], len(CLASSES)], 1)
        by_column = functional.linear(self.dropout(e), alone, self.head.bias)
        return tap("scores", by_column + functional.linear(v, recalled)), by_column

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph; recurrent kernels shrink to the one tap that sees a state."""
        encoder = self._folded_convlstm().lower(self.window, ranges, "convlstm_")
        between, e = self.lower_between(encoder.output, ranges)
        cell: Any = self.cell
        liquid: LoweredCell = cell.lower((e,), COLUMN_S, ranges)
        head, scores = self._lower_head(e, liquid.output, ranges)
        ops = (*encoder.ops, *between, *liquid.ops, *head)
        states = (*encoder.states, *liquid.states)
        return crop_kernels(self.graph(ops, states, (scores, e), name, metadata))

    def _lower_head(
        self, e: QTensor, v: QTensor, ranges: Ranges
    ) -> tuple[tuple[AbstractOp, ...], QTensor]:
        ops: list[AbstractOp] = []
        if v.dtype != e.dtype:
            narrow = symmetric("cell_out", v.shape, e.dtype, v.qmax * v.scales[0])
            ops.append(Requantize.quantize("narrow_output", v, narrow))
            v = narrow
        both = Concat.join("head_input", (e, v), "head_in")
        scores = symmetric_of("scores", (len(CLASSES),), "int16", ranges)
        row = (self.head.weight, self.head.bias)
        return (*ops, both, linear_op("head", row, both.outputs[0], scores)), scores


def _within(prefix: str, tap: Tap) -> Tap:
    return lambda name, value: tap(prefix + name, value)


def _with_dead_ranges(ranges: Ranges) -> Ranges:
    """Return ranges with any one for what the state of zeros drives, which no data reach."""
    return {**ranges, **{f"convlstm_h_{gate}": (-1.0, 1.0) for gate in GATES}}
