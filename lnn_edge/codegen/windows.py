"""How generated C reads windows: in their rings, tap by tap, or as the runtime copies them."""

from __future__ import annotations

from lnn_edge.codegen.codetext import Code
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EveryTrigger, Stage, Window, event_trigger, every_trigger


def in_place(stage: Stage) -> tuple[Window, ...]:
    """Return the windows of one frame, which lies in its ring in one piece.

    Not those that outlive the step: the ring goes on.
    """
    trigger, kept = stage.trigger, stage.kept
    if not isinstance(trigger, EveryTrigger):
        return ()
    return tuple(w for w in trigger.windows if w.length == 1 and w.frames not in kept)


def place(graph: QGraph, stage: Stage, window: Window) -> Code:
    """Return the C expression of where the frame of a window that is read in place lies."""
    ring = graph.ring(window.ring)
    sizes = (ring.length, ring.frame.bytes // 2, _back(graph, stage, window))
    call = Code(
        "(const void *) lnn_ring_at(&ctx->state.%s_ring, ctx->state.%s_frames, %dU, %dU, %s)"
    )
    return call % (ring.name, ring.name, *sizes)


def place_of_event(graph: QGraph, stage: Stage, reader: AbstractOp) -> dict[str, Code]:
    """Return where the window of an event lies in its ring: the memory, and its first slot."""
    trigger = event_trigger(stage)
    ring = graph.ring(trigger.ring)
    slot = Code("lnn_ring_slot(&ctx->state.%s_ring, %dU, firing->stamp - trigger.pre)")
    return {
        trigger.window.name: Code("(const void *) ctx->state.%s_frames") % ring.name,
        f"{reader.name}.slot": slot % (ring.name, ring.length),
    }


def taps(graph: QGraph, stage: Stage) -> tuple[tuple[Window, Code], ...]:
    """Return the windows that are copied tap by tap.

    Each with the C expression of how far before the next frame of its ring it begins.
    """
    trigger = stage.trigger
    if not isinstance(trigger, EveryTrigger):
        return ()
    ring, bare = graph.ring(trigger.ring), in_place(stage)
    is_copied = trigger.dilation == 1 and not ring.starts_at_zero  # by lnn_ring_slice
    copied = trigger.windows[:1] if is_copied or graph.slides(ring) else ()
    gathered = (w for w in trigger.windows if w not in (*copied, *bare))
    return tuple((w, _back(graph, stage, w)) for w in gathered)


def _back(graph: QGraph, stage: Stage, window: Window) -> Code:
    if stage is not graph.deciding_stage:
        return Code("%dU") % window.reach
    end = 1 + graph.lead(every_trigger(stage), window)
    back = Code("ctx->state.%s_ring.frames - (firing->stamp + %dU) + %dU")
    return back % (window.ring, end, window.reach)


def turns(graph: QGraph, stage: Stage) -> tuple[bool, bool]:
    """Return whether a stage runs on every frame, and whether another one asks if it has run."""
    if stage is graph.deciding_stage:
        return False, False
    steady = {s.name for s in graph.preparing_stages if graph.stage_pace(s) == (1, 1)}
    ring = graph.filled_by(stage).name
    followers = [s for s in graph.preparing_stages[1:] if s.trigger.ring == ring]
    return stage.name in steady, any(s.name not in steady for s in followers)
