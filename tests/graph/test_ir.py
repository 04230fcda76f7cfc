"""Tensors quantize as documented, and a graph that C could not compute is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.window import MeanAbs
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, InputTrigger, Ring, Stage, State
from tests.support.toy import toy_every_graph, toy_graph

Change = Callable[[QGraph], QGraph]


def tensor(name: str = "x", shape: tuple[int, ...] = (3,), dtype: str = "int8", **more: object):
    return QTensor(name, shape, dtype, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "2nd"}, "tensor name '2nd' is not a C identifier; rename it"),
        ({"name": "größe"}, "not a C identifier"),
        ({"name": "class"}, "not a C identifier"),  # the header serves C++ too
        ({"dtype": "int64"}, "x: dtype must be one of "),
        ({"qmin": 5, "qmax": 4}, r"x: range \[5, 4\] is empty or outside int8"),
        ({"qmin": -129}, r"x: range \[-129, 127\] is empty or outside int8"),
        ({"qmax": 128}, r"x: range \[-128, 128\] is empty or outside int8"),
        ({"role": "output"}, "x: role must be one of "),
        ({"shape": ()}, r"x: shape must have positive sizes .*, not \(\)"),
        ({"shape": (3, 0)}, r"x: shape must have positive sizes .*, not \(3, 0\)"),
        ({"scale": 0.0}, "x: scale 0.0 must be positive and finite"),
        ({"scale": (1.0, -1.0, 1.0)}, "must be positive and finite"),
        ({"scale": float("nan")}, "x: scale nan must be positive and finite"),
        ({"scale": float("inf")}, "x: scale inf must be positive and finite"),
        ({"zero_point": 128}, "x: zero point 128 is outside int8"),
        ({"zero_point": (0, -129, 0)}, "is outside int8"),
        ({"scale": (1.0, 2.0)}, "x: 2 scales or zero points, 3 channels"),
        ({"zero_point": (1, 2)}, "x: 2 scales or zero points, 3 channels"),
    ],
)
def test_a_wrong_tensor_is_named(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(GraphError, match=sentence):
        replace(tensor(), **changes)


def test_a_tensor_stores_the_range_of_its_dtype_by_default() -> None:
    assert [(t.qmin, t.qmax) for t in map(lambda d: tensor(dtype=d), ("int16", "uint16"))] == [
        (-32768, 32767),
        (0, 65535),
    ]


def test_sizes_and_the_largest_distance_from_the_zero_points() -> None:
    x = tensor(shape=(4, 3), dtype="int16", qmin=-10, qmax=20, zero_point=(0, 15, -5))
    assert (x.size, x.bytes) == (12, 24)
    assert x.magnitude == 25


@pytest.mark.parametrize("zero_point", [0, 5, (0, 5, -7)])
@pytest.mark.parametrize("scale", [0.25, (0.5, 0.1, 3.0)])
def test_every_integer_survives_its_real_value(
    zero_point: int | tuple[int, ...], scale: float | tuple[float, ...]
) -> None:
    x = tensor(scale=scale, zero_point=zero_point)
    q = np.repeat(np.arange(-128, 128)[:, None], 3, axis=1)
    np.testing.assert_array_equal(x.quantize(x.dequantize(q)), q)


def test_quantize_rounds_ties_up_and_saturates_to_the_stored_range() -> None:
    x = tensor(shape=(1,), scale=2.0, zero_point=1, qmin=-5, qmax=6)
    reals = np.array([1.0, 3.0, -1.0, -3.0, 1e9, -1e9])  # 0.5, 1.5, -0.5, -1.5 steps
    assert x.quantize(reals).tolist() == [2, 3, 1, 0, 6, -5]


def test_a_bound_of_31_bits_is_proved_and_one_more_is_not() -> None:
    def op(qmin: int) -> Requantize:
        x = tensor(dtype="int32", qmin=qmin, qmax=0)
        return Requantize("narrow", (x,), (tensor("y", dtype="int16"),), 1 << 20, 0)

    op(-(1 << 31) + 1)
    with pytest.raises(
        GraphError, match="can reach 2147483648 and must stay below 2147483648; reduce"
    ):
        op(-(1 << 31))


@pytest.mark.parametrize("factor", [(0, 0), (1 << 31, 0), (1, -1), (1, 31)])
def test_a_factor_that_c_cannot_hold_is_refused(factor: tuple[int, int]) -> None:
    with pytest.raises(GraphError, match=r"requantize narrow: multiplier must be 1 to"):
        Requantize("narrow", (tensor(),), (tensor("y"),), *factor)


H = tensor("h", qmin=-100, qmax=100)


@pytest.mark.parametrize(
    "changes", [{"shape": (4,)}, {"dtype": "int16"}, {"scale": 0.5}, {"zero_point": 1}]
)
def test_a_state_and_its_update_share_a_format(changes: dict[str, object]) -> None:
    with pytest.raises(GraphError, match="state h and its update n have different formats"):
        State(H, replace(H, name="n", **changes), 0)


@pytest.mark.parametrize(
    ("changes", "initial"), [({}, 101), ({}, -101), ({"qmax": 101}, 0), ({"qmin": -101}, 0)]
)
def test_a_state_stays_in_its_range(changes: dict[str, object], initial: int) -> None:
    with pytest.raises(GraphError, match="state h: initial value or update leaves its range"):
        State(H, replace(H, name="n", **changes), initial)


def test_an_update_may_use_less_than_the_state_holds() -> None:
    assert State(H, replace(H, name="n", qmin=0), -100).initial == -100


def deciding_stage(**changes: object) -> Change:
    def change(graph: QGraph) -> QGraph:
        stages = (graph.stages[0], replace(graph.deciding_stage, **changes))
        return replace(graph, stages=stages)

    return change


def trigger(**changes: object) -> Change:
    """Change the deciding stage's trigger."""
    return lambda g: deciding_stage(trigger=replace(g.deciding_trigger, **changes))(g)


def input_stage(**changes: object) -> Change:
    def change(graph: QGraph) -> QGraph:
        return replace(graph, stages=(replace(graph.stages[0], **changes), graph.stages[1]))

    return change


def operators(edit: Callable[[list], object]) -> Change:
    """Edit the list of operators."""

    def change(graph: QGraph) -> QGraph:
        ops = list(graph.deciding_stage.ops)
        edit(ops)
        return deciding_stage(ops=tuple(ops))(graph)

    return change


def lean(**changes: dict[str, object]) -> Change:
    """Change inputs of a stage that does no more than average its window."""

    def change(graph: QGraph) -> QGraph:
        old = graph.deciding_trigger
        new = replace(old, **{k: replace(getattr(old, k), **v) for k, v in changes.items()})
        level = QTensor("level", (2,), "int16")
        op = MeanAbs.quantize("mean_abs", new.window, level)
        averages = deciding_stage(trigger=new, ops=(op,), states=(), outputs=(level,), probes=())
        return averages(replace(graph, metadata={}))

    return change


def short_ring(graph: QGraph) -> QGraph:
    return replace(graph, rings=(replace(graph.rings[0], length=67),))


def other_ring(graph: QGraph) -> QGraph:
    """A second ring that nothing fills, read by the event stage."""
    second = replace(graph.rings[0], name="second")
    return trigger(ring="second")(replace(graph, rings=(*graph.rings, second)))


def byte_frames(graph: QGraph) -> QGraph:
    frame = QTensor("adc", (2,), "int8")
    stage = replace(graph.stages[0], trigger=InputTrigger(frame, "samples"))
    rings = (Ring("samples", frame, 96),)
    return replace(graph, stages=(stage, graph.stages[1]), rings=rings)


def with_old_state_as(field: str) -> Change:
    return lambda g: deciding_stage(**{field: (g.deciding_stage.states[0].tensor,)})(g)


def frozen_state(graph: QGraph) -> QGraph:
    """A state whose update is itself."""
    states = graph.deciding_stage.states
    same = State(states[0].tensor, states[0].tensor, states[0].initial)
    return deciding_stage(states=(same, *states[1:]))(graph)


def swap_first_two(ops: list) -> None:
    ops[0], ops[1] = ops[1], ops[0]


def rename_input(ops: list) -> None:
    """Read the window in a format that nothing wrote."""
    ops[0] = replace(ops[0], inputs=(replace(ops[0].inputs[0], qmax=32766),))


def write_twice(ops: list) -> None:
    ops.append(replace(ops[8], name="again"))


def same_name(ops: list) -> None:
    ops[1] = replace(ops[1], name=ops[0].name)


def with_scores(**changes: object) -> Change:
    """Return the graph whose last operator writes scores of another format."""

    def change(graph: QGraph) -> QGraph:
        stage = graph.deciding_stage
        scores = replace(stage.outputs[0], **changes)  # type: ignore[arg-type]
        ops = (*stage.ops[:-1], replace(stage.ops[-1], outputs=(scores,)))
        return replace(graph, stages=(graph.stages[0], replace(stage, ops=ops, outputs=(scores,))))

    return change


def in_two_stages(graph: QGraph) -> QGraph:
    frame = QTensor("scores", (2,), "int16", 1 / 200, role="input")
    return replace(
        graph,
        stages=(replace(graph.stages[0], trigger=InputTrigger(frame, "samples")), graph.stages[1]),
        rings=(replace(graph.rings[0], frame=frame),),
    )


GRAPH = toy_graph()
STAGE = GRAPH.deciding_stage

MATRIX = next(t for op in STAGE.ops for t in op.outputs if t.name == "coarse")
EVENT_ONLY = (GRAPH.stages[1],)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: replace(g, name="a-b"), "graph name 'a-b' is not a C identifier"),
        (
            lambda g: replace(g, stages=EVENT_ONLY),
            "must have an input stage and one that decides",
        ),
        (lambda g: replace(g, stages=g.stages[::-1]), "must have an input stage"),
        (lambda g: replace(g, stages=(g.stages[0],) * 2), "stage sample must fire on events"),
        (lambda g: replace(g, rings=()), "stage sample: no ring named samples"),
        (trigger(ring="none"), "stage beat: no ring named none"),
        (other_ring, "stage sample must write the frames of one ring, not 2"),
        (byte_frames, r"adc must be one int16 per channel, not int8 \(2,\)"),
        (input_stage(ops=STAGE.ops[:1]), "decimate reads window, which nothing wrote before it"),
        (
            input_stage(probes=(GRAPH.frame,)),
            "stage sample: only the stage that decides has probes",
        ),
        (operators(swap_first_two), "center reads coarse, which nothing wrote before it"),
        (operators(rename_input), "decimate reads window, which nothing wrote before it"),
        (operators(write_twice), "again writes rhythm16 a second time"),
        (operators(same_name), "two operators are named"),
        (operators(lambda ops: ops.pop()), "stage beat: nothing writes scores"),
        (deciding_stage(probes=(tensor("ghost"),)), "stage beat: nothing writes ghost"),
        (with_old_state_as("probes"), "stage beat: average is the old state; copy it first"),
        (frozen_state, "stage beat: average is the old state; copy it first"),
        (deciding_stage(states=STAGE.states[:1] * 2), "two inputs or states have the same name"),
        (in_two_stages, "tensor scores is defined twice"),
        (short_ring, "ring samples must have at least 68 frames, not 67"),
        (trigger(pre=9), r"window shape \(24, 2\) does not fit the ring's frames"),
        (trigger(pre=-1, post=25), "pre, wait and first_dt must be at least 0, post and capacity"),
        (trigger(capacity=0), "post and capacity at least 1"),
        (trigger(first_dt=-1), "first_dt must be at least 0"),
        (lean(window={"qmin": -2048}), r"window: range \[-2048, 32767\] does not hold the ring's"),
        (lean(window={"dtype": "int32"}), "window and the ring's frames have different formats"),
        (lean(dt={"shape": (2,)}), r"dt must be one uint16, not uint16 \(2,\)"),
        (lean(dt={"dtype": "int32"}), r"dt must be one uint16, not int32 \(1,\)"),
        (lean(dt_next={"dtype": "int16"}), r"dt_next must be one uint16, not int16 \(1,\)"),
        (trigger(wait=0), "dt_next needs wait > 0, and wait > 0 needs dt_next"),
        (trigger(dt_next=None), "dt_next needs wait > 0, and wait > 0 needs dt_next"),
        (deciding_stage(outputs=()), "toy: the output must be one int16 vector"),
        (deciding_stage(outputs=STAGE.outputs * 2), "toy: the output must be one int16 vector"),
        (deciding_stage(outputs=STAGE.probes), "toy: the output must be one int16 vector"),
        (deciding_stage(outputs=(MATRIX,)), "toy: the output must be one int16 vector"),
        (with_scores(zero_point=3), "toy: the output needs one scale and zero point 0"),
        (with_scores(scale=(1.0, 2.0, 4.0)), "scores must have one scale"),
    ],
)
def test_a_graph_that_makes_no_sense_is_named(change: Change, sentence: str) -> None:
    with pytest.raises(GraphError, match=sentence):
        change(GRAPH)


def test_the_shortest_ring_that_holds_window_and_wait_is_enough() -> None:
    ring = replace(GRAPH.rings[0], length=8 + 60)
    assert replace(GRAPH, rings=(ring,)).ring("samples").bytes == 68 * 2 * 2


def test_a_graph_knows_its_input_output_and_classes() -> None:
    assert (GRAPH.frame.name, GRAPH.output.name) == ("adc", "scores")
    assert GRAPH.classes == ("N", "S", "V")
    assert isinstance(GRAPH.deciding_trigger, EventTrigger)
    assert {t.name for t in GRAPH.deciding_stage.inputs} == {"window", "dt", "dt_next"}


def test_kept_tensors_are_outputs_probes_and_updates() -> None:
    names = {t.name for t in GRAPH.deciding_stage.kept}
    assert names == {"scores", "shape", "average_next", "usual_next", "h_next"}


def test_without_waiting_the_stage_has_no_dt_next() -> None:
    stage = toy_graph(wait=0).deciding_stage
    assert isinstance(stage, Stage)
    assert [t.name for t in stage.inputs] == ["window", "dt"]


def test_the_lean_stage_itself_is_sound() -> None:
    assert lean()(GRAPH).output.name == "level"


EVERY = toy_every_graph()


def coarse_window(graph: QGraph) -> QGraph:
    """A window that promises less than a ring of raw samples can keep."""
    window = replace(graph.deciding_stage.inputs[0], qmin=-2048)
    level = QTensor("level", (3,), "int16")
    op = MeanAbs.quantize("mean_abs", window, level)
    new = replace(graph.deciding_trigger, window=window)
    return deciding_stage(trigger=new, ops=(op,), states=(), outputs=(level,), probes=())(graph)


def narrow_window(graph: QGraph) -> QGraph:
    """A window of two of the three axes."""
    window = replace(graph.deciding_stage.inputs[0], shape=(8, 2))
    changes = {"trigger": replace(graph.deciding_trigger, window=window)}
    return deciding_stage(**changes, ops=(), states=(), outputs=(), probes=())(graph)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (trigger(hop=0), r"hop and first must be 1 to 2\*\*31 - 1 frames, not 0 and 6"),
        (trigger(first=0), "hop and first must be 1 to .*, not 4 and 0"),
        (trigger(first=-1), "hop and first must be 1 to .*, not 4 and -1"),
        (trigger(hop=1 << 31), "hop and first must be 1 to .*, not 2147483648 and 6"),
        (trigger(first=1 << 31), "hop and first must be 1 to .*, not 4 and 2147483648"),
        (trigger(ring="none"), "stage step: no ring named none"),
        (
            lambda g: replace(g, rings=(replace(g.rings[0], length=7),)),
            "ring samples must have at least 8 frames, not 7",
        ),
        (narrow_window, r"window shape \(8, 2\) does not fit the ring's frames"),
        (coarse_window, "window"),
        (deciding_stage(outputs=()), "toy_every: the output must be one int16 vector"),
    ],
)
def test_a_graph_that_fires_on_frames_and_makes_no_sense_is_named(
    change: Change, sentence: str
) -> None:
    with pytest.raises(GraphError, match=sentence):
        change(EVERY)


def test_a_graph_that_fires_on_frames_has_its_window_as_only_input() -> None:
    trigger = EVERY.deciding_trigger
    assert isinstance(trigger, EveryTrigger)
    assert (trigger.length, trigger.hop, trigger.first) == (8, 4, 6)
    assert [t.name for t in EVERY.deciding_stage.inputs] == ["window"]


def test_a_window_as_long_as_the_ring_is_sound() -> None:
    assert toy_every_graph(ring_length=8).rings[0].length == 8
