"""A plan of a traced module: which stage runs what, and when each value exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd
from typing import Any

from torch import fx, nn

from lnn_edge.nn.axes import Axes


@dataclass
class Read:
    """What one node reads of a ring: elements [newest - lag - size + 1, newest - lag].

    Attributes:
        size: Elements from the first to the last that is read.
        after: The newest element that result 0 needs.
        dilation: Elements from one that the layer computes with to the next.
        lag: Elements between the newest and the last that is read.
        step: Elements from one to the next of a view.
    """

    size: int
    after: int
    dilation: int = 1
    lag: int = 0
    step: int = 1


@dataclass
class Carried:
    """A value of an earlier stage that a stage reads besides its own ring.

    Attributes:
        source: Node that computes it; its ring is the one that its stage fills.
        shift: Element m of the value is element m + shift of the source.
        lag: Elements of the source between the newest and the one that is read.
    """

    source: fx.Node
    shift: int
    lag: int = 0


@dataclass
class PlannedStage:
    """What runs when `hop` more elements of a ring have come.

    Attributes:
        index: Of the stage; 0 runs at every frame.
        source: Node whose values the ring holds.
        hop: Elements from one run to the next.
        parent: Index of the stage that computes the source; -1 for frames.
        is_causal: Whether its kernels begin in zeros before the record.
        reads: By the name of the node that reads the ring.
        carried: What it reads of earlier stages, by the name of the value.
        nodes: What runs, in order.
    """

    index: int
    source: fx.Node
    hop: int
    parent: int
    is_causal: bool = False
    reads: dict[str, Read] = field(default_factory=dict)
    carried: dict[str, Carried] = field(default_factory=dict)
    nodes: list[fx.Node] = field(default_factory=list)

    @property
    def after(self) -> int:
        """The newest element that the first run needs, from 0."""
        return max((read.after for read in self.reads.values()), default=0)

    @property
    def length(self) -> int:
        """Elements of the ring."""
        return max((read.lag + read.size for read in self.reads.values()), default=1)

    @property
    def spacing(self) -> int:
        """Elements from one that any layer reads to the next, counted from the newest."""
        apart = [r.dilation for r in self.reads.values() if r.size > 1]
        return gcd(*apart, *(r.lag for r in self.reads.values())) or 1


@dataclass(frozen=True)
class Timing:
    """When one value exists.

    Attributes:
        stage: Index of its stage.
        shift: Element m is element m + shift of what the stage computes.
        pad: Zeros before element 0.
        tail: Last elements of the stage that look beyond the end; below 0: that forward leaves out.
        stride: Elements of the stage from one to the next.
    """

    stage: int
    shift: int = 0
    pad: int = 0
    tail: int = 0
    stride: int = 1

    @property
    def is_view(self) -> bool:
        """Whether its elements are those of the stage at other places."""
        return bool(self.shift or self.pad) or self.stride > 1


@dataclass(frozen=True)
class Plan:
    """A traced module with its stages.

    Attributes:
        traced: The graph.
        axes: Of values, by node name.
        timings: Of values, by node name.
        stages: All that were opened; the road to the outputs is `road`.
        outputs: By name.
        at_rest: Names of recurrent layers that start anew in every window.
        endings: What forward computes of each output besides; see endings.cut_endings.
    """

    traced: fx.GraphModule
    axes: Mapping[str, Axes]
    timings: Mapping[str, Timing]
    stages: Sequence[PlannedStage]
    outputs: Mapping[str, fx.Node]
    at_rest: frozenset[str]
    endings: Sequence[str]

    @property
    def last(self) -> PlannedStage:
        """The stage of the outputs."""
        return self.stages[self.timings[next(iter(self.outputs.values())).name].stage]

    @property
    def road(self) -> tuple[PlannedStage, ...]:
        """Stages from the frames to the outputs; each reads the one before."""
        road = [self.last]
        while road[0].parent >= 0:
            road.insert(0, self.stages[road[0].parent])
        return tuple(road)

    @property
    def pace(self) -> tuple[int, int]:
        """Frames to the first output, and from one to the next."""
        first = hop = 1
        for stage in self.road[1:]:
            first, hop = first + hop * stage.after, hop * stage.hop
        return first, hop

    def layer_of(self, node: fx.Node) -> nn.Module | None:
        """Return the layer that a node calls."""
        return layer_of(self.traced, node)


def layer_of(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the layer that a node calls."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def number(value: Any) -> Any:
    """Return a number, one that forward computes from shapes as it was in the examples."""
    return value.meta["example"] if isinstance(value, fx.Node) else value


def time_key(node: fx.Node, axes: Axes) -> Any:
    """Return by what an index takes of time; slice(None) is all of it."""
    keys = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    if any(key is Ellipsis for key in keys):
        at = next(i for i, key in enumerate(keys) if key is Ellipsis)
        free = len(axes.names) - len(keys) + 1
        keys = (*keys[:at], *[slice(None)] * free, *keys[at + 1 :])
    if axes.time is None or axes.time >= len(keys):
        return slice(None)
    return keys[axes.time]
