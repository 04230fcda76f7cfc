"""Streaming beat classifier: convolutional encoder of one beat, CfC cell over beats, dt = RR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Concat, Requantize
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.scales import Ranges, range_of, rectified, symmetric, symmetric_of
from lnn_edge.graph.stage import Stage
from lnn_edge.nn.cell import Tap, linear_op, no_tap
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.conv_encoder import ConvEncoder, ConvSizes
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.tasks.beats import front_end as beat_front_end
from lnn_edge.tasks.beats.front_end import FrontEnd, front_end

CLASSES = ("N", "S", "V", "F")
Variant = Literal["cfc", "state_reset", "encoder_only", "lstm"]


@dataclass(frozen=True)
class BeatNetConfig:
    """Sizes of the network.

    Attributes:
        filters: Output channels of each convolution.
        kernel_sizes: Taps of each convolution.
        strides: Steps of each convolution.
        embedding_size: Length of the vector that stands for one beat's shape.
        mixed_size: Width of the layer that judges one beat by itself.
        hidden_size: State of the cell.
        backbone_units: Width of the cell's backbone.
        dropout: Probability, on every vector that enters a linear layer outside the cell.
        wait: Longest wait for the next R peak in samples; 0 decides 0.45 s after the own one.
        variant: The network, or an ablation of it: state reset at every beat, no cell at all, or
            an LSTM of equal state in the cell's place. Only the first can be lowered.
    """

    filters: tuple[int, ...] = (8, 12, 16)
    kernel_sizes: tuple[int, ...] = (7, 5, 5)
    strides: tuple[int, ...] = (2, 2, 2)
    embedding_size: int = 24
    mixed_size: int = 32
    hidden_size: int = 12
    backbone_units: int = 24
    dropout: float = 0.3
    wait: int = beat_front_end.LONGEST_WAIT
    variant: Variant = "cfc"

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be made.

        Raises:
            UsageError: A size is below 1, the convolutions' lists differ in length, or a wait or
                probability is out of its range.
        """
        _ = self.encoder_sizes  # they have a check of their own
        if min(self.mixed_size, self.hidden_size, self.backbone_units) < 1:
            raise UsageError("[model] every size must be at least 1")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"[model] dropout is {self.dropout}, needed is 0 to below 1")
        if not 0 <= self.wait <= beat_front_end.LONGEST_WAIT:
            raise UsageError(
                f"[model] wait is {self.wait}, needed is 0 to {beat_front_end.LONGEST_WAIT}"
            )

    @property
    def encoder_sizes(self) -> ConvSizes:
        """Sizes of the encoder."""
        return ConvSizes(self.filters, self.kernel_sizes, self.strides, self.embedding_size)


class BeatNet(AbstractStreamNet):
    """Classifier of one beat after the other.

    e = ReLU(E conv(window)),  m = ReLU(M [e; rhythm; shape]),  h' = CfC(rhythm, h, dt)
    scores = W m + U h' + w

    The cell follows the rhythm and nothing else: fed with shapes it learns the patients by heart.
    U starts at zero, so the cell corrects what the beat alone says.

    Inputs are the front end's integers in real units: window (B, T, frames, leads), rhythm
    (B, T, F), shape (B, T, S); dt (B, T, 1) is the RR interval before the beat in seconds.

    Args:
        config: Sizes.
    """

    classes = CLASSES
    facts: ClassVar[Mapping[str, object]] = {
        "task": "beats",
        "sample_rate_hz": beat_front_end.SAMPLE_RATE_HZ,
        "leads": ["MLII", "any"],
        "adc_gain": beat_front_end.ADC_GAIN,
        "adc_zero": beat_front_end.ADC_ZERO,
    }

    def __init__(self, config: BeatNetConfig) -> None:
        super().__init__()
        self.config = config
        self.front_end: FrontEnd = front_end(config.wait)
        frames, channels = self.front_end.window.shape
        self.encoder = ConvEncoder(frames, channels, config.encoder_sizes, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        front = self.front_end
        features = config.embedding_size + front.rhythm.size + front.shape.size
        self.mixed = nn.Linear(features, config.mixed_size)
        self.cell = _cell(config, front.rhythm.size)
        self.head = nn.Linear(config.mixed_size + config.hidden_size, len(CLASSES))
        nn.init.zeros_(self.head.weight[:, config.mixed_size :])

    @property
    def front(self) -> Pipeline:
        """Samples, and the front end of a beat."""
        return self.front_end.pipeline

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """The front end's outputs, and dt."""
        return (*self.front_end.stage.outputs, self.front_end.dt)

    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge sequences; the scores of the beat alone have h' = 0."""
        window, dt = inputs["window"], inputs["dt"]
        batch, steps = window.shape[:2]
        e = self.encoder(window.flatten(0, 1), tap).reshape(batch, steps, -1)
        x = torch.cat((self.dropout(e), inputs["rhythm"], inputs["shape"]), -1)
        m = tap("mixed", functional.relu(self.mixed(x)))
        h = self.dropout(self._recur(inputs["rhythm"], dt, tap))
        alone: Tensor = functional.linear(
            self.dropout(m), self.head.weight[:, : m.shape[-1]], self.head.bias
        )
        scores = alone + functional.linear(h, self.head.weight[:, m.shape[-1] :])
        return tap("scores", scores), alone

    def _recur(self, x: Tensor, dt: Tensor, tap: Tap) -> Tensor:
        """Return the cell's states (B, T, H)."""
        batch, steps = x.shape[:2]
        cell = self.cell
        if isinstance(cell, nn.LSTM):
            output: Tensor = cell(x)[0]
            return output
        if cell is None:
            return x.new_zeros(batch, steps, self.config.hidden_size)
        assert isinstance(cell, Cfc)
        if self.config.variant == "state_reset":
            h = cell.initial_state(batch * steps)
            return cell.step(x.flatten(0, 1), h, dt.flatten(0, 1), tap).reshape(batch, steps, -1)
        states: Tensor = cell(x, dt, cell.initial_state(batch), tap)[0]
        return states

    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph."""
        front = self.front_end
        ops, embedding = self.encoder.lower(front.window, ranges)
        assert isinstance(self.cell, Cfc)
        cell = self.cell.lower((front.rhythm,), front.dt, ranges)
        join = Concat.join("features", (embedding, front.rhythm, front.shape), "x")
        high = range_of(ranges, "mixed")[1]
        mixed = linear_op(
            "mix_features",
            (self.mixed.weight, self.mixed.bias),
            join.outputs[0],
            rectified("mixed", (self.config.mixed_size,), high),
        )
        narrow = Requantize.quantize(
            "narrow_output", cell.output, symmetric("h_out", cell.output.shape, "int8", 1.0)
        )
        both = Concat.join("head_input", (mixed.outputs[0], narrow.outputs[0]), "head_in")
        scores = symmetric_of("scores", (len(CLASSES),), "int16", ranges)
        head = linear_op("head", (self.head.weight, self.head.bias), both.outputs[0], scores)
        stage = Stage(
            front.stage.name,
            front.stage.trigger,
            (*front.stage.ops, *ops, *cell.ops, join, mixed, narrow, both, head),
            (*front.stage.states, *cell.states),
            (scores,),
            front.stage.outputs,
        )
        before = front.pipeline.preparing_stages
        return QGraph((*before, stage), front.pipeline.rings, name, dict(metadata))


def _cell(config: BeatNetConfig, features: int) -> nn.Module | None:
    if config.variant == "lstm":
        return nn.LSTM(features, config.hidden_size, batch_first=True)
    if config.variant == "encoder_only":
        return None
    return Cfc(features, config.hidden_size, config.backbone_units)
