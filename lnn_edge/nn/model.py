"""What every network that decides on a stream offers to training and quantization."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.pipeline import Pipeline


class AbstractStreamNet(nn.Module, abc.ABC):
    """A network behind an integer front end, one decision after the other.

    forward judges sequences that start from a reset. Its arguments have the names of tensors of
    the front end's deciding stage, (B, T, *shape) in real units; it returns scores (B, T, classes).

    Attributes:
        classes: What it tells apart.
        facts: Metadata of its graph: task, sample_rate_hz, leads and what else an input needs.
    """

    classes: tuple[str, ...]
    facts: Mapping[str, object]

    @property
    @abc.abstractmethod
    def front(self) -> Pipeline:
        """As much of its graph as does not depend on training."""

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors of the deciding stage there that forward reads, in its order."""
        stage = self.front.deciding_stage
        known = {t.name: t for t in (*stage.inputs, *stage.outputs)}
        return tuple(known[name] for name in signature(self.forward).parameters)

    def judge(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return forward's scores, and those of a decision alone, for an auxiliary loss."""
        scores: Tensor = self(**inputs)
        return scores, scores


class AbstractRecallNet(AbstractStreamNet):
    """A network whose head reads [what a decision sees by itself; what a cell recalls].

    scores = W own + U recalled + w; a decision alone has recalled = 0.

    Attributes:
        head: W, U and w.
        own_size: Length of `own`.
    """

    head: nn.Linear
    own_size: int

    @abc.abstractmethod
    def features(self, *inputs: Any) -> Tensor:
        """Return what the head reads, (B, T, own + recalled), of forward's arguments."""

    def judge(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return forward's scores, and those of a decision alone, for an auxiliary loss."""
        x = self.features(*(inputs[t.name] for t in self.inputs))
        own = x[..., : self.own_size]
        alone = functional.linear(own, self.head.weight[:, : self.own_size], self.head.bias)
        return self.head(x), alone
