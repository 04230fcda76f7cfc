"""Stages joined by rings: from frames to decisions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from lnn_edge.errors import GraphError
from lnn_edge.graph.fixed import INT32_LIMIT, RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.stage import (
    DecidingTrigger,
    EventTrigger,
    EveryTrigger,
    InputTrigger,
    Ring,
    Stage,
    State,
    Window,
    check_flow,
    every_trigger,
)

LARGEST_QUEUE = 1 << 16  # of events


@dataclass(frozen=True)
class Pipeline:
    """Stages in data-flow order, and the memory between them.

    The first stage has an InputTrigger, the last, which fires on events or every few frames,
    decides; those between fire every few frames. All but the last write the frames of one ring
    each.

    Attributes:
        stages: At least two.
        rings: One per stage but the last.

    Raises:
        GraphError: They do not fit together.
    """

    stages: tuple[Stage, ...]
    rings: tuple[Ring, ...]

    def __post_init__(self) -> None:
        """Check that every stage reads what one before it writes."""
        _check_stages(self)
        _check_rings(self)
        _check_input(self)
        _check_triggers(self)

    @property
    def frame(self) -> QTensor:
        """One frame of the input, shape (channels,)."""
        trigger = self.stages[0].trigger
        assert isinstance(trigger, InputTrigger)
        return trigger.frame

    @property
    def preparing_stages(self) -> tuple[Stage, ...]:
        """All stages but the one that decides."""
        return self.stages[:-1]

    @property
    def prepares(self) -> bool:
        """Whether anything is computed before a decision."""
        return any(stage.ops for stage in self.preparing_stages)

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
    def takes_events(self) -> bool:
        """Whether events are pushed into the model, which does not find them itself."""
        trigger = self.deciding_trigger
        return isinstance(trigger, EventTrigger) and trigger.source is None

    @property
    def ops(self) -> tuple[AbstractOp, ...]:
        """Operators of all stages."""
        return tuple(op for stage in self.stages for op in stage.ops)

    @property
    def all_ops(self) -> tuple[tuple[AbstractOp, int], ...]:
        """Operators of all stages, those inside others before them, each with its runs a step."""
        return tuple(
            pair
            for op in self.ops
            for pair in (*((inner, op.rounds) for inner in op.nested), (op, 1))
        )

    @property
    def states(self) -> tuple[State, ...]:
        """States of all stages."""
        return tuple(state for stage in self.stages for state in stage.states)

    def ring(self, name: str) -> Ring:
        """Return the ring of that name."""
        return next(r for r in self.rings if r.name == name)

    def filled_by(self, stage: Stage) -> Ring:
        """Return the ring that a preparing stage fills."""
        return next(r for r in self.rings if r.frame in stage.written)

    def readers(self, ring: Ring) -> tuple[Stage, ...]:
        """Return the stages whose windows lie in a ring."""
        return tuple(s for s in self.stages if _windows_in(s, ring))

    def slides(self, ring: Ring) -> bool:
        """Return whether a ring is the window of its only reader, in order, and needs no copy.

        It is where the reader runs as the frame arrives and each frame is in some window.
        """
        readers = self.readers(ring)
        if len(readers) != 1 or readers[0] is self.deciding_stage:
            return False
        trigger = every_trigger(readers[0])
        if _windows_in(readers[0], ring) != trigger.windows[:1]:
            return False
        is_window = ring.length == trigger.length == trigger.reach
        return is_window and trigger.hop < ring.length and trigger.first <= ring.length

    def pace(self, ring: Ring) -> tuple[int, int]:
        """Return (first, hop): frame m of a ring is written after first + hop * m input frames."""
        return self.stage_pace(next(s for s in self.preparing_stages if self.filled_by(s) == ring))

    def stage_pace(self, stage: Stage) -> tuple[int, int]:
        """Return (first, hop): a stage runs for the m-th time after first + hop * m input frames.

        Of a stage that fires on frames, m from 0; no frame lost.
        """
        if isinstance(stage.trigger, InputTrigger):
            return 1, 1
        trigger = every_trigger(stage)
        first, hop = self.pace(self.ring(trigger.ring))
        return first + hop * (trigger.first - 1), hop * trigger.hop

    def lead(self, trigger: EveryTrigger, window: Window) -> int:
        """Return how many frames more the ring of a window has than the one that is counted."""
        first, hop = self.pace(self.ring(trigger.ring))
        return (first - self.pace(self.ring(window.ring))[0]) // hop


def _windows_in(stage: Stage, ring: Ring) -> tuple[Window, ...]:
    return tuple(window for window in stage.trigger.windows if window.ring == ring.name)


def _check_stages(pipeline: Pipeline) -> None:
    stages = pipeline.stages
    if len(stages) < 2 or not isinstance(stages[0].trigger, InputTrigger):
        raise GraphError("a pipeline must have an input stage and one that decides")
    _, *between, last = stages
    if not isinstance(last.trigger, DecidingTrigger):
        raise GraphError(f"stage {last.name} must fire on events or every few frames")
    for stage in between:
        if not isinstance(stage.trigger, EveryTrigger):
            raise GraphError(f"stage {stage.name} prepares frames and must fire every few of them")
        if stage.probes:
            raise GraphError(f"stage {stage.name}: only the stage that decides has probes")
    stage_names = [s.name for s in pipeline.stages]
    if len(set(stage_names)) != len(stage_names):
        raise GraphError("two stages have the same name")
    names: set[str] = set()
    for stage in pipeline.stages:
        _check_stage(stage, names)
    ops = sorted(op.name for op, _ in pipeline.all_ops)
    for name, other in pairwise(ops):
        if name == other:
            raise GraphError(f"two operators are named {name}")


def _check_stage(stage: Stage, names: set[str]) -> None:
    where = f"stage {stage.name}"
    given = [*stage.inputs, *(s.tensor for s in stage.states)]
    known = check_flow(where, given, stage.ops, stage.kept)
    states = {s.tensor.name for s in stage.states}
    for tensor in stage.kept:
        if tensor.name in states:
            raise GraphError(f"{where}: {tensor.name} is the old state; copy it first")
    all_names = [*known, *(t.name for op in stage.ops for t in op.own_tensors)]
    for name in all_names:
        if name in names:
            raise GraphError(f"tensor {name} is defined twice")
        names.add(name)


def _check_rings(pipeline: Pipeline) -> None:
    names = [r.name for r in pipeline.rings]
    if len(set(names)) != len(names):
        raise GraphError("two rings have the same name")
    filled: set[str] = set()
    for stage in pipeline.preparing_stages:
        if stage.trigger.ring not in names:
            raise GraphError(f"stage {stage.name}: no ring named {stage.trigger.ring}")
        rings = [r for r in pipeline.rings if r.frame in stage.written]
        if len(rings) != 1:
            raise GraphError(
                f"stage {stage.name} must write the frames of one ring, not {len(rings)}"
            )
        for window in stage.trigger.windows:
            if window.ring not in filled:
                raise GraphError(f"stage {stage.name} reads ring {window.ring} before it is filled")
        filled.add(rings[0].name)
    last = pipeline.deciding_stage
    for window in last.trigger.windows:
        if window.ring not in filled:
            raise GraphError(f"stage {last.name}: no ring named {window.ring}")
    idle = set(names) - filled
    if idle:
        raise GraphError(f"no stage writes the frames of ring {min(idle)}")
    for ring in pipeline.rings:
        if not pipeline.readers(ring):
            raise GraphError(f"no stage reads ring {ring.name}")
        if ring.frame.bytes % 2:
            raise GraphError(
                f"ring {ring.name}: a frame must have an even number of bytes, not "
                f"{ring.frame.bytes}"
            )


def _check_input(pipeline: Pipeline) -> None:
    stage, frame = pipeline.stages[0], pipeline.frame
    if stage.probes:
        raise GraphError(f"stage {stage.name}: only the stage that decides has probes")
    if stage.trigger.ring != pipeline.filled_by(stage).name:
        raise GraphError(
            f"stage {stage.name} must fill ring {stage.trigger.ring} with {frame.name}"
        )
    if frame.dtype != "int16" or len(frame.shape) != 1:
        raise GraphError(
            f"{frame.name} must be one int16 per channel, not {frame.dtype} {frame.shape}"
        )
    if (frame.qmin, frame.qmax) != RANGES["int16"]:
        raise GraphError(
            f"{frame.name} must have the whole range of int16, since samples are not limited"
        )


def _check_triggers(pipeline: Pipeline) -> None:
    for stage in pipeline.stages[1:]:
        if isinstance(stage.trigger, EventTrigger):
            _check_event(stage.trigger, pipeline.ring(stage.trigger.ring))
            _check_source(stage.trigger, pipeline)
            continue
        trigger = every_trigger(stage)
        _check_every(trigger, pipeline)
        for window in trigger.others:
            _check_pace(stage, trigger, window, pipeline)


def _check_event(trigger: EventTrigger, ring: Ring) -> None:
    least = (trigger.pre, trigger.post - 1, trigger.wait, trigger.first_dt, trigger.capacity - 1)
    if min(least) < 0:
        raise GraphError("pre, wait and first_dt must be at least 0, post and capacity at least 1")
    if trigger.capacity > LARGEST_QUEUE or trigger.first_dt >= INT32_LIMIT:
        raise GraphError(
            f"capacity must be at most {LARGEST_QUEUE} and first_dt below {INT32_LIMIT}, "
            f"not {trigger.capacity} and {trigger.first_dt}"
        )
    _check_ring(ring, trigger.pre + max(trigger.post, trigger.wait))
    _check_window(trigger.windows[0], ring)
    if (trigger.dt_next is None) != (trigger.wait == 0):
        raise GraphError("dt_next needs wait > 0, and wait > 0 needs dt_next")
    for tensor in trigger.inputs[1:]:
        if tensor.dtype != "uint16" or tensor.size != 1:
            raise GraphError(f"{tensor.name} must be one uint16, not {tensor.dtype} {tensor.shape}")


def _check_source(trigger: EventTrigger, pipeline: Pipeline) -> None:
    stage, source = pipeline.stages[0], trigger.source
    if trigger.ring != stage.trigger.ring:
        raise GraphError(
            f"events count input frames; their window must be of ring {stage.trigger.ring}"
        )
    if source is None:
        return
    if source not in stage.outputs:
        raise GraphError(f"stage {stage.name} must give {source.name}, which reports events")
    if source.dtype != "uint16" or source.size != 1:
        raise GraphError(f"{source.name} must be one uint16, not {source.dtype} {source.shape}")


def _check_every(trigger: EveryTrigger, pipeline: Pipeline) -> None:
    if not (1 <= trigger.hop < INT32_LIMIT and 1 <= trigger.first < INT32_LIMIT):
        raise GraphError(
            f"hop and first must be 1 to 2**31 - 1 frames, not {trigger.hop} and {trigger.first}"
        )
    for window in trigger.windows:
        ring = pipeline.ring(window.ring)
        if min(window.length, window.dilation) < 1:
            raise GraphError(
                f"{window.frames.name}: length and dilation must be at least 1 frame, not "
                f"{window.length} and {window.dilation}"
            )
        _check_ring(ring, window.reach)
        _check_window(window, ring)


def _check_pace(stage: Stage, trigger: EveryTrigger, window: Window, pipeline: Pipeline) -> None:
    """Check that a further window's ring goes along with the one whose frames are counted."""
    counted, ring = pipeline.ring(trigger.ring), pipeline.ring(window.ring)
    (first, hop), (other_first, other_hop) = pipeline.pace(counted), pipeline.pace(ring)
    if hop != other_hop or other_first > first or (first - other_first) % hop:
        raise GraphError(
            f"stage {stage.name}: ring {ring.name} must get a frame whenever "
            f"{counted.name} gets one; it gets one after {other_first} input frames and "
            f"every {other_hop}, ring {counted.name} after {first} and every {hop}"
        )
    needed = counted.length - trigger.reach + window.reach
    if stage is pipeline.deciding_stage and ring.length < needed:
        raise GraphError(
            f"ring {ring.name} must have at least {needed} frames, not {ring.length}, to "
            f"keep what stage {stage.name} reads as long as ring {counted.name} does"
        )


def _check_ring(ring: Ring, needed: int) -> None:
    if ring.length < needed:
        raise GraphError(f"ring {ring.name} must have at least {needed} frames, not {ring.length}")


def _check_window(read: Window, ring: Ring) -> None:
    window, frame = read.frames, ring.frame
    is_frame = read.length == 1 and window.shape == frame.shape
    if not is_frame and window.shape != (read.length, *frame.shape):
        raise GraphError(f"window shape {window.shape} does not fit the ring's frames")
    formats = [(t.dtype, t.scale, t.zero_point) for t in (window, frame)]
    if formats[0] != formats[1]:
        raise GraphError(f"{window.name} and the ring's frames have different formats")
    if window.qmin > frame.qmin or window.qmax < frame.qmax:
        raise GraphError(
            f"{window.name}: range [{window.qmin}, {window.qmax}] does not hold the ring's frames, "
            f"[{frame.qmin}, {frame.qmax}]"
        )
