"""What values the state of a model can have, so that a blob with others is refused."""

from __future__ import annotations

from dataclasses import dataclass

from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import NO_TOTAL, QTensor, Run, Total, makers_of
from lnn_edge.graph.qgraph import QGraph


@dataclass(frozen=True)
class LimitedTensor:
    """A part of the state, and the values that it can have.

    Attributes:
        name: Of the member of the state.
        tensor: Its format.
        size: Elements.
        initial: What all elements are at the start of a record.
        runs: Limits of the elements; they repeat.
        total: An element that is the sum of others.
    """

    name: str
    tensor: QTensor
    size: int
    initial: int
    runs: tuple[Run, ...]
    total: Total

    @property
    def is_limited(self) -> bool:
        """Whether its type could hold something else."""
        low, high = RANGES[self.tensor.dtype]
        is_free = all(run.low <= low and run.high >= high for run in self.runs)
        return not is_free or self.total != NO_TOTAL


def limited_tensors(graph: QGraph) -> tuple[LimitedTensor, ...]:
    """Return the states and rings that cannot have every value of their type."""
    makers = makers_of([op for stage in graph.stages for op in stage.ops])
    tensors = []
    for state in graph.states:
        maker, own = makers.get(state.update.name), state.tensor
        runs: tuple[Run, ...] = (Run(own.qmin, own.qmax, own.size),)
        total = NO_TOTAL
        if maker:
            runs, total = maker.limits_of(state.update), maker.total_of(state.update)
        tensors.append(LimitedTensor(own.name, own, own.size, state.initial, runs, total))
    for ring in graph.rings:
        frame, size = ring.frame, ring.length * ring.frame.size
        runs = (Run(frame.qmin, frame.qmax, size),)
        empty = frame.qmin if ring.starts_at_zero else 0  # full of zero points, each in the run
        tensors.append(LimitedTensor(f"{ring.name}_frames", frame, size, empty, runs, NO_TOTAL))
    return tuple(t for t in tensors if t.is_limited)
