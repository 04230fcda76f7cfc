"""What networks of human activity share: the last frames in, a cell over decisions, scores out."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.model import AbstractRecallNet
from lnn_edge.nn.recurrent import Recurrent, afresh
from lnn_edge.tasks.activity.task import TASK
from lnn_edge.tasks.registry import facts_of
from lnn_edge.tasks.task import Task

RING = "motion"
Variant = Literal["cfc", "state_reset", "encoder_only"]


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
            cell at all.
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
            raise UsageError(f"[model] dropout must be 0 to below 1, not {self.dropout}")


class AbstractActivityNet(AbstractRecallNet):
    """Classifier of what a person does, at every hop.

    e = encoder(window),  h' = CfC(e, h, hop / rate),  scores = W e + U h' + w

    The window holds the last frames in the units of the task, (B, T, frames, channels); in its own
    task acceleration in g, gravity included (it tells sitting from lying), and angular velocity in
    rad/s. States are kept from decision to decision.

    Args:
        config: Sizes.
        task: Gives channels, rate, scales and classes; any that decides on frames or a record.

    Raises:
        UsageError: The task decides on events, or the zero of a channel is not at 0.
    """

    def __init__(self, config: ActivityConfig, task: Task = TASK) -> None:
        super().__init__()
        check_task(task)
        self.task, self.classes, self.facts = task, task.classes, facts_of(task)
        self.config, self.own_size = config, config.embedding_size
        self.cell = make_cell(config, task)
        self.dropout = nn.Dropout(config.dropout)
        recalled = 0 if config.variant == "encoder_only" else config.hidden_size
        self.head = nn.Linear(config.embedding_size + recalled, len(task.classes))

    @property
    def front(self) -> Pipeline:
        """The trigger: a decision from the first whole window on."""
        length, channels = self.config.window, self.task.frame.channels
        scales = tuple(1 / c.steps_per_unit for c in channels)
        frame = QTensor("motion_frame", (len(channels),), "int16", scales, role="input")
        window = replace(frame, name="window", shape=(length, len(channels)))
        trigger = EveryTrigger(RING, window, self.config.hop, length)
        stages = (Stage("sample", InputTrigger(frame, RING)), Stage("decide", trigger))
        return Pipeline(stages, (Ring(RING, frame, length),))

    @abc.abstractmethod
    def encode(self, window: Tensor) -> Tensor:
        """Return embeddings (B, T, E) of windows (B, T, frames, channels)."""

    def forward(self, window: Tensor) -> Tensor:
        """Return scores (B, T, classes) of windows (B, T, frames, channels)."""
        return self.head(self.features(window))  # type: ignore[no-any-return]

    def features(self, window: Tensor) -> Tensor:
        """Return [e; h'], or e where there is no cell."""
        e = self.encode(window)
        own, variant = self.dropout(e), self.config.variant
        if variant == "encoder_only":
            return own  # type: ignore[no-any-return]
        x = self.dropout(e)
        h = afresh(self.cell, x) if variant == "state_reset" else self.cell(x)
        return torch.cat((own, self.dropout(h)), -1)


def make_cell(config: ActivityConfig, task: Task) -> Recurrent:
    """Return a CfC cell that reads embeddings, a hop apart."""
    cell = Cfc(config.embedding_size, config.hidden_size, config.backbone_units)
    return Recurrent([cell], result="outputs", dt=config.hop / task.frame.rate_hz)


def check_task(task: Task) -> None:
    """Refuse a task that decides on events, or whose samples are not around 0.

    Raises:
        UsageError: It is one.
    """
    if task.decide == "events":
        raise UsageError(
            f"task {task.name} decides on events, and networks of activity on frames; take a "
            "network that decides on events"
        )
    shifted = next((c for c in task.frame.channels if c.zero), None)
    if shifted is not None:
        raise UsageError(
            f"task {task.name}: the zero of channel {shifted.name} is {shifted.zero} and must be "
            "0 for a network of activity"
        )
