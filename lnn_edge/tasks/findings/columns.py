"""What networks share that judge a 12-lead ECG by the columns of its STFT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.stage import EveryTrigger, Stage
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.findings import front_end
from lnn_edge.tasks.findings.front_end import BINS, COLUMNS, LEADS
from lnn_edge.tasks.findings.task import TASK
from lnn_edge.tasks.registry import facts_of
from lnn_edge.tasks.task import Task

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
            raise UsageError(f"[model] dropout must be 0 to below 1, not {self.dropout}")
        if not 1 <= self.bins <= BINS:
            raise UsageError(f"[model] bins must be 1 to {BINS}, not {self.bins}")
        if self.hop % STRIDE:
            raise UsageError(f"[model] hop must be a multiple of {STRIDE} columns, not {self.hop}")


class AbstractColumnsNet(AbstractStreamNet):
    """Six findings of the last STFT columns (B, T, columns, 12 leads, 129 bins), magnitudes in mV.

    `gain` multiplies the bins; it is fixed and no parameter: kernels that see magnitudes of one
    size learn alike. Bins above 20 Hz stay as quiet against the others as they are: brought to
    the same size, they were learned by heart. In integers the gain is part of the kernel.

    Args:
        config: Sizes.
    """

    columns: ClassVar[int] = COLUMNS_OF_DECISION
    gain: Tensor

    def __init__(self, config: ColumnsConfig, places: int, task: Task = TASK) -> None:
        super().__init__()
        _check(task)
        self.classes, self.facts = task.classes, facts_of(task)
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

    def entering(self, window: Tensor) -> Tensor:
        """Return what the convolution sees of magnitudes."""
        return self.dropout(window * self.gain)  # type: ignore[no-any-return]

    def embed(self, s: Tensor) -> Tensor:
        """Return embeddings (..., E) of what the convolution gives, (..., places filters)."""
        return self.act(self.dense(self.dropout(s)))

    def act(self, x: Tensor) -> Tensor:
        """Return the activation of x."""
        return functional.relu(x) if self.config.activation == "relu" else torch.tanh(x)


def _check(task: Task) -> None:
    if task.decide != "record" or task.frame != TASK.frame:
        raise UsageError(
            f"task {task.name} decides on {task.decide} at {task.frame.rate_hz:g} Hz of "
            f"{', '.join(task.leads)}; networks of findings need whole records at "
            f"{TASK.frame.rate_hz:g} Hz of {', '.join(LEADS)} in mV, 1000 steps each"
        )
