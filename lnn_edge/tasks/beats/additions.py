"""What a user may have added to a model of beats: a detector, and a judgement of the signal."""

from __future__ import annotations

from dataclasses import dataclass

from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.beats.quality import with_quality


@dataclass(frozen=True)
class Additions:
    """What is added to an integer model before it is exported or judged.

    Attributes:
        find_beats: Whether it finds the beats itself.
        quality: Whether it judges the signal, and the rails of the ADC that it then knows.
    """

    find_beats: bool = False
    quality: tuple[int, int] | None = None

    def to(self, graph: QGraph) -> QGraph:
        """Return a model with these; without any it is returned as it is.

        Raises:
            UsageError: See find_beats and with_quality.
        """
        graph = find_beats(graph) if self.find_beats else graph
        return graph if self.quality is None else with_quality(graph, self.quality)
