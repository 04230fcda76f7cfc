"""What networks of human activity share: the last frames in, a cell over decisions, scores out."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.data.activity_run import CHANNELS, CLASSES, RATE_HZ, SCALES, UNITS
from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.elementwise import Concat, Requantize
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.scales import Ranges, symmetric, symmetric_of
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage, State
from lnn_edge.nn.cell import Tap, linear_op, no_tap
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.model import AbstractStreamNet

RING = "motion"
Variant = Literal["cfc", "state_reset", "encoder_only"]


@dataclass(frozen=True)
class LoweredEncoder:
    """An encoder in integers: its operators, states, and the int8 embedding."""

    ops: tuple[AbstractOp, ...]
    states: tuple[State, ...]
    embedding: QTensor


@dataclass(frozen=True, kw_only=True)
class ActivityConfig:
    """Sizes that all of them have.

    Attributes:
        window: Frames that a decision sees by itself.
        hop: Frames from one decision to the next.
        embedding_size: Length of the vector that stands for one window.
        hidden_size: State of the cell.
        backbone_units: Width of the cell's backbone.
        dropout: Probability, on every vector that enters a linear layer outside the cell.
        variant: The network, or an ablation of it: the cell's state reset at every decision, or no
            cell at all. Only the first can be lowered.
    """

    window: int = 64
    hop: int = 16
    embedding_size: int = 32
    hidden_size: int = 24
    backbone_units: int = 32
    dropout: float = 0.3
    variant: Variant = "cfc"

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be made.

        Raises:
            UsageError: A size is below 1, or a probability out of its range.
        """
        sizes = (self.window, self.hop, self.embedding_size, self.hidden_size, self.backbone_units)
        if min(sizes) < 1:
            raise UsageError("[model] every size must be at least 1")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"[model] dropout is {self.dropout}, needed is 0 to below 1")


class AbstractActivityNet(AbstractStreamNet):
    """Classifier of what a person does, at every hop.

    e = encoder(window),  h' = CfC(e, h, hop / rate),  scores = W e + U h' + w

    The window is acceleration in g, gravity included (it tells sitting from lying), and angular
    velocity in rad/s, (B, T, frames, 6). States are kept from decision to decision.

    Args:
        config: Sizes.
    """

    classes = CLASSES
    facts: ClassVar[Mapping[str, object]] = {
        "task": "activity",
        "sample_rate_hz": RATE_HZ,
        "leads": list(CHANNELS),
        "units": list(UNITS),
    }

    def __init__(self, config: ActivityConfig) -> None:
        super().__init__()
        self.config = config
        self.cell = Cfc(config.embedding_size, config.hidden_size, config.backbone_units)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.embedding_size + config.hidden_size, len(CLASSES))

    @abc.abstractmethod
    def encode(self, window: Tensor, tap: Tap) -> Tensor:
        """Return embeddings (B, T, E) of windows (B, T, frames, 6)."""

    @abc.abstractmethod
    def lower_encoder(self, window: QTensor, ranges: Ranges) -> LoweredEncoder:
        """Return the encoder in integers."""

    @property
    def window(self) -> QTensor:
        """The last frames, in sensor steps."""
        shape = (self.config.window, len(CHANNELS))
        return QTensor("window", shape, "int16", SCALES, role="input")

    @property
    def front(self) -> Pipeline:
        """The trigger: a decision from the first whole window on."""
        frame = QTensor("motion_frame", (len(CHANNELS),), "int16", SCALES, role="input")
        trigger = EveryTrigger(RING, self.window, self.config.hop, self.config.window)
        stages = (Stage("sample", InputTrigger(frame, RING)), Stage("decide", trigger))
        return Pipeline(stages, (Ring(RING, frame, self.config.window),))

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The window."""
        return (self.window,)

    @property
    def dt(self) -> float:
        """Time from one decision to the next in seconds."""
        return float(self.config.hop / RATE_HZ)

    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge sequences; the scores of a decision alone have h' = 0."""
        e = self.encode(inputs["window"], tap)
        size = self.config.embedding_size
        alone = functional.linear(self.dropout(e), self.head.weight[:, :size], self.head.bias)
        h = self.dropout(self._recur(self.dropout(e), tap))
        scores = alone + functional.linear(h, self.head.weight[:, size:])
        return tap("scores", scores), alone

    def _recur(self, x: Tensor, tap: Tap) -> Tensor:
        """Return the cell's states (B, T, H)."""
        batch, steps = x.shape[:2]
        if self.config.variant == "encoder_only":
            return x.new_zeros(batch, steps, self.config.hidden_size)
        if self.config.variant == "state_reset":
            h, dt = self.cell.initial_state(batch * steps), x.new_full((1, 1), self.dt)
            return self.cell.step(x.flatten(0, 1), h, dt, tap).reshape(batch, steps, -1)
        dt = x.new_full((batch, steps, 1), self.dt)
        states: Tensor = self.cell(x, dt, self.cell.initial_state(batch), tap)[0]
        return states

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph; the cell's constant dt folds into its weights."""
        if self.config.variant != "cfc":
            raise UsageError(f"[model] variant {self.config.variant} cannot be lowered; take cfc")
        front, encoder = self.front, self.lower_encoder(self.window, ranges)
        e = encoder.embedding
        cell = self.cell.lower((e,), self.dt, ranges)
        h8 = symmetric("h_out", cell.output.shape, "int8", 1.0)
        narrow = Requantize.quantize("narrow_output", cell.output, h8)
        both = Concat.join("head_input", (e, h8), "head_in")
        scores = symmetric_of("scores", (len(CLASSES),), "int16", ranges)
        row = (self.head.weight, self.head.bias)
        head = linear_op("head", row, both.outputs[0], scores)
        stage = Stage(
            front.deciding_stage.name,
            front.deciding_trigger,
            (*encoder.ops, *cell.ops, narrow, both, head),
            (*encoder.states, *cell.states),
            (scores,),
            (e,),
        )
        return QGraph((*front.preparing_stages, stage), front.rings, name, dict(metadata))
