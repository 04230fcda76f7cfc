"""Streaming beat classifier: convolutional encoder of one beat, CfC cell over beats, dt = RR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.conv_encoder import ConvEncoder, ConvSizes
from lnn_edge.nn.model import AbstractRecallNet
from lnn_edge.nn.recurrent import Recurrent, afresh
from lnn_edge.tasks.beats import front_end as beat_front_end

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
        wait: Longest wait for the next R peak in samples; 0: decide 0.45 s after the beat itself.
        variant: The network, or an ablation of it: state reset at every beat, no cell at all, or
            an LSTM of equal state in the cell's place.
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


class BeatNet(AbstractRecallNet):
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
        self.config, self.own_size = config, config.mixed_size
        self._front = beat_front_end.front_end(config.wait)
        window, rhythm, shape = self._front.deciding_stage.outputs
        frames, channels = window.shape
        self.encoder = ConvEncoder(frames, channels, config.encoder_sizes, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        features = config.embedding_size + rhythm.size + shape.size
        self.mixed = nn.Linear(features, config.mixed_size)
        self.cell = _cell(config, rhythm.size)
        recalled = 0 if self.cell is None else config.hidden_size
        self.head = nn.Linear(config.mixed_size + recalled, len(CLASSES))
        nn.init.zeros_(self.head.weight[:, config.mixed_size :])

    @property
    def front(self) -> Pipeline:
        """Samples, and the front end of a beat."""
        return self._front

    def forward(self, window: Tensor, rhythm: Tensor, shape: Tensor, dt: Tensor) -> Tensor:
        """Return scores (B, T, 4)."""
        return self.head(self.features(window, rhythm, shape, dt))  # type: ignore[no-any-return]

    def features(self, window: Tensor, rhythm: Tensor, shape: Tensor, dt: Tensor) -> Tensor:
        """Return [m; h'], or m where there is no cell."""
        e = self.dropout(self.encoder(window))
        h = None if self.cell is None else self.dropout(self._recall(self.cell, rhythm, dt))
        m = functional.relu(self.mixed(torch.cat((e, rhythm, shape), -1)))
        return self.dropout(m) if h is None else torch.cat((self.dropout(m), h), -1)

    def _recall(self, cell: nn.Module, rhythm: Tensor, dt: Tensor) -> Tensor:
        """Return the cell's states (B, T, H)."""
        if self.config.variant == "state_reset":
            return afresh(cell, rhythm, dt)
        is_lstm = self.config.variant == "lstm"
        return cell(rhythm)[0] if is_lstm else cell(rhythm, timespans=dt)  # type: ignore[no-any-return]


def _cell(config: BeatNetConfig, features: int) -> nn.Module | None:
    if config.variant == "lstm":
        return nn.LSTM(features, config.hidden_size, batch_first=True)
    if config.variant == "encoder_only":
        return None
    cell = Cfc(features, config.hidden_size, config.backbone_units)
    return Recurrent([cell], result="outputs")
