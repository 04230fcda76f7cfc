"""Streaming beat classifier: convolutional encoder of one beat, CfC cell over beats, dt = RR."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.errors import UsageError
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.ltc import Ltc
from lnn_edge.nn.cells.wirings import fully_connected
from lnn_edge.nn.conv_encoder import ConvEncoder, ConvSizes
from lnn_edge.nn.model import AbstractRecallNet
from lnn_edge.nn.recurrent import Recurrent, afresh
from lnn_edge.tasks.beats import front_end as beat_front_end
from lnn_edge.tasks.beats.find_beats import with_detector
from lnn_edge.tasks.beats.front_end import TWO_LEADS, BeatSignal
from lnn_edge.tasks.beats.task import TASK
from lnn_edge.tasks.registry import facts_of
from lnn_edge.tasks.task import Task

Variant = Literal["cfc", "ltc", "lstm", "gru", "state_reset", "encoder_only", "linear"]


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
        usual_s, most_change, change_gain, follows_change: See front_end.RhythmPlan.
        context_size: Width of the layer that judges rhythm and distances without the window; 0:
            there is none.
        by_window: Classes whose scores read the window; (): all. The scores of the others are made
            of rhythm and distances: by the window, S beats of patients are learned by heart.
        variant: The network; another cell of equal state in the CfC's place; an ablation of it:
            state reset at every beat, or no cell at all; or "linear": the scores are a matrix
            times window, rhythm and distances, and nothing else is there.
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
    usual_s: float = beat_front_end.BEATS_ALONE.usual_s
    most_change: float = beat_front_end.BEATS_ALONE.most_change
    change_gain: float = beat_front_end.BEATS_ALONE.change_gain
    follows_change: bool = beat_front_end.BEATS_ALONE.follows_change
    context_size: int = 0
    by_window: tuple[str, ...] = ()
    variant: Variant = "cfc"

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be made.

        Raises:
            UsageError: A size is below 1, the convolutions' lists differ in length, or a wait or
                probability is out of its range.
        """
        _ = self.encoder_sizes, self.rhythm_plan  # they have checks of their own
        if min(self.mixed_size, self.hidden_size, self.backbone_units) < 1:
            raise UsageError("[model] every size must be at least 1")
        if self.context_size < 0:
            raise UsageError(f"[model] context_size must be at least 0, not {self.context_size}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"[model] dropout must be 0 to below 1, not {self.dropout}")
        if not 0 <= self.wait <= beat_front_end.LONGEST_WAIT:
            raise UsageError(
                f"[model] wait must be 0 to {beat_front_end.LONGEST_WAIT}, not {self.wait}"
            )

    @property
    def rhythm_plan(self) -> beat_front_end.RhythmPlan:
        """Of the front end."""
        own = {f.name: getattr(self, f.name) for f in fields(beat_front_end.RhythmPlan)}
        return beat_front_end.RhythmPlan(**own)

    @property
    def is_linear(self) -> bool:
        """Whether the scores are a matrix times the front end's outputs."""
        return self.variant == "linear"

    @property
    def encoder_sizes(self) -> ConvSizes:
        """Sizes of the encoder."""
        return ConvSizes(self.filters, self.kernel_sizes, self.strides, self.embedding_size)


class BeatNet(AbstractRecallNet):
    """Classifier of one beat after the other.

    e = ReLU(E conv(window)),  m = ReLU(M [e; rhythm; shape]),  h' = CfC(rhythm, h, dt)
    scores = W m + U h' + w
    with context_size  scores = W m + V r + U h' + w,  r = ReLU(R [rhythm; shape])

    The cell follows the rhythm and nothing else: fed with shapes it learns the patients by heart.
    U starts at zero, so the cell corrects what the beat alone says.

    Inputs are the front end's integers in real units: window (B, T, frames, leads), rhythm
    (B, T, F), shape (B, T, S); dt (B, T, 1) is the RR interval before the beat in seconds.

    Args:
        config: Sizes.
        task: Of events or of a record; classes are free. For a record the network finds the beats
            itself, and the mean over beats is its answer.
        signal: What is read: the frame of the task.

    Raises:
        UsageError: The task decides on something else, or has another frame.
    """

    def __init__(
        self, config: BeatNetConfig, task: Task = TASK, signal: BeatSignal = TWO_LEADS
    ) -> None:
        super().__init__()
        _check_task(task, signal)
        if config.wait > signal.longest_wait:
            raise UsageError(
                f"[model] wait must be 0 to {signal.longest_wait} at {signal.rate_hz} Hz, not "
                f"{config.wait}"
            )
        self.classes, self.facts = task.classes, facts_of(task)
        self.config = config
        front = beat_front_end.front_end(config.wait, config.rhythm_plan, signal)
        is_told = task.decide == "events"
        self._front = front if is_told else with_detector(front, signal.rate_hz)
        window, rhythm, shape = self._front.deciding_stage.outputs
        told, width, is_linear = rhythm.size + shape.size, config.context_size, config.is_linear
        self.dropout = nn.Dropout(config.dropout)
        if not is_linear:
            frames, channels = window.shape
            self.encoder = ConvEncoder(frames, channels, config.encoder_sizes, config.dropout)
            self.mixed = nn.Linear(config.embedding_size + told, config.mixed_size)
        self.context = nn.Linear(told, width) if width and not is_linear else None
        self.cell = _cell(config, rhythm.size)
        seen = window.size if is_linear else config.mixed_size
        self.own_size = seen + (told if is_linear else width)
        recalled = 0 if self.cell is None else config.hidden_size
        self.head = nn.Linear(self.own_size + recalled, len(task.classes))
        nn.init.zeros_(self.head.weight[:, self.own_size :])
        if config.by_window:
            _keep_from_window(self.head, seen, config.by_window, task.classes)

    @property
    def front(self) -> Pipeline:
        """Samples, and the front end of a beat."""
        return self._front

    def forward(self, window: Tensor, rhythm: Tensor, shape: Tensor, dt: Tensor) -> Tensor:
        """Return scores (B, T, classes)."""
        return self.head(self.features(window, rhythm, shape, dt))  # type: ignore[no-any-return]

    def features(self, window: Tensor, rhythm: Tensor, shape: Tensor, dt: Tensor) -> Tensor:
        """Return [m; r; h'], without those that the network has not; of "linear" its inputs."""
        if self.config.is_linear:
            return self.dropout(torch.cat((window.flatten(2), rhythm, shape), -1))  # type: ignore[no-any-return]
        e = self.dropout(self.encoder(window))
        h = None if self.cell is None else self.dropout(self._recall(self.cell, rhythm, dt))
        m = functional.relu(self.mixed(torch.cat((e, rhythm, shape), -1)))
        parts = [self.dropout(m)]
        if self.context is not None:
            r = functional.relu(self.context(torch.cat((rhythm, shape), -1)))
            parts.append(self.dropout(r))
        if h is not None:
            parts.append(h)
        return torch.cat(parts, -1) if len(parts) > 1 else parts[0]

    def _recall(self, cell: nn.Module, rhythm: Tensor, dt: Tensor) -> Tensor:
        """Return the cell's states (B, T, H)."""
        if self.config.variant == "state_reset":
            return afresh(cell, rhythm, dt)
        is_timed = self.config.variant not in ("lstm", "gru")
        return cell(rhythm, timespans=dt) if is_timed else cell(rhythm)[0]  # type: ignore[no-any-return]


def _cell(config: BeatNetConfig, features: int) -> nn.Module | None:
    size = config.hidden_size
    if config.variant in ("encoder_only", "linear"):
        return None
    if config.variant in ("lstm", "gru"):
        made: nn.Module = (nn.LSTM if config.variant == "lstm" else nn.GRU)(
            features, size, batch_first=True
        )
        return made
    is_ltc = config.variant == "ltc"
    cell: nn.Module = (
        Ltc(fully_connected(features, size))
        if is_ltc
        else Cfc(features, size, config.backbone_units)
    )
    return Recurrent([cell], result="outputs", dtype="int16" if is_ltc else "int8")


def _keep_from_window(
    head: nn.Linear, seen: int, by_window: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    """Hold the first weights, of what has seen the window, at 0 in the scores of other classes."""
    strange = [name for name in by_window if name not in classes]
    if strange:
        raise UsageError(
            f"[model] by_window names {', '.join(strange)}; the classes are {', '.join(classes)}"
        )
    told = torch.ones_like(head.weight)
    told[[c not in by_window for c in classes], :seen] = 0
    with torch.no_grad():
        head.weight *= told
    head.weight.register_hook(lambda gradient: gradient * told)  # type: ignore[no-untyped-call]


def _check_task(task: Task, signal: BeatSignal) -> None:
    wanted = ("mV", signal.adc_gain, signal.adc_zero)
    found = [(c.unit, c.steps_per_unit, c.zero) for c in task.frame.channels]
    is_alike = task.frame.rate_hz == signal.rate_hz and found == [wanted] * signal.leads
    if task.decide == "frames" or not is_alike:
        raise UsageError(
            f"task {task.name} decides on {task.decide} at {task.frame.rate_hz:g} Hz of "
            f"{len(task.leads)} channels; networks of beats need events or records at "
            f"{signal.rate_hz:g} Hz of {signal.leads} in mV, {signal.adc_gain:g} steps each with "
            f"zero at {signal.adc_zero}"
        )
