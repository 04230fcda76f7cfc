"""What a graph is made of besides operators: states, rings, triggers, stages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lnn_edge.errors import GraphError
from lnn_edge.files.names import check_name
from lnn_edge.graph.ir import LARGEST_BYTES, AbstractOp, QTensor


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


def check_flow(
    where: str, given: Iterable[QTensor], ops: Iterable[AbstractOp], kept: Iterable[QTensor]
) -> dict[str, QTensor]:
    """Return all tensors of a list of operators by name.

    Args:
        where: What has the list, for messages.
        given: Tensors that it finds.
        ops: In execution order.
        kept: Tensors that are read after it.

    Raises:
        GraphError: A tensor is read before it is written, or written twice, or never.
    """
    given = tuple(given)
    known = {t.name: t for t in given}
    if len(known) != len(given):
        raise GraphError(f"{where}: two inputs or states have the same name")
    for op in ops:
        for tensor in op.inputs:
            if known.get(tensor.name) != tensor:
                raise GraphError(f"{op.name} reads {tensor.name}, which nothing wrote before it")
        for tensor in op.outputs:
            if tensor.name in known:
                raise GraphError(f"{op.name} writes {tensor.name} a second time")
            known[tensor.name] = tensor
    for tensor in kept:
        if known.get(tensor.name) != tensor:
            raise GraphError(f"{where}: nothing writes {tensor.name}")
    return known


Start = Literal["edge", "zero"]


@dataclass(frozen=True)
class Ring:
    """The last `length` frames of a tensor that a stage writes at each step, planned memory.

    Lost frames hold the last frame.

    Attributes:
        name: C identifier.
        frame: What is appended at each step.
        length: In frames.
        start: What a window reads before the record. "edge": its first frame. "zero": the frame's
            zero point, the padding of a causal convolution.
    """

    name: str
    frame: QTensor
    length: int
    start: Start = "edge"

    def __post_init__(self) -> None:
        """Check name, size and start."""
        check_name("ring", self.name)
        if self.start not in get_args(Start):
            raise GraphError(
                f"ring {self.name}: start must be one of {get_args(Start)}, not {self.start!r}"
            )
        if self.length < 1 or self.bytes > LARGEST_BYTES:
            raise GraphError(
                f"ring {self.name} must have at least 1 frame and at most {LARGEST_BYTES} "
                f"bytes, not {self.length} frames of {self.frame.bytes} bytes"
            )
        low, high = self.frame.qmin, self.frame.qmax
        if self.starts_at_zero and not all(low <= z <= high for z in self.frame.zero_points):
            raise GraphError(
                f"ring {self.name} starts at zero, which {self.frame.name} in [{low}, {high}] "
                "never is; widen its range or start at the edge"
            )

    @property
    def starts_at_zero(self) -> bool:
        """Whether it is full of zeros before the first frame."""
        return self.start == "zero"

    @property
    def zero(self) -> np.ndarray:
        """The frame that means zero, in the type of the frames."""
        frame = self.frame
        return np.broadcast_to(np.array(frame.zero_points, frame.dtype), frame.shape)

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return self.length * self.frame.bytes


@dataclass(frozen=True)
class Window:
    """Frames of a ring that a stage reads.

    Attributes:
        ring: Its name.
        frames: The frames, shape (length, *frame), the newest the last; of one frame also (*frame).
        length: Frames that are read.
        dilation: Frames of the ring from one of them to the next.
    """

    ring: str
    frames: QTensor
    length: int = 1
    dilation: int = 1

    @property
    def reach(self) -> int:
        """Frames of the ring from the first that is read to the last, both counted."""
        return (self.length - 1) * self.dilation + 1


@dataclass(frozen=True)
class InputTrigger:
    """Fires on each frame that arrives.

    Attributes:
        frame: One int16 per channel.
        ring: Name of the ring that the stage fills with the frame, or with what it makes of it.
    """

    frame: QTensor
    ring: str

    @property
    def windows(self) -> tuple[Window, ...]:
        """None: it reads no ring."""
        return ()

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors that the run time writes before the stage runs."""
        return (self.frame,)


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
        source: Tensor of the input stage, one uint16, that reports events: 0 is none, k the frame
            k - 1 before the newest. None takes events from outside.
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
    source: QTensor | None = None

    @property
    def windows(self) -> tuple[Window, ...]:
        """What the stage reads of rings."""
        return (Window(self.ring, self.window, self.pre + self.post),)

    def surely_decided(self, frames: int) -> range:
        """Return the stamps at which an event leads to a decision, whatever follows it."""
        return range(frames - max(self.post, self.wait) + 1)

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors that the run time writes before the stage runs."""
        both = (self.window, self.dt)
        return both if self.dt_next is None else (*both, self.dt_next)


@dataclass(frozen=True)
class EveryTrigger:
    """Fires on frame n (from 0) when n + 1 >= first and (n + 1 - first) % hop == 0.

    Lost frames count, but a firing that falls on one of them is not made: what it would have
    written is lost in turn. A stage that prepares frames for others runs as the frame arrives. A
    decision waits for one poll: until then a further one is dropped and counted.

    Attributes:
        ring: Name of the ring that `window` reads; its frames are counted.
        window: `length` frames, `dilation` apart, n the last: n - (length - 1) * dilation, ..., n;
            shape (length, channels).
        hop: Frames from one firing to the next.
        first: Frames up to and with the first that fires; below `reach` its window begins before
            the record.
        dilation: Frames from one of the window to the next.
        others: Further windows: the newest frames that their rings hold when the stage fires. Those
            rings get a frame whenever `ring` does; theirs may have begun earlier.
    """

    ring: str
    window: QTensor
    hop: int
    first: int
    dilation: int = 1
    others: tuple[Window, ...] = ()

    @property
    def length(self) -> int:
        """Frames of the window."""
        return self.window.shape[0]

    @property
    def reach(self) -> int:
        """Frames from the first of the window to the last, both counted."""
        return (self.length - 1) * self.dilation + 1

    @property
    def windows(self) -> tuple[Window, ...]:
        """What the stage reads of rings, the window whose frames are counted first."""
        return (Window(self.ring, self.window, self.length, self.dilation), *self.others)

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors that the run time writes before the stage runs."""
        return tuple(window.frames for window in self.windows)

    def fires_after(self, frames: int) -> bool:
        """Return whether it fires on the newest of `frames` frames."""
        return frames >= self.first and (frames - self.first) % self.hop == 0

    def firings(self, frames: int) -> int:
        """Return how often it fires in `frames` frames."""
        return 0 if frames < self.first else (frames - self.first) // self.hop + 1

    def next_firing(self, frames: int) -> int:
        """Return the number of frames, above this one, after which it fires next."""
        return self.first + self.firings(frames) * self.hop


DecidingTrigger = EventTrigger | EveryTrigger


@dataclass(frozen=True)
class Stage:
    """A straight list of operators that computes one step when its trigger fires.

    Attributes:
        name: C identifier.
        trigger: When it fires.
        ops: In execution order.
        states: Kept from step to step.
        outputs: What rings, the event queue or the user of the model read.
        probes: Diagnostic tensors of a stage that decides.
    """

    name: str
    trigger: InputTrigger | DecidingTrigger
    ops: tuple[AbstractOp, ...] = ()
    states: tuple[State, ...] = ()
    outputs: tuple[QTensor, ...] = ()
    probes: tuple[QTensor, ...] = ()

    def __post_init__(self) -> None:
        """Check the name."""
        check_name("stage", self.name)

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        """Tensors written by the run time."""
        return self.trigger.inputs

    @property
    def written(self) -> tuple[QTensor, ...]:
        """What the stage can pass on: its outputs, and an input stage its frame."""
        trigger = self.trigger
        frame = (trigger.frame,) if isinstance(trigger, InputTrigger) else ()
        return (*frame, *self.outputs)

    @property
    def kept(self) -> tuple[QTensor, ...]:
        """Tensors that must survive to the end of the step."""
        return (*self.outputs, *self.probes, *(s.update for s in self.states))


def event_trigger(stage: Stage) -> EventTrigger:
    """Return the trigger of a stage that fires on events.

    Raises:
        GraphError: It fires on something else.
    """
    if not isinstance(stage.trigger, EventTrigger):
        raise GraphError(f"stage {stage.name} must fire on events, not on frames")
    return stage.trigger


def every_trigger(stage: Stage) -> EveryTrigger:
    """Return the trigger of a stage that fires every few frames.

    Raises:
        GraphError: It fires on something else.
    """
    if not isinstance(stage.trigger, EveryTrigger):
        raise GraphError(f"stage {stage.name} must fire every few frames")
    return stage.trigger
