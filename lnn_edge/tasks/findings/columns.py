"""What networks share that judge a 12-lead ECG by the columns of its STFT."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.scales import Ranges, range_of, rectified, symmetric
from lnn_edge.graph.stage import EveryTrigger, Stage, State
from lnn_edge.nn.cell import TABLE_STEP_BITS, TANH_BOUND, Tap, linear_op
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.findings import front_end
from lnn_edge.tasks.findings.front_end import BINS, COLUMNS, LEADS, SAMPLE_RATE_HZ

CLASSES = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
COLUMNS_OF_DECISION = 33
KERNEL_COLUMNS, STRIDE = 3, 2
LOUD_MV = 0.2  # full scale of the bins at 20 Hz
Activation = Literal["tanh", "relu"]


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Sizes that all of them have; the defaults are those of Huang et al. 2024.

    Attributes:
        filters: Of the convolution over columns.
        dense_units: Of the layer behind it.
        activation: Of both.
        dropout: Probability, on what enters either.
        hop: Columns from one decision to the next.
        bins: Of the STFT, from 0 Hz on: of 129 those above 40 Hz are nearly empty.
    """

    filters: int = 16
    dense_units: int = 75
    activation: Activation = "relu"
    dropout: float = 0.5
    hop: int = 8
    bins: int = BINS

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be made.

        Raises:
            UsageError: A size is below 1, or a probability out of its range.
        """
        if min(self.filters, self.dense_units, self.hop) < 1:
            raise UsageError("[model] every size must be at least 1")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"[model] dropout is {self.dropout}, needed is 0 to below 1")
        if not 1 <= self.bins <= BINS:
            raise UsageError(f"[model] bins is {self.bins}, needed is 1 to {BINS}")
        if self.hop % STRIDE:
            raise UsageError(f"[model] hop is {self.hop}, needed is a multiple of {STRIDE} columns")


class AbstractColumnsNet(AbstractStreamNet):
    """Six findings of the last STFT columns (B, T, columns, 12 leads, 129 bins), magnitudes in mV.

    `gain` multiplies the bins; it is fixed and no parameter: kernels that see magnitudes of one
    size learn alike. Bins above 20 Hz stay as quiet against the others as they are: brought to
    the same size, they were learned by heart. In integers the gain is part of the kernel.

    Args:
        config: Sizes.
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

    def __init__(self, config: ColumnsConfig, places: int) -> None:
        super().__init__()
        self.config = config
        self.dense = nn.Linear(places * config.filters, config.dense_units)
        self.dropout = nn.Dropout(config.dropout)
        gain = 1 / torch.from_numpy(front_end.full_scale(config.bins).clip(min=LOUD_MV))
        self.register_buffer("gain", gain.to(torch.get_default_dtype()), persistent=False)

    @property
    def image(self) -> tuple[int, int, int]:
        """Columns, leads and bins that the convolution sees in a step."""
        return (self.columns, len(LEADS), self.config.bins)

    @property
    def window(self) -> QTensor:
        """The columns of a decision."""
        window = front_end.column_tensor("window", (self.columns,), self.config.bins)
        return replace(window, role="input")

    @property
    def hop(self) -> int:
        """Columns from one decision to the next."""
        return self.config.hop

    @property
    def front(self) -> Pipeline:
        """Band-pass, STFT, and the trigger: a decision from the first whole window on."""
        trigger = EveryTrigger(COLUMNS, self.window, self.hop, self.columns)
        deciding = Stage("decide", trigger)
        return front_end.stft_columns(deciding, self.columns, self.config.bins)

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The window."""
        return (self.window,)

    @property
    @abc.abstractmethod
    def reads_int16(self) -> bool:
        """Whether what follows the dense layer reads int16."""

    def entering(self, x: Tensor) -> Tensor:
        """Return what the convolution sees of magnitudes."""
        entering: Tensor = self.dropout(x * self.gain)
        return entering

    def embed(self, s: Tensor, tap: Tap) -> Tensor:
        """Return embeddings (..., E) of outputs (..., R, C, F) of the convolution."""
        flat = self.dropout(tap("columns_out", s).flatten(-3))
        return tap("embedding", self.act(self.dense(flat)))

    def act(self, x: Tensor) -> Tensor:
        """Return the activation of x."""
        act = functional.relu if self.config.activation == "relu" else torch.tanh
        y: Tensor = act(x)
        return y

    def graph(
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

    def lower_between(self, h: QTensor, ranges: Ranges) -> tuple[tuple[AbstractOp, ...], QTensor]:
        """Return the operators from the convolution to what follows, and the embedding."""
        if self.config.activation == "tanh":
            y = symmetric("columns_out", h.shape, "int8", 1.0)
        else:
            y = rectified("columns_out", h.shape, range_of(ranges, "columns_out")[1])
        narrow = Requantize.quantize("narrow_columns", h, y)
        dense, e = self._lower_dense(y, ranges)
        return (narrow, *dense), e

    def _lower_dense(self, x: QTensor, ranges: Ranges) -> tuple[tuple[AbstractOp, ...], QTensor]:
        shape, row = (self.config.dense_units,), (self.dense.weight, self.dense.bias)
        dtype = "int16" if self.reads_int16 else "int8"
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

    def folded(self, kernel: Tensor) -> np.ndarray:
        """Return a kernel (rows, columns, bins, F) that reads magnitudes in mV."""
        folded: np.ndarray = (kernel * self.gain[:, None]).detach().cpu().double().numpy()
        return folded
