"""Streaming activity classifier of means and a spectrum of few bands; CfC cell, dt = hop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.nn.model import AbstractRecallNet
from lnn_edge.nn.recurrent import afresh
from lnn_edge.tasks.activity.network import ActivityConfig, check_task, make_cell
from lnn_edge.tasks.activity.spectrum import SpectrumPlan, front_end
from lnn_edge.tasks.activity.task import TASK
from lnn_edge.tasks.registry import facts_of
from lnn_edge.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class HarSpectrumConfig(ActivityConfig):
    """Sizes of the network.

    Attributes:
        bands: See spectrum.SpectrumPlan.
        floor: Likewise.
    """

    window: int = 128
    hop: int = 32
    bands: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 18, 30, 65)
    floor: float = 0.005

    def __post_init__(self) -> None:
        """Refuse sizes of which no network can be made; see ActivityConfig."""
        super().__post_init__()
        _ = self.spectrum_plan  # it has checks of its own

    @property
    def spectrum_plan(self) -> SpectrumPlan:
        """Of the front end."""
        return SpectrumPlan(self.window, self.hop, self.bands, self.floor)


class HarSpectrumNet(AbstractRecallNet):
    """Classifier of what a person does, at every hop.

    f = norm([mean; spectrum]),  e = ReLU(E f + d),  h' = CfC(e, h, hop / rate)
    scores = W [f; e] + U h' + w

    The scores have a straight path from what is measured: a linear model of it tells sitting from
    standing better than a convolution of the samples. Inputs are the front end's integers in real
    units: mean (B, T, C), spectrum (B, T, C, bands). States are kept from decision to decision.

    Args:
        config: Sizes.
        task: Gives channels, rate, scales and classes; any that decides on frames or a record.

    Raises:
        UsageError: The task decides on events, or the zero of a channel is not at 0.
    """

    def __init__(self, config: HarSpectrumConfig, task: Task = TASK) -> None:
        super().__init__()
        check_task(task)
        self.config, self.classes, self.facts = config, task.classes, facts_of(task)
        scales = tuple(1 / c.steps_per_unit for c in task.frame.channels)
        self._front = front_end(scales, config.spectrum_plan)
        told = sum(t.size for t in self._front.deciding_stage.outputs)
        self.norm = nn.BatchNorm1d(told, affine=False)
        self.embedding = nn.Linear(told, config.embedding_size)
        self.cell = make_cell(config, task)
        self.dropout = nn.Dropout(config.dropout)
        self.own_size = told + config.embedding_size
        recalled = 0 if config.variant == "encoder_only" else config.hidden_size
        self.head = nn.Linear(self.own_size + recalled, len(task.classes))

    @property
    def front(self) -> Pipeline:
        """Samples, and what is measured of a window."""
        return self._front

    def forward(self, mean: Tensor, spectrum: Tensor) -> Tensor:
        """Return scores (B, T, classes)."""
        return self.head(self.features(mean, spectrum))  # type: ignore[no-any-return]

    def features(self, mean: Tensor, spectrum: Tensor) -> Tensor:
        """Return [f; e; h'], or [f; e] where there is no cell."""
        told = torch.cat((mean, spectrum.flatten(2)), -1)
        f = self.norm(told.transpose(1, 2)).transpose(1, 2)
        e = functional.relu(self.embedding(f))
        own = [self.dropout(f), self.dropout(e)]
        if self.config.variant == "encoder_only":
            return torch.cat(own, -1)
        x = self.dropout(e)
        h = afresh(self.cell, x) if self.config.variant == "state_reset" else self.cell(x)
        return torch.cat((*own, self.dropout(h)), -1)
