"""CCfC and CLTC (Huang et al. 2024): ConvLSTM2D on STFT columns of 12 leads, then a liquid cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.cells.cfc import (
    TABLE_STEP_BITS,
    TANH_BOUND,
    CfcConfig,
    LoweredCell,
    Tap,
    linear_op,
    no_tap,
)
from lnn_edge.cells.convlstm2d import (
    GATES,
    Activation,
    ConvLstm2d,
    ConvLstm2dConfig,
    RecurrentActivation,
)
from lnn_edge.cells.ltc import Ltc, LtcConfig
from lnn_edge.cells.rest import from_rest
from lnn_edge.cells.wired_cfc import WiredCfc
from lnn_edge.cells.wirings import auto_ncp, ncp
from lnn_edge.errors import UsageError
from lnn_edge.formats import Ranges, range_of, rectified, symmetric
from lnn_edge.graph import QGraph
from lnn_edge.ir import AbstractOp, QTensor
from lnn_edge.networks import stft_front_end as front_end
from lnn_edge.networks.stft_front_end import BINS, COLUMNS, LEADS, SAMPLE_RATE_HZ
from lnn_edge.networks.stream_net import AbstractStreamNet
from lnn_edge.ops.elementwise import Requantize
from lnn_edge.ops.lut import Lut
from lnn_edge.passes.columns import stream_columns
from lnn_edge.passes.constants import fold_constants
from lnn_edge.passes.taps import crop_kernels
from lnn_edge.pipeline import Pipeline
from lnn_edge.stage import EveryTrigger, Stage, State

CLASSES = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
COLUMNS_OF_DECISION = 33
KERNEL_COLUMNS, STRIDE = 3, 2
DT = 1.0  # elapsed time of the cell, as published: one call, no clock
COLUMN_S = front_end.HOP / SAMPLE_RATE_HZ
CellKind = Literal["cfc", "ltc"]


@dataclass(frozen=True)
class ConvLiquidConfig:
    """Sizes and forms of the network; the defaults are those published.

    Attributes:
        filters: Of the ConvLSTM2D.
        dense_units: Of the layer between.
        neurons: Of the wiring AutoNCP(neurons, 6).
        activation: Of ConvLSTM2D and dense layer.
        recurrent_activation: Of the ConvLSTM2D's gates: "steep_hard_sigmoid" is that of Keras 2,
            "sigmoid" that of Keras 3.
        dropout: Probability, before the dense layer and on the ConvLSTM2D's input.
        hop: Columns from one decision to the next.
    """

    filters: int = 16
    dense_units: int = 75
    neurons: int = 20
    activation: Activation = "relu"
    recurrent_activation: RecurrentActivation = "sigmoid"
    dropout: float = 0.5
    hop: int = 8

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be made.

        Raises:
            UsageError: A size is below 1, or a probability out of its range.
        """
        if min(self.filters, self.dense_units, self.neurons, self.hop) < 1:
            raise UsageError("[model] every size must be at least 1")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"[model] dropout is {self.dropout}, needed is 0 to below 1")
        if self.hop % STRIDE:
            raise UsageError(f"[model] hop is {self.hop}, needed is a multiple of {STRIDE} columns")


class ConvLiquidNet(AbstractStreamNet):
    """Six findings of 33 STFT columns, every decision from a state of zeros.

    s = ConvLSTM2D(x),  e = act(E s + d),  scores = cell(e),  probabilities = sigmoid(scores)

    x (33 columns, 12 leads, 129 bins) are magnitudes in mV; Huang et al. have rows for leads, which
    transposes the kernel and nothing else. The cell is a CfC wired by AutoNCP or an LTC on that
    wiring, ncps' of Keras. There is one step, so the network never sees a sequence.

    `gain` multiplies the bins; it is no parameter and fixed: kernels that see magnitudes of one size
    learn alike. Divided by it, the kernel is the published one.

    Args:
        config: Sizes.
        cell: Which liquid cell.

    Source: Huang et al. 2024, J Cardiovasc Transl Res, 10.1007/s12265-024-10504-y.
    """

    classes = CLASSES
    facts: ClassVar[Mapping[str, object]] = {
        "task": "findings",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "leads": list(LEADS),
        "adc_gain": front_end.ADC_GAIN,
        "adc_zero": 0,
    }
    columns: ClassVar[int] = COLUMNS_OF_DECISION
    gain: Tensor

    def __init__(self, config: ConvLiquidConfig, cell: CellKind) -> None:
        super().__init__()
        self.config = config
        form = ConvLstm2dConfig(
            config.filters,
            (KERNEL_COLUMNS, len(LEADS)),
            (STRIDE, 1),
            "valid",
            config.activation,
            config.recurrent_activation,
        )
        self.convlstm = ConvLstm2d(self.image, form)
        places = self.convlstm.output_shape[0]
        self.dense = nn.Linear(places * config.filters, config.dense_units)
        wiring = ncp(config.dense_units, auto_ncp(config.neurons, len(CLASSES)))
        self.cell: nn.Module = (
            WiredCfc(wiring, CfcConfig(backbone_layers=0, head="linear", gate_sign=-1))
            if cell == "cfc"
            else Ltc(wiring, LtcConfig(positivity="clip"))
        )
        self.dropout = nn.Dropout(config.dropout)
        gain = 1 / torch.from_numpy(front_end.full_scale())
        self.register_buffer("gain", gain.to(torch.get_default_dtype()), persistent=False)

    @property
    def image(self) -> tuple[int, int, int]:
        """Columns, leads and bins that the ConvLSTM2D sees in a step."""
        return (self.columns, len(LEADS), BINS)

    @property
    def window(self) -> QTensor:
        """The columns of a decision."""
        return replace(front_end.column_tensor("window", (self.columns,)), role="input")

    @property
    def front(self) -> Pipeline:
        """Band-pass, STFT, and the trigger: a decision from the first whole window on."""
        trigger = EveryTrigger(COLUMNS, self.window, self.hop, self.columns)
        return front_end.stft_columns(Stage("decide", trigger), self.columns)

    @property
    def hop(self) -> int:
        """Columns from one decision to the next."""
        return self.config.hop

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The window."""
        return (self.window,)

    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge windows (B, T, 33, 12, 129); every decision is alone."""
        window = inputs["window"]
        scores = self.judge(window.flatten(0, 1), tap).reshape(*window.shape[:2], -1)
        return scores, scores

    def judge(self, x: Tensor, tap: Tap = no_tap) -> Tensor:
        """Return scores (N, 6) of windows (N, 33, 12, 129)."""
        state = self.convlstm.initial_state(len(x))
        s, _ = self.convlstm.step(self._entering(x), state, _within("convlstm_", tap))
        e = self._embed(s, tap)
        cell: Any = self.cell
        dt = e.new_full((len(e), 1), DT)
        y, _ = cell.step(e, cell.initial_state(len(e)), dt, tap)
        return tap("scores", y)

    def _entering(self, x: Tensor) -> Tensor:
        """Return what the ConvLSTM2D sees; like Keras, inputs drop out alike for all gates."""
        entering: Tensor = self.dropout(x * self.gain)
        return entering

    def _embed(self, s: Tensor, tap: Tap) -> Tensor:
        """Return embeddings (..., E) of outputs (..., R, C, F) of the ConvLSTM2D."""
        flat = self.dropout(tap("columns_out", s).flatten(-3))
        return tap("embedding", self._act(self.dense(flat)))

    def _act(self, x: Tensor) -> Tensor:
        act = functional.relu if self.config.activation == "relu" else torch.tanh
        y: Tensor = act(x)
        return y

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph: what is dead is gone, columns are worked off as they come."""
        return stream_columns(fold_constants(self.lower_plainly(name, ranges, metadata)))

    def lower_plainly(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph as the network is written: 33 columns at once, zeros as state."""
        ranges = _with_dead_ranges(ranges)
        encoder = from_rest(self._folded_convlstm().lower(self.window, ranges, "convlstm_"))
        between, e = self._lower_between(encoder.output, ranges)
        cell: Any = self.cell
        liquid = from_rest(cell.lower((e,), DT, ranges))
        ops = (*encoder.ops, *between, *liquid.ops)
        return self._graph(ops, (), (liquid.output, e), name, metadata)

    def _graph(
        self,
        ops: tuple[AbstractOp, ...],
        states: tuple[State, ...],
        results: tuple[QTensor, QTensor],
        name: str,
        metadata: Mapping[str, object],
    ) -> QGraph:
        """Return the graph whose deciding stage computes these; results are scores and probe."""
        front, (scores, probe) = self.front, results
        deciding = front.deciding_stage
        stage = Stage(deciding.name, deciding.trigger, ops, states, (scores,), (probe,))
        return QGraph((*front.preparing_stages, stage), front.rings, name, dict(metadata))

    def _folded_convlstm(self) -> ConvLstm2d:
        """Return the ConvLSTM2D that reads magnitudes in mV: the gain is in its kernel."""
        folded = ConvLstm2d(self.convlstm.shape, self.convlstm.config).to(self.gain)
        folded.load_state_dict(self.convlstm.state_dict())
        with torch.no_grad():
            folded.kernel.mul_(self.gain[:, None])
        return folded

    def _lower_between(self, h: QTensor, ranges: Ranges) -> tuple[tuple[AbstractOp, ...], QTensor]:
        """Return the operators from the ConvLSTM2D to the cell, and the embedding."""
        if self.config.activation == "tanh":
            y = symmetric("columns_out", h.shape, "int8", 1.0)
        else:
            y = rectified("columns_out", h.shape, range_of(ranges, "columns_out")[1])
        narrow = Requantize.quantize("narrow_columns", h, y)
        dense, e = self._lower_dense(y, ranges)
        return (narrow, *dense), e

    def _lower_dense(self, x: QTensor, ranges: Ranges) -> tuple[tuple[AbstractOp, ...], QTensor]:
        """Return the operators of the layer between, and the embedding: int16 for an LTC."""
        shape, row = (self.config.dense_units,), (self.dense.weight, self.dense.bias)
        dtype = "int16" if isinstance(self.cell, Ltc) else "int8"
        if self.config.activation == "tanh":
            pre = symmetric("dense_pre", shape, "int16", TANH_BOUND)
            e = symmetric("embedding", shape, dtype, 1.0)
            table = Lut.quantize("dense_act", pre, e, "tanh", TABLE_STEP_BITS)
            return (linear_op("dense", row, x, pre), table), e
        high = range_of(ranges, "embedding")[1]
        e = rectified("embedding", shape, high)
        if dtype == "int16":
            e = QTensor("embedding", shape, dtype, high / 32767, 0, 0)
        return (linear_op("dense", row, x, e),), e


class ConvLiquidStreamNet(ConvLiquidNet):
    """The same findings with every STFT column, the states of both cells carried on.

    s' = ConvLSTM2D(last 3 columns, s),  e = act(E s' + d),  scores, v' = cell(e, v, dt = 0.256 s)

    What the published network lays out side by side and judges at once comes here one after the
    other: the time axis is the columns.

    Args:
        config: Sizes; hop is not read.
        cell: Which liquid cell.
    """

    columns: ClassVar[int] = KERNEL_COLUMNS

    @property
    def hop(self) -> int:
        """One: a decision with every column."""
        return 1

    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge sequences of windows (B, T, 3, 12, 129)."""
        x = self._entering(inputs["window"])
        state = self.convlstm.initial_state(len(x))
        s, _ = self.convlstm(x, state, _within("convlstm_", tap))
        e = self._embed(s, tap)
        cell: Any = self.cell
        dt = e.new_full((*e.shape[:2], 1), COLUMN_S)
        scores, _ = cell(e, dt, cell.initial_state(len(e)), tap)
        return tap("scores", scores), scores

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph; the recurrent kernel shrinks to the one tap that sees a state."""
        encoder = self._folded_convlstm().lower(self.window, ranges, "convlstm_")
        between, e = self._lower_between(encoder.output, ranges)
        cell: Any = self.cell
        liquid: LoweredCell = cell.lower((e,), COLUMN_S, ranges)
        ops = (*encoder.ops, *between, *liquid.ops)
        states = (*encoder.states, *liquid.states)
        return crop_kernels(self._graph(ops, states, (liquid.output, e), name, metadata))


def _within(prefix: str, tap: Tap) -> Tap:
    return lambda name, value: tap(prefix + name, value)


def _with_dead_ranges(ranges: Ranges) -> Ranges:
    """Return ranges with any one for what the state of zeros drives, which no data reach."""
    return {**ranges, **{f"convlstm_h_{gate}": (-1.0, 1.0) for gate in GATES}}
