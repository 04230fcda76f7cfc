"""What joins stages is checked when a pipeline is built, and said by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage, event_trigger
from tests.support.toy import toy_graph, toy_source_graph, toy_staged_graph

Change = Callable[[QGraph], QGraph]

STAGED = toy_staged_graph()


def between(index: int = 1, **fields: object) -> Change:
    """Change a stage between input and decision."""

    def change(g: QGraph) -> QGraph:
        stages = list(g.stages)
        stages[index] = replace(stages[index], **fields)  # type: ignore[arg-type]
        return replace(g, stages=tuple(stages))

    return change


def staged_ring(index: int, **fields: object) -> Change:
    def change(g: QGraph) -> QGraph:
        rings = list(g.rings)
        rings[index] = replace(rings[index], **fields)  # type: ignore[arg-type]
        return replace(g, rings=tuple(rings))

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            between(trigger=event_trigger(toy_graph().deciding_stage)),
            "stage coarsen prepares frames and must fire every",
        ),
        (
            between(probes=STAGED.stages[1].outputs),
            "stage coarsen: only the stage that decides has",
        ),
        (between(outputs=()), "stage coarsen must write the frames of one ring, not 0"),
        (between(name="sample"), "two stages have the same name"),
        (
            lambda g: replace(g, stages=(g.stages[0], g.stages[2], g.stages[1], g.stages[3])),
            "stage code reads ring levels before it is filled",
        ),
        (between(trigger=replace(STAGED.stages[1].trigger, ring="none")), "no ring named none"),
        (staged_ring(1, name="samples"), "two rings have the same name"),
        (
            lambda g: replace(g, rings=(*g.rings, replace(g.rings[0], name="idle"))),
            "one ring, not 2",
        ),
        (
            lambda g: replace(
                g, rings=(*g.rings, Ring("idle", QTensor("ghost", (3,), "int16"), 3))
            ),
            "no stage writes the frames of ring idle",
        ),
        (staged_ring(0, length=7), "ring samples must have at least 8 frames, not 7"),
    ],
)
def test_stages_that_do_not_join_are_named(change: Change, sentence: str) -> None:
    with pytest.raises(GraphError, match=sentence):
        change(STAGED)


def test_a_frame_of_odd_bytes_is_refused() -> None:
    """Memory is copied in units of 16 bits."""
    frame = QTensor("byte_code", (3,), "int8")
    window = QTensor("byte_window", (2, 3), "int8", role="input")
    first = QTensor("motion", (3,), "int16", role="input")
    narrow = Requantize.quantize("narrow", first, frame)
    head = QTensor("head_in", (2, 3), "int16")
    widen = Requantize.quantize("widen", window, head)
    stages = (
        Stage("sample", InputTrigger(first, "codes"), (narrow,), (), (frame,)),
        Stage("decide", EveryTrigger("codes", window, 2, 2), (widen,)),
    )
    with pytest.raises(GraphError, match="codes: a frame must have an even number of bytes, not 3"):
        Pipeline(stages, (Ring("codes", frame, 2),))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (QTensor("ghost", (1,), "uint16"), "stage sample must give ghost, which reports events"),
        (None, ""),
    ],
)
def test_where_events_come_from_is_checked(source: QTensor | None, sentence: str) -> None:
    graph = toy_source_graph()
    trigger = replace(event_trigger(graph.deciding_stage), source=source)
    stages = (graph.stages[0], replace(graph.deciding_stage, trigger=trigger))
    if not sentence:
        replace(graph, stages=stages)
        return
    with pytest.raises(GraphError, match=sentence):
        replace(graph, stages=stages)


def test_the_pace_of_a_ring_counts_input_frames() -> None:
    assert [STAGED.pace(r) for r in STAGED.rings] == [(1, 1), (7, 3), (7, 15)]
