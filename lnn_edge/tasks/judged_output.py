"""Which part of a model's outputs is compared with labels: scores of classes, or values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.registry import task_of


@dataclass(frozen=True)
class JudgedOutput:
    """What of a model's output vector is compared with labels.

    Attributes:
        classes: Of the scores; of values their names; none where nothing can be judged.
        output: Where they lie; None where nothing can be judged.
        is_value: Whether these are values, which are judged in their units.
    """

    classes: tuple[str, ...]
    output: Output | None
    is_value: bool = False

    def part(self, outputs: np.ndarray) -> np.ndarray:
        """Return integer scores (D, classes), or values (D, classes) in their units."""
        assert self.output is not None  # since it has classes
        steps = self.output.part(outputs)
        return self.output.dequantize(steps) if self.is_value else steps


def judged_output(graph: QGraph) -> JudgedOutput:
    """Return what of a model's outputs is compared with labels."""
    task = None if graph.classes else task_of(graph.metadata)
    if task is not None and task.is_value and graph.output.size == len(task.classes):
        return JudgedOutput(task.classes, graph.outputs[0], is_value=True)
    return JudgedOutput(graph.classes, graph.scores)
