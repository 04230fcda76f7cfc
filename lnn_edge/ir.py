"""The quantized graph: tensors, operators, stages, rings. The product of the toolchain.

Simulator, passes, planner, code generator and exporters read this and nothing else; no torch.
"""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np

from lnn_edge.errors import GraphError
from lnn_edge.fixed import INT32_LIMIT, ITEM_BYTES, RANGES, Array

Role = Literal["input", "scratch", "state"]


# Words of C and C++ that Python allows as names: generated headers serve both.
KEYWORDS = frozenset(
    "asm auto bool case catch char class const default delete do double enum explicit export "
    "extern float friend goto inline int long mutable namespace new operator private protected "
    "public register restrict short signed sizeof static struct switch template this throw "
    "typedef typename union unsigned using virtual void volatile".split()
)


def _check_name(what: str, name: str) -> None:
    if not name.isidentifier() or not name.isascii() or name in KEYWORDS:
        raise GraphError(f"{what} name {name!r} is not a C identifier; rename it")


@dataclass(frozen=True)
class QTensor:
    """An integer tensor. real = scale * (q - zero_point).

    Attributes:
        name: C identifier, unique in its graph.
        shape: Static shape, without a batch axis.
        dtype: int8, int16, uint16, int32 or uint32.
        scale: Real value of one step; a tuple is per element of the last axis.
        zero_point: Integer that means 0.0; a tuple is per element of the last axis.
        qmin: Smallest value ever stored (proved or saturated); dtype's minimum if None is given.
        qmax: Largest value ever stored.
        role: input (written by the run time), scratch (arena) or state (kept between steps).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | tuple[float, ...] = 1.0
    zero_point: int | tuple[int, ...] = 0
    qmin: int = field(default=None)  # type: ignore[assignment]
    qmax: int = field(default=None)  # type: ignore[assignment]
    role: Role = "scratch"

    def __post_init__(self) -> None:
        _check_name("tensor", self.name)
        if self.dtype not in RANGES:
            raise GraphError(f"{self.name}: dtype {self.dtype!r}, needed one of {sorted(RANGES)}")
        low, high = RANGES[self.dtype]
        object.__setattr__(self, "qmin", low if self.qmin is None else self.qmin)
        object.__setattr__(self, "qmax", high if self.qmax is None else self.qmax)
        if not low <= self.qmin <= self.qmax <= high:
            raise GraphError(
                f"{self.name}: range [{self.qmin}, {self.qmax}] is empty or outside {self.dtype}"
            )
        if self.role not in get_args(Role):
            raise GraphError(f"{self.name}: role {self.role!r}, needed one of {get_args(Role)}")
        if not self.shape or min(self.shape) < 1:
            raise GraphError(f"{self.name}: shape {self.shape}, needed positive sizes")
        scales, points = self.scales, self.zero_points
        if not all(math.isfinite(s) and s > 0 for s in scales):
            raise GraphError(f"{self.name}: scale {self.scale} must be positive and finite")
        if not all(low <= z <= high for z in points):
            raise GraphError(f"{self.name}: zero point {self.zero_point} is outside {self.dtype}")
        for values in (scales, points):
            if len(values) not in (1, self.shape[-1]):
                raise GraphError(
                    f"{self.name}: {len(values)} scales or zero points, {self.shape[-1]} channels"
                )

    @property
    def scales(self) -> tuple[float, ...]:
        """Scales of the last axis, or one."""
        return self.scale if isinstance(self.scale, tuple) else (self.scale,)

    @property
    def zero_points(self) -> tuple[int, ...]:
        """Zero points of the last axis, or one."""
        return self.zero_point if isinstance(self.zero_point, tuple) else (self.zero_point,)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.size * ITEM_BYTES[self.dtype]

    @property
    def magnitude(self) -> int:
        """Largest |q - zero_point| that can be stored."""
        return max(max(abs(self.qmin - z), abs(self.qmax - z)) for z in self.zero_points)

    def dequantize(self, q: Array) -> Array:
        """Return real values of integers."""
        return (q - np.asarray(self.zero_points)) * np.asarray(self.scales)

    def quantize(self, real: Array) -> Array:
        """Return the nearest integers of real values (ties up), saturated to [qmin, qmax]."""
        q = np.floor(np.asarray(real) / np.asarray(self.scales) + 0.5) + np.asarray(
            self.zero_points
        )
        return np.clip(q, self.qmin, self.qmax).astype(np.int64)


@dataclass(frozen=True, eq=False)
class AbstractOp(abc.ABC):
    """One integer operator: its exact meaning, and its formula in real numbers.

    Fields of type numpy array are constants of the graph; everything else is an attribute. Both are
    stored by graphio without further code.
    """

    kind: ClassVar[str]
    name: str
    inputs: tuple[QTensor, ...]
    outputs: tuple[QTensor, ...]

    def __post_init__(self) -> None:
        _check_name("operator", self.name)
        self.check()

    @abc.abstractmethod
    def check(self) -> None:
        """Raise GraphError unless shapes, formats and accumulator bounds are sound."""

    @abc.abstractmethod
    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the exact integer outputs: the definition of the operator.

        Args:
            inputs: int64 arrays of numpy or torch, shapes (..., *tensor.shape) with any leading
                batch axes.
        """

    @abc.abstractmethod
    def real(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the same formula in real numbers, on float64 arrays (dequantized values)."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return 0

    def require(self, condition: bool, problem: str) -> None:
        """Raise GraphError naming this operator unless condition holds."""
        if not condition:
            raise GraphError(f"{self.kind} {self.name}: {problem}")

    def require_factor(self, multiplier: int, shift: int) -> None:
        """Check that a requantization's factor is one that C can hold."""
        self.require(
            1 <= multiplier < INT32_LIMIT and 0 <= shift <= 30,
            f"multiplier {multiplier}, shift {shift}; needed 1 to 2**31 - 1 and 0 to 30",
        )

    def require_bound(self, bound: int, what: str = "accumulator") -> None:
        """Prove that a 32-bit quantity cannot overflow."""
        self.require(
            bound < INT32_LIMIT,
            f"{what} can reach {bound}, needed below {INT32_LIMIT}; reduce the input range or "
            "the number of terms",
        )


@dataclass(frozen=True)
class State:
    """A tensor kept between steps: starts at `initial`, becomes `update` after each step.

    Reset rule: `reset` of the model sets every element to `initial`.
    """

    tensor: QTensor
    update: QTensor
    initial: int

    def __post_init__(self) -> None:
        a, b = self.tensor, self.update
        if (a.shape, a.dtype, a.scale, a.zero_point) != (b.shape, b.dtype, b.scale, b.zero_point):
            raise GraphError(f"state {a.name} and its update {b.name} have different formats")
        if not a.qmin <= self.initial <= a.qmax or b.qmin < a.qmin or b.qmax > a.qmax:
            raise GraphError(f"state {a.name}: initial value or update leaves its range")


@dataclass(frozen=True)
class Ring:
    """The last `length` frames of a stage's frame tensor, planned memory.

    Before the first frame the ring is filled with that frame (edge extension), so a window that
    begins before the record reads the first sample, never an arbitrary zero. Lost frames hold the
    last sample.
    """

    name: str
    frame: QTensor
    length: int

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.length * self.frame.bytes


@dataclass(frozen=True)
class InputTrigger:
    """Fires on each frame that arrives and appends it to its ring."""

    frame: QTensor
    ring: str


@dataclass(frozen=True)
class EventTrigger:
    """Fires once per event stamp t, in stamp order.

    Ready when the ring holds frame t + post - 1, and with wait > 0 besides when the next event is
    known or frame t + wait - 1 has arrived: a decision sees nothing after the next event and
    nothing after t + max(post, wait).

    Attributes:
        ring: Name of the ring that `window` reads.
        window: Frames [t - pre, t + post), shape (pre + post, channels).
        dt: t minus the stamp of the event before, in samples, saturated to [qmin, qmax] (counted).
        dt_next: min(next stamp - t, wait), saturated; None without waiting.
        first_dt: dt of the first event after a reset.
        pre: Frames before the event.
        post: Frames from the event on.
        wait: Longest wait for the next event in frames, 0 to decide at t + post.
        capacity: Length of the event FIFO; further events are dropped and counted.
    """

    ring: str
    window: QTensor
    dt: QTensor
    dt_next: QTensor | None
    first_dt: int
    pre: int
    post: int
    wait: int
    capacity: int

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors that the run time writes before the stage runs."""
        both = (self.window, self.dt)
        return both if self.dt_next is None else (*both, self.dt_next)


@dataclass(frozen=True)
class EveryTrigger:
    """Fires on frame n (from 0) when n + 1 >= first and (n + 1 - first) % hop == 0; its stamp is n.

    Lost frames count, but a firing that falls on one of them is not made. A firing waits for one
    poll: until then a further one is dropped and counted.

    Attributes:
        ring: Name of the ring that `window` reads.
        window: The last `length` frames, [n + 1 - length, n], shape (length, channels).
        hop: Frames from one firing to the next.
        first: Frames up to and with the first that fires; below `length` its window begins before
            the record.
    """

    ring: str
    window: QTensor
    hop: int
    first: int

    @property
    def length(self) -> int:
        """Frames of the window."""
        return self.window.shape[0]

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors that the run time writes before the stage runs."""
        return (self.window,)

    def fires_after(self, frames: int) -> bool:
        """Tell whether the newest of so many frames is one to decide on."""
        return frames >= self.first and (frames - self.first) % self.hop == 0


DecidingTrigger = EventTrigger | EveryTrigger


@dataclass(frozen=True)
class Stage:
    """A straight list of operators that computes one step when its trigger fires."""

    name: str
    trigger: InputTrigger | DecidingTrigger
    ops: tuple[AbstractOp, ...] = ()
    states: tuple[State, ...] = ()
    outputs: tuple[QTensor, ...] = ()
    probes: tuple[QTensor, ...] = ()

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors written by the run time."""
        trigger = self.trigger
        return (trigger.frame,) if isinstance(trigger, InputTrigger) else trigger.inputs

    @property
    def kept(self) -> tuple[QTensor, ...]:
        """Tensors that must survive to the end of the step."""
        return (*self.outputs, *self.probes, *(s.update for s in self.states))


@dataclass(frozen=True)
class QGraph:
    """A model: stages joined by rings, plus what a user of its outputs must know.

    Attributes:
        name: Prefix of every C symbol.
        stages: In data-flow order; the first has an InputTrigger, the last, which fires on events
            or every few frames, gives the outputs.
        rings: Memory between stages.
        metadata: JSON values: classes, sample_rate_hz, leads, adc_gain, adc_zero, output scale...
    """

    name: str
    stages: tuple[Stage, ...]
    rings: tuple[Ring, ...]
    metadata: dict[str, object]

    def __post_init__(self) -> None:
        _check_graph(self)

    @property
    def frame(self) -> QTensor:
        """One frame of the model's input, shape (channels,)."""
        trigger = self.stages[0].trigger
        assert isinstance(trigger, InputTrigger)
        return trigger.frame

    @property
    def deciding_stage(self) -> Stage:
        """The stage that decides."""
        return self.stages[-1]

    @property
    def deciding_trigger(self) -> DecidingTrigger:
        """Trigger of the deciding stage."""
        trigger = self.stages[-1].trigger
        assert isinstance(trigger, DecidingTrigger)
        return trigger

    @property
    def output(self) -> QTensor:
        """The model's output, int16 scores of its classes or values."""
        return self.stages[-1].outputs[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, from the metadata; none where they are values, not scores."""
        names = self.metadata.get("classes", [])
        assert isinstance(names, list)
        return tuple(map(str, names))

    def ring(self, name: str) -> Ring:
        """Return the ring of that name."""
        return next(r for r in self.rings if r.name == name)


def event_trigger(stage: Stage) -> EventTrigger:
    """Return the trigger of a stage that fires on events.

    Raises:
        GraphError: It fires on something else.
    """
    if not isinstance(stage.trigger, EventTrigger):
        raise GraphError(f"stage {stage.name} fires on frames; needed one that fires on events")
    return stage.trigger


def _check_graph(graph: QGraph) -> None:
    _check_name("graph", graph.name)
    if len(graph.stages) != 2 or not isinstance(graph.stages[0].trigger, InputTrigger):
        raise GraphError(f"{graph.name}: needed an input stage and one that decides")
    if not isinstance(graph.stages[1].trigger, DecidingTrigger):
        raise GraphError(
            f"{graph.name}: stage {graph.stages[1].name} must fire on events or every few frames"
        )
    known = {r.name for r in graph.rings}
    names: set[str] = set()
    for stage in graph.stages:
        if stage.trigger.ring not in known:
            raise GraphError(f"stage {stage.name}: no ring named {stage.trigger.ring}")
        _check_stage(stage, names)
    _check_input(graph)
    _check_deciding(graph)


def _check_input(graph: QGraph) -> None:
    stage, frame = graph.stages[0], graph.frame
    ring = graph.ring(graph.deciding_trigger.ring)
    if stage.ops or stage.states or stage.kept:
        raise GraphError(f"stage {stage.name}: the input stage only fills its ring")
    if stage.trigger.ring != ring.name or frame != ring.frame:
        raise GraphError(f"stage {stage.name} must fill ring {ring.name} with {ring.frame.name}")
    if frame.dtype != "int16" or len(frame.shape) != 1:
        raise GraphError(f"{frame.name}: {frame.dtype} {frame.shape}, needed one int16 per channel")


def _check_stage(stage: Stage, names: set[str]) -> None:
    given = [*stage.inputs, *(s.tensor for s in stage.states)]
    known = {t.name: t for t in given}
    if len(known) != len(given):
        raise GraphError(f"stage {stage.name}: two inputs or states have the same name")
    states = {s.tensor.name for s in stage.states}
    for op in stage.ops:
        for tensor in op.inputs:
            if known.get(tensor.name) != tensor:
                raise GraphError(f"{op.name} reads {tensor.name}, which nothing wrote before it")
        for tensor in op.outputs:
            if tensor.name in known:
                raise GraphError(f"{op.name} writes {tensor.name} a second time")
            known[tensor.name] = tensor
    for tensor in stage.kept:
        if known.get(tensor.name) != tensor:
            raise GraphError(f"stage {stage.name}: nothing writes {tensor.name}")
        if tensor.name in states:
            raise GraphError(f"stage {stage.name}: {tensor.name} is the old state; copy it first")
    both = names & known.keys()
    if both:
        raise GraphError(f"tensor {min(both)} is defined in two stages")
    names.update(known)
    ops = [op.name for op in stage.ops]
    if len(set(ops)) != len(ops):
        raise GraphError(f"stage {stage.name}: two operators have the same name")


def _check_deciding(graph: QGraph) -> None:
    trigger = graph.deciding_trigger
    ring = graph.ring(trigger.ring)
    if isinstance(trigger, EventTrigger):
        _check_event(trigger, ring)
    else:
        _check_every(trigger, ring)
    outputs = graph.deciding_stage.outputs
    if len(outputs) != 1 or outputs[0].dtype != "int16" or len(outputs[0].shape) != 1:
        raise GraphError(f"{graph.name}: needed one int16 vector as output")


def _check_event(trigger: EventTrigger, ring: Ring) -> None:
    least = (trigger.pre, trigger.post - 1, trigger.wait, trigger.first_dt, trigger.capacity - 1)
    if min(least) < 0:
        raise GraphError("pre, wait and first_dt must be at least 0, post and capacity at least 1")
    _check_ring(ring, trigger.pre + max(trigger.post, trigger.wait))
    _check_window(trigger.window, trigger.pre + trigger.post, ring)
    if (trigger.dt_next is None) != (trigger.wait == 0):
        raise GraphError("dt_next needs wait > 0, and wait > 0 needs dt_next")
    for tensor in trigger.inputs[1:]:
        if tensor.dtype != "uint16" or tensor.size != 1:
            raise GraphError(f"{tensor.name}: {tensor.dtype} {tensor.shape}, needed one uint16")


def _check_every(trigger: EveryTrigger, ring: Ring) -> None:
    if not (1 <= trigger.hop < INT32_LIMIT and 1 <= trigger.first < INT32_LIMIT):
        raise GraphError(
            f"hop {trigger.hop}, first {trigger.first}; needed 1 to 2**31 - 1 frames each"
        )
    _check_ring(ring, trigger.length)
    _check_window(trigger.window, trigger.length, ring)


def _check_ring(ring: Ring, needed: int) -> None:
    if ring.length < needed:
        raise GraphError(f"ring {ring.name} has {ring.length} frames, needed at least {needed}")


def _check_window(window: QTensor, length: int, ring: Ring) -> None:
    if window.shape != (length, *ring.frame.shape):
        raise GraphError(f"window shape {window.shape} does not fit the ring's frames")
    if (window.dtype, window.qmin, window.qmax) != ("int16", *RANGES["int16"]):
        raise GraphError(f"{window.name}: samples are not limited; needed the whole range of int16")
