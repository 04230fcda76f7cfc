"""From raw ADC samples and R peaks to the beat network's inputs, in integers. No torch here.

The same operators prepare the training data and run on the board, so there is one preprocessing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops import template
from lnn_edge.graph.ops.elementwise import Add, Concat, Subtract
from lnn_edge.graph.ops.leaky import EMPTY, FRACTION_BITS, LeakyAverage
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.lut import Lut
from lnn_edge.graph.ops.normalize import Normalize
from lnn_edge.graph.ops.template import TemplateDistance
from lnn_edge.graph.ops.window import Center, Decimate, MeanAbs
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.scales import symmetric
from lnn_edge.graph.stage import EventTrigger, InputTrigger, Ring, Stage, State

FACTOR = 3  # 360 Hz -> 120 Hz
LONGEST_WAIT_S = 1.5
FIRST_DT_S = 0.8  # 75 beats per minute
SHORTEST_DT_S, LONGEST_DT_S = 0.1, 3.0
EVENT_CAPACITY = 8
SLACK_S = 0.1  # an event may be reported so late at the longest wait
GAIN = 16  # int8 steps per mean magnitude: the window saturates at 8 times the mean
AMPLITUDE_FLOOR_MV = 0.01
AMPLITUDE_RATE = 1 / 8
FAST_RATE, SLOW_RATE = 1 / 8, 1 / 48
CHANGE_RATES = (1 / 16, 1 / 64)
LOG_STEP_BITS = 3
LOG_BOUND = 4.0  # octaves: log2 of 0.1 s to 3 s
RHYTHM_BOUND = 4.0
RHYTHM = (  # octaves times 4 over (log dt, log dt before, fast, slow average, log dt_next)
    (4.0, 0.0, 0.0, -4.0, 0.0),
    (0.0, 4.0, 0.0, -4.0, 0.0),
    (0.0, 0.0, 4.0, -4.0, 0.0),
    (0.0, 0.0, 0.0, -4.0, 4.0),
    (-4.0, 0.0, 0.0, 0.0, 4.0),
)
CHANGE_BIAS = -1.0
CHANGE_STEPS = (0.01, 0.003)  # octaves a beat
TEMPLATE_RATE = 1 / 16
TEMPLATE_MOST = 0.5  # mean magnitudes
DISTANCE_BOUND = 4.0  # mean magnitudes


@dataclass(frozen=True)
class BeatSignal:
    """The signal that beats are cut from; times in samples.

    Attributes:
        rate_hz: Samples a second.
        leads: How many.
        adc_gain: Steps per mV.
        adc_zero: Sample that means 0 mV.
        pre: Of the window, before the R peak.
        post: Of the window, from the R peak on.
        segments: Of the window at rate_hz / FACTOR, whose distances to the template are told:
            first frames, and the end.
    """

    rate_hz: int
    leads: int
    adc_gain: float
    adc_zero: int
    pre: int
    post: int
    segments: tuple[int, ...]

    def samples(self, seconds: float) -> int:
        """Return how many a time has."""
        return round(seconds * self.rate_hz)

    @property
    def longest_wait(self) -> int:
        """For the next R peak."""
        return self.samples(LONGEST_WAIT_S)

    @property
    def first_dt(self) -> int:
        """What counts as the interval before the first beat."""
        return self.samples(FIRST_DT_S)

    @property
    def dt_range(self) -> tuple[int, int]:
        """Shortest and longest interval; others saturate."""
        return self.samples(SHORTEST_DT_S), self.samples(LONGEST_DT_S)


TWO_LEADS = BeatSignal(
    rate_hz=360,
    leads=2,
    adc_gain=200.0,
    adc_zero=1024,
    pre=138,  # 0.383 s
    post=162,  # 0.450 s
    segments=(0, 18, 34, 42, 60, 100),  # P wave, PQ, QRS, ST, T wave; R peak at 46
)
LONGEST_WAIT = TWO_LEADS.longest_wait


@dataclass(frozen=True)
class RhythmPlan:
    """What the rhythm is measured against.

    Attributes:
        usual_s: Time constant of the slow average of log RR in seconds, over time: a run of early
            beats, however many, takes little time and moves it little. 0: SLOW_RATE per beat.
        most_change: Largest |log2 RR - log2 RR before| that counts as a change, in octaves, so
            that a few pauses in a regular rhythm do not look like an irregular one.
        change_gain: Of the averaged changes in octaves, to the rhythm feature.
        follows_change: Whether the size of a change is followed by CHANGE_STEPS a beat, up or down,
            and not averaged: it ends where as many changes are larger as are smaller, so that a
            few pauses do not look like an irregular rhythm however long they are.

    Raises:
        UsageError: A value is out of its range.
    """

    usual_s: float = 0.0
    most_change: float = LOG_BOUND
    change_gain: float = 8.0
    follows_change: bool = False

    def __post_init__(self) -> None:
        """Refuse an average faster than its longest step, and changes of no size."""
        shortest = 2 * LONGEST_DT_S
        if self.usual_s and not self.usual_s > shortest:
            raise UsageError(
                f"[model] usual_s must be 0 or above {shortest:g} s, twice the longest RR, not "
                f"{self.usual_s}"
            )
        if not (0 < self.most_change <= LOG_BOUND and 0 < self.change_gain):
            raise UsageError(
                f"[model] most_change must be above 0 to {LOG_BOUND:g} octaves and change_gain "
                f"above 0, not {self.most_change} and {self.change_gain}"
            )


BEATS_ALONE = RhythmPlan()


def front_end(
    wait: int = LONGEST_WAIT, plan: RhythmPlan = BEATS_ALONE, signal: BeatSignal = TWO_LEADS
) -> Pipeline:
    """Build the front end: its last stage gives window (T, C), rhythm (F,) and shape (S * C,) int8.

    Window: box mean of 3 samples, minus its mean, divided by the leaky average over beats of its
    mean magnitude, per lead.
    Rhythm: log2 RR of this beat, the one before and the next one, and their fast leaky average,
    all against the slow average; next against this one; leaky averages of the changes |log RR -
    log RR before|, which tell an irregular rhythm from a single early beat.
    Shape: mean magnitude of window minus template in five segments.

    Args:
        wait: Longest wait for the next R peak in samples; 0 decides without it.
        plan: Of the rhythm.
        signal: What is read.
    """
    leads, step, second = signal.leads, 1 / signal.adc_gain, 1 / signal.rate_hz
    pre, post, first_dt = signal.pre, signal.post, signal.first_dt
    frame = QTensor("adc", (leads,), "int16", step, role="input")
    reach = pre + max(post, wait) + signal.samples(SLACK_S)
    ring = Ring("samples", frame, -(-reach // 2) * 2)
    raw = QTensor("raw_window", (pre + post, leads), "int16", step, role="input")
    dt = QTensor("dt", (1,), "uint16", second, 0, *signal.dt_range, "input")
    shortest, longest = signal.dt_range[0], signal.longest_wait
    dt_next = QTensor("dt_next", (1,), "uint16", second, 0, shortest, longest, "input")
    window = _window(raw, round(AMPLITUDE_FLOOR_MV * signal.adc_gain))
    shape = _distances(window.output, signal.segments)
    rhythm = _rhythm(dt, dt_next if wait else None, plan, first_dt)
    trigger = EventTrigger(
        "samples", raw, dt, dt_next if wait else None, first_dt, pre, post, wait, EVENT_CAPACITY
    )
    parts = (window, rhythm, shape)
    ops = tuple(op for part in parts for op in part.ops)
    states = tuple(state for part in parts for state in part.states)
    outputs = tuple(part.output for part in parts)
    stage = Stage("beat", trigger, ops, states, outputs)
    samples = Stage("sample", InputTrigger(frame, ring.name))
    return Pipeline((samples, stage), (ring,))


@dataclass(frozen=True)
class _Part:
    ops: tuple[AbstractOp, ...]
    states: tuple[State, ...]
    output: QTensor


def _window(raw: QTensor, floor: int) -> _Part:
    frames, leads = raw.shape[0] // FACTOR, raw.shape[1]
    adc = raw.scales[0]
    coarse = QTensor("coarse", (frames, leads), "int16", adc)
    centred = QTensor("centred", (frames, leads), "int16", adc)
    level = QTensor("level", (leads,), "int16", adc, qmin=0)
    average, average_next = _average("amplitude", leads, adc)
    amplitude = QTensor("amplitude", (leads,), "int16", adc)
    window = QTensor("window", (frames, leads), "int8", 1 / GAIN)
    ops = (
        Decimate.quantize("decimate", raw, coarse, FACTOR),
        Center.quantize("center", coarse, centred),
        MeanAbs.quantize("mean_abs", centred, level),
        LeakyAverage.quantize(
            "amplitude_average", level, average, average_next, amplitude, AMPLITUDE_RATE
        ),
        Normalize("normalize", (centred, amplitude), (window,), GAIN, floor),
    )
    return _Part(ops, (State(average, average_next, EMPTY),), window)


def _distances(window: QTensor, segments: tuple[int, ...]) -> _Part:
    fine = window.scales[0] / (1 << template.FRACTION_BITS)
    state = QTensor("usual_window", window.shape, "int16", fine, role="state")
    update = QTensor("usual_window_next", window.shape, "int16", fine)
    size = (len(segments) - 1) * window.shape[1]
    distance = replace(symmetric("shape", (size,), "int8", DISTANCE_BOUND), qmin=0)
    op = TemplateDistance.quantize(
        "template_distance",
        (window, state, update, distance),
        segments,
        TEMPLATE_MOST,
        TEMPLATE_RATE,
    )
    return _Part((op,), (State(state, update, template.EMPTY),), distance)


def _rhythm(dt: QTensor, dt_next: QTensor | None, plan: RhythmPlan, first_dt: int) -> _Part:
    log, before = (symmetric(n, (1,), "int16", LOG_BOUND) for n in ("log_dt", "log_before"))
    table = Lut.quantize("log_dt_table", dt, log, "log2", LOG_STEP_BITS)
    first = int(table.reference(np.array([first_dt]))[0][0])
    usual = _follow_time("slow", log, dt, plan.usual_s) if plan.usual_s else None
    averages = [_follow("fast", log, FAST_RATE), usual or _follow("slow", log, SLOW_RATE)]
    changes = _changes(log, replace(before, role="state"), plan)
    parts = [log, replace(before, role="state"), *(a.output for a in averages)]
    made = (*averages, changes)
    ops: list[AbstractOp] = [table, *(op for part in made for op in part.ops)]
    if dt_next is not None:
        log_next = symmetric("log_next", (1,), "int16", LOG_BOUND)
        ops.append(Lut.quantize("log_next_table", dt_next, log_next, "log2", LOG_STEP_BITS))
        parts.append(log_next)
    join = Concat.join("join_logs", (*parts, changes.output), "logs")
    weight = _rhythm_weights(plan, with_next=dt_next is not None)
    bias = np.zeros(len(weight))
    bias[-len(CHANGE_RATES) :] = CHANGE_BIAS
    rhythm = symmetric("rhythm", (len(weight),), "int8", RHYTHM_BOUND)
    mix = Linear.quantize("rhythm_features", join.outputs[0], rhythm, weight, bias)
    states = [state for part in made for state in part.states]
    states.append(State(replace(before, role="state"), log, first))
    return _Part((*ops, join, mix), tuple(states), rhythm)


def _rhythm_weights(plan: RhythmPlan, *, with_next: bool) -> np.ndarray:
    """Return rows over logs and changes: rise and fall of each rate, or what each step follows."""
    logs = np.array(RHYTHM)
    if not with_next:
        logs = logs[logs[:, -1] == 0, :-1]
    each = [plan.change_gain] if plan.follows_change else [plan.change_gain] * 2
    changes = np.kron(np.eye(len(CHANGE_RATES)), each)
    rows, columns = logs.shape
    weight = np.zeros((rows + changes.shape[0], columns + changes.shape[1]))
    weight[:rows, :columns] = logs
    weight[rows:, columns:] = changes
    return weight


def _follow(name: str, x: QTensor, rate: float) -> _Part:
    state, update = _average(name, x.size, x.scales[0])
    view = replace(x, name=f"{name}_view")
    op = LeakyAverage.quantize(f"{name}_average", x, state, update, view, rate)
    return _Part((op,), (State(state, update, EMPTY),), view)


def _follow_time(name: str, x: QTensor, dt: QTensor, time_s: float) -> _Part:
    state, update = _average(name, x.size, x.scales[0])
    view = replace(x, name=f"{name}_view")
    op = LeakyAverage.over_time(f"{name}_average", (x, state, dt), (update, view), time_s)
    return _Part((op,), (State(state, update, EMPTY),), view)


def _changes(log: QTensor, before: QTensor, plan: RhythmPlan) -> _Part:
    """Return leaky averages of the rise and the fall of log RR, whose sum is its magnitude.

    Or what follows that magnitude step by step.
    """
    pair = Concat.join("join_change", (log, before), "change_pair")
    change = replace(symmetric("change", (2,), "int16", plan.most_change), qmin=0)
    weight = np.array([[1.0, -1.0], [-1.0, 1.0]])
    split = Linear.quantize("split_change", pair.outputs[0], change, weight, np.zeros(2))
    ops: list[AbstractOp] = [pair, split]
    if plan.follows_change:
        size = replace(change, name="change_size", shape=(1,))
        ops.append(Linear.quantize("size_change", change, size, np.ones((1, 2)), np.zeros(1)))
        parts = [_follow_steps(f"change{i}", size, step) for i, step in enumerate(CHANGE_STEPS)]
    else:
        parts = [_follow(f"change{i}", change, rate) for i, rate in enumerate(CHANGE_RATES)]
    join = Concat.join("join_changes", tuple(part.output for part in parts), "changes")
    ops += [*(op for part in parts for op in part.ops), join]
    return _Part(tuple(ops), tuple(s for part in parts for s in part.states), join.outputs[0])


def _follow_steps(name: str, x: QTensor, step: float) -> _Part:
    """Return a state that moves towards x by no more than a step: s' = s + limit(x - s)."""
    most = round(step / x.scales[0])
    state = replace(x, name=f"{name}_state", role="state")
    away = QTensor(f"{name}_away", x.shape, "int16", x.scales[0], 0, -most, most)
    update = replace(x, name=f"{name}_update")
    ops = (
        Subtract.quantize(f"{name}_distance", x, state, away),
        Add.quantize(f"{name}_follow", state, away, update),
    )
    return _Part(ops, (State(state, update, 0),), update)


def _average(name: str, size: int, scale: float) -> tuple[QTensor, QTensor]:
    fine = scale / (1 << FRACTION_BITS)
    state = QTensor(f"{name}_state", (size,), "int32", fine, role="state")
    return state, QTensor(f"{name}_update", (size,), "int32", fine)
