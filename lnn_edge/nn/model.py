"""What every network that decides on a stream offers to training and quantization."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.scales import Ranges
from lnn_edge.nn.cell import Tap, no_tap


class AbstractStreamNet(nn.Module, abc.ABC):
    """A network behind an integer front end, one decision after the other.

    Attributes:
        classes: What it tells apart.
        facts: Metadata of its graph: task, sample_rate_hz, leads and what else an input needs.
    """

    classes: ClassVar[tuple[str, ...]]
    facts: ClassVar[Mapping[str, object]]

    @property
    @abc.abstractmethod
    def front(self) -> Pipeline:
        """As much of its graph as does not depend on training."""

    @property
    @abc.abstractmethod
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors of the deciding stage there that the network reads."""

    @abc.abstractmethod
    def forward(self, inputs: Mapping[str, Tensor], tap: Tap = no_tap) -> tuple[Tensor, Tensor]:
        """Judge sequences that start from a reset.

        Args:
            inputs: By name of `inputs`, (B, T, *shape) in real units.
            tap: See Tap.

        Returns:
            Scores (B, T, classes), and those of a decision alone, for an auxiliary loss.
        """

    @abc.abstractmethod
    def lower(self, name: str, ranges: Ranges, metadata: Mapping[str, object]) -> QGraph:
        """Return the integer graph, dropout off, batch norm folded.

        Args:
            name: C prefix.
            ranges: Calibrated ranges of the tapped tensors.
            metadata: What a user of the outputs must know.
        """
