"""Small graphs with random weights, for tests of the road they take.

One fires on events and has every operator in it, one fires every few frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.elementwise import Concat, Mix, Requantize, TimeGate
from lnn_edge.graph.ops.leaky import EMPTY, FRACTION_BITS, LeakyAverage
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.normalize import Normalize
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.template import EMPTY as NO_TEMPLATE
from lnn_edge.graph.ops.template import TemplateDistance
from lnn_edge.graph.ops.window import Center, Decimate, MeanAbs, MeanPool
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EventTrigger, EveryTrigger, InputTrigger, Ring, Stage, State

ADC = 1 / 200
Q15 = 1 / 32768


def toy_graph(seed: int = 0, hidden: int = 6, wait: int = 60) -> QGraph:
    """Return a beat classifier in miniature: window of 24 frames, 2 leads, a CfC step, 3 scores."""
    rng = np.random.default_rng(seed)

    def t(name, shape, dtype="int8", scale=1.0, **more):
        shape = (shape,) if isinstance(shape, int) else shape
        return QTensor(name, shape, dtype, scale, **more)

    def dense(name, x, y):
        weight = rng.normal(0, 1.2 / np.sqrt(x.size), (y.size, x.size))
        return Linear.quantize(name, x, y, weight, rng.normal(0, 0.2, y.size))

    frame = t("adc", 2, "int16", ADC, role="input")
    ring = Ring("samples", frame, 96)
    window = t("window", (24, 2), "int16", ADC, role="input")
    dt = t("dt", 1, "uint16", 1 / 360, qmin=1, qmax=1080, role="input")
    dt_next = t("dt_next", 1, "uint16", 1 / 360, qmin=1, qmax=wait or 1, role="input")
    coarse, centred = t("coarse", (12, 2), "int16", ADC), t("centred", (12, 2), "int16", ADC)
    level = t("level", 2, "int16", ADC)
    average = t("average", 2, "int32", ADC / (1 << FRACTION_BITS), role="state")
    average_next = t("average_next", 2, "int32", ADC / (1 << FRACTION_BITS))
    amplitude = t("amplitude", 2, "int16", ADC)
    shape = t("shape", (12, 2), "int8", 1 / 32)
    usual, usual_next = (t(n, (12, 2), "int16", 1 / 4096) for n in ("usual", "usual_next"))
    usual = replace(usual, role="state")
    odd = t("odd", 4, "int8", 1 / 64)
    features = t("features", (5, 4), "int8", 4 / 255, zero_point=-128)
    pooled = t("pooled", 4, "int8", 3 / 255, zero_point=-100)
    rhythm16, rhythm = t("rhythm16", 1, "int16", 4 / 32768), t("rhythm", 1, "int8", 4 / 128)
    h, h_next = t("h", hidden, "int16", Q15, role="state"), t("h_next", hidden, "int16", Q15)
    h8 = t("h8", hidden, "int8", 1 / 128)
    join = Concat.join("join", (pooled, odd, rhythm, h8), "joined")
    hidden_pre, backbone = t("hidden_pre", 8, "int16", 8 * Q15), t("backbone", 8, "int8", 1.8 / 127)
    pre = {n: t(f"{n}_pre", hidden, "int16", 8 * Q15) for n in ("ff1", "ff2")}
    act = {n: t(n, hidden, "int16", Q15) for n in ("ff1", "ff2")}
    time_a, time_b = t("time_a", hidden, "int16", 6 * Q15), t("time_b", hidden, "int16", 7 * Q15)
    gate_pre = t("gate_pre", hidden, "int16", 8 * Q15)
    gate = t("gate", hidden, "uint16", Q15, qmax=32768)
    h_out, scores = t("h_out", hidden, "int8", 1 / 128), t("scores", 3, "int16", 8 * Q15)
    ops = (
        Decimate.quantize("decimate", window, coarse, 2),
        Center.quantize("center", coarse, centred),
        MeanAbs.quantize("mean_abs", centred, level),
        LeakyAverage.quantize("smooth", level, average, average_next, amplitude, 0.1),
        Normalize("normalize", (centred, amplitude), (shape,), 32, 4),
        TemplateDistance.quantize(
            "odd_shape", (shape, usual, usual_next, odd), (0, 5, 12), 0.5, 0.1
        ),
        Conv1d.quantize(
            "conv", shape, features, rng.normal(0, 0.4, (4, 2, 4)), rng.normal(0, 0.2, 4), 2
        ),
        MeanPool.quantize("pool", features, pooled),
        Lut.quantize("log_dt", dt, rhythm16, "log2", 3),
        Requantize.quantize("rhythm8", rhythm16, rhythm),
        Requantize.quantize("narrow_h", h, h8),
        join,
        dense("backbone_linear", join.outputs[0], hidden_pre),
        Lut.quantize("backbone_act", hidden_pre, backbone, "lecun_tanh", 8),
        dense("ff1_linear", backbone, pre["ff1"]),
        dense("ff2_linear", backbone, pre["ff2"]),
        dense("time_a_linear", backbone, time_a),
        dense("time_b_linear", backbone, time_b),
        Lut.quantize("ff1_act", pre["ff1"], act["ff1"], "tanh", 8),
        Lut.quantize("ff2_act", pre["ff2"], act["ff2"], "tanh", 8),
        TimeGate.quantize("time", time_a, time_b, dt, gate_pre),
        Lut.quantize("gate_act", gate_pre, gate, "sigmoid", 8),
        Mix.quantize("mix", act["ff1"], act["ff2"], gate, h_next),
        Requantize.quantize("narrow_out", h_next, h_out),
        dense("head", h_out, scores),
    )
    trigger = EventTrigger("samples", window, dt, dt_next if wait else None, 288, 8, 16, wait, 4)
    stages = (
        Stage("sample", InputTrigger(frame, "samples")),
        Stage(
            "beat",
            trigger,
            ops,
            (
                State(average, average_next, EMPTY),
                State(usual, usual_next, NO_TEMPLATE),
                State(h, h_next, 0),
            ),
            (scores,),
            (shape,),
        ),
    )
    metadata = {
        "sample_rate_hz": 360,
        "task": "beats",
        "classes": ["N", "S", "V"],
        "leads": ["MLII", "any"],
        "adc_gain": 200,
        "adc_zero": 0,
    }
    return QGraph(stages, (ring,), "toy", metadata)


def toy_every_graph(hop: int = 4, first: int = 6, ring_length: int = 11) -> QGraph:
    """Return a classifier in miniature: 8 frames of 3 axes, a gated recurrent step, 3 scores.

    The first window begins before the record, the ring is longer than the window.
    """
    rng = np.random.default_rng(1)

    def t(name, size, dtype="int16", scale=Q15, **more):
        shape = (size,) if isinstance(size, int) else size
        return QTensor(name, shape, dtype, scale, **more)

    def dense(name, x, y):
        weight = rng.normal(0, 2.0 / np.sqrt(x.size), (y.size, x.size))
        return Linear.quantize(name, x, y, weight, rng.normal(0, 0.2, y.size))

    frame = t("motion", 3, scale=1 / 1000, role="input")
    window = t("window", (8, 3), scale=1 / 1000, role="input")
    narrow, mean = t("narrow", (8, 3), "int8", 1 / 32), t("mean", 3, "int8", 1 / 32)
    h, h_next = t("h", 5, role="state"), t("h_next", 5)
    h8, h_out = t("h8", 5, "int8", 1 / 128), t("h_out", 5, "int8", 1 / 128)
    features = t("features", 6, "int8", 1 / 32)
    fresh_pre, gate_pre = t("fresh_pre", 5, scale=8 * Q15), t("gate_pre", 5, scale=8 * Q15)
    fresh, gate = t("fresh", 5), t("gate", 5, "uint16", qmax=32768)
    scores = t("scores", 3, scale=8 * Q15)
    join = Concat.join("join", (features, mean, h8), "joined")
    ops = (
        Requantize.quantize("narrow_window", window, narrow),
        MeanPool.quantize("pool", narrow, mean),
        dense("encoder", narrow, features),
        Requantize.quantize("narrow_h", h, h8),
        join,
        dense("fresh_linear", join.outputs[0], fresh_pre),
        dense("gate_linear", join.outputs[0], gate_pre),
        Lut.quantize("fresh_act", fresh_pre, fresh, "tanh", 8),
        Lut.quantize("gate_act", gate_pre, gate, "sigmoid", 8),
        Mix.quantize("mix", h, fresh, gate, h_next),
        Requantize.quantize("narrow_out", h_next, h_out),
        dense("head", h_out, scores),
    )
    stages = (
        Stage("sample", InputTrigger(frame, "samples")),
        Stage(
            "step",
            EveryTrigger("samples", window, hop, first),
            ops,
            (State(h, h_next, 1000),),
            (scores,),
            (narrow,),
        ),
    )
    metadata = {"sample_rate_hz": 50, "classes": ["A", "B", "C"], "leads": ["x", "y", "z"]}
    return QGraph(stages, (Ring("samples", frame, ring_length),), "toy_every", metadata)


def toy_heads_graph() -> QGraph:
    """Return a model of three outputs, each in its own step, on one gated recurrent step.

    gait tells three classes apart, pose gives two values, strides the log odds of one thing.
    """
    base, rng = toy_every_graph(), np.random.default_rng(5)
    stage = base.deciding_stage
    *ops, head = stage.ops
    h = head.inputs[0]
    heads = (
        Output("gait", 0, 3, 8 * Q15, "scores"),
        Output("pose", 3, 2, 1 / 1000, "values"),
        Output("strides", 5, 1, 0.01, "logits"),
    )
    for o in heads:
        y = QTensor(f"{o.name}_head", (o.size,), "int16", o.scale)
        weight = rng.normal(0, 0.7, (o.size, h.size))
        ops.append(Linear.quantize(f"{o.name}_linear", h, y, weight, rng.normal(0, 0.2, o.size)))
    join = Concat.join("join_heads", tuple(op.outputs[0] for op in ops[-3:]), "all_heads")
    last = replace(stage, ops=(*ops, join), outputs=join.outputs)
    metadata = base.metadata | {"classes": ["still", "walk", "run"]}
    return QGraph((base.stages[0], last), base.rings, "toy_heads", metadata, heads)


def motion(seed: int, count: int, low: int = -4000, high: int = 4000) -> np.ndarray:
    """Return random frames for the graph that fires on frames."""
    size = (count, 3)
    return np.random.default_rng(seed).integers(low, high, size, endpoint=True).astype(np.int16)


def toy_staged_graph(deciding_hop: int = 3) -> QGraph:
    """Return a model with three stages before the decision.

    Every frame is smoothed; every 3 smoothed frames the mean magnitude of the last 8 is one coarse
    frame (a window that slides); every 5 coarse frames the mean of the last 2 is one narrow frame
    (fewer frames than it skips, so it is copied); a decision every `deciding_hop` of those on the
    last 3.
    """
    rng = np.random.default_rng(2)
    scale = 1 / 1000

    def t(name, shape, dtype="int16", step=scale, **more):
        return QTensor(name, shape, dtype, step, **more)

    frame = t("motion", (3,), role="input")
    smooth, smooth_next = (
        t(n, (3,), "int32", scale / (1 << 14), role=r)
        for n, r in (("smooth", "state"), ("smooth_next", "scratch"))
    )
    follow = t("follow", (3,))
    window = t("window", (8, 3), role="input")
    level = t("level", (3,))
    pair, narrow = t("pair", (2, 3), role="input"), t("narrow", (4,), "int8", 1 / 32)
    count, count_next = (
        t("count", (4,), "int8", 1 / 32, role="state"),
        t("count_next", (4,), "int8", 1 / 32),
    )
    last, scores = t("last", (3, 4), "int8", 1 / 32, role="input"), t("scores", (3,), step=8 * Q15)
    encode = Linear.quantize(
        "encode", pair, narrow, rng.normal(0, 0.5, (4, 6)), rng.normal(0, 0.2, 4)
    )
    head = Linear.quantize("head", last, scores, rng.normal(0, 0.5, (3, 12)), np.zeros(3))
    rings = (
        Ring("samples", follow, 8),
        Ring("levels", level, 4),
        Ring("codes", narrow, 4),
    )
    stages = (
        Stage(
            "sample",
            InputTrigger(frame, "samples"),
            (LeakyAverage.quantize("smooth_op", frame, smooth, smooth_next, follow, 0.2),),
            (State(smooth, smooth_next, EMPTY),),
            (follow,),
        ),
        Stage(
            "coarsen",
            EveryTrigger("samples", window, 3, 7),
            (MeanAbs.quantize("mean_abs", window, level),),
            (),
            (level,),
        ),
        Stage(
            "code",
            EveryTrigger("levels", pair, 5, 1),
            (encode, Requantize.quantize("keep", narrow, count_next)),
            (State(count, count_next, 3),),
            (narrow,),
        ),
        Stage("decide", EveryTrigger("codes", last, deciding_hop, 2), (head,), (), (scores,)),
    )
    metadata = {"sample_rate_hz": 50, "classes": ["A", "B", "C"], "leads": ["x", "y", "z"]}
    return QGraph(stages, rings, "toy_staged", metadata)


def toy_source_graph(wait: int = 40) -> QGraph:
    """Return a model that finds its own events: the third channel of a frame says how far back."""
    rng = np.random.default_rng(4)
    scale = 1 / 1000

    def t(name, shape, dtype="int16", step=scale, **more):
        return QTensor(name, shape, dtype, step, **more)

    frame, window = t("motion", (3,), role="input"), t("window", (10, 3), role="input")
    source = t("source", (1,), "uint16", qmax=500)
    dt, dt_next = (
        t(n, (1,), "uint16", 1 / 50, qmin=low, qmax=high, role="input")
        for n, low, high in (("dt", 5, 60), ("dt_next", 5, wait or 40))
    )
    level, times, scores = t("level", (3,)), t("log_dt", (1,)), t("scores", (3,))
    join = Concat.join("join", (level, times), "joined")
    ops = (
        MeanAbs.quantize("mean_abs", window, level),
        Slice.quantize("elapsed", dt_next if wait else dt, times),
        join,
        Linear.quantize("head", join.outputs[0], scores, rng.normal(0, 0.5, (3, 4)), np.zeros(3)),
    )
    trigger = EventTrigger(
        "samples", window, dt, dt_next if wait else None, 9, 4, 6, wait, 3, source
    )
    stages = (
        Stage(
            "sample",
            InputTrigger(frame, "samples"),
            (Slice.quantize("find", frame, source, 2),),
            (),
            (source,),
        ),
        Stage("decide", trigger, ops, (), (scores,), (level,)),
    )
    metadata = {
        "sample_rate_hz": 50,
        "classes": ["A", "B", "C"],
        "leads": ["x", "y", "z"],
        "adc_gain": 200,
        "adc_zero": 0,
    }
    return QGraph(stages, (Ring("samples", frame, 80),), "toy_source", metadata)
