"""From raw ADC samples and R peaks to the beat network's inputs, in integers. No torch here.

The same operators prepare the training data and run on the board, so there is one preprocessing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lnn_edge.formats import symmetric
from lnn_edge.ir import AbstractOp, EventTrigger, QTensor, Ring, Stage, State
from lnn_edge.ops.elementwise import Concat
from lnn_edge.ops.leaky import EMPTY, FRACTION_BITS, LeakyAverage
from lnn_edge.ops.linear import Linear
from lnn_edge.ops.lut import Lut
from lnn_edge.ops.normalize import Normalize
from lnn_edge.ops.window import Center, Decimate, MeanAbs

SAMPLE_RATE_HZ = 360
CHANNELS = 2
ADC_GAIN = 200.0  # steps per mV
FACTOR = 3  # 360 Hz -> 120 Hz
PRE, POST = 138, 162  # 0.383 s before the R peak, 0.450 s from it on
LONGEST_WAIT = 540  # 1.5 s
FIRST_DT = 288  # 0.8 s: 75 beats per minute
DT_RANGE = (36, 1080)  # 0.1 s to 3 s
EVENT_CAPACITY = 8
SLACK = 36  # an event may be reported 0.1 s late at the longest wait
GAIN = 16  # int8 steps per mean magnitude: the window saturates at 8 times the mean
AMPLITUDE_FLOOR = 2  # ADC steps: 10 microvolts
AMPLITUDE_RATE = 1 / 8
FAST_RATE, SLOW_RATE = 1 / 8, 1 / 48
LOG_STEP_BITS = 3
RHYTHM = (  # rows over (log2 dt, log2 dt_next, fast average, slow average)
    (1.0, 0.0, -1.0, 0.0),
    (1.0, 0.0, 0.0, -1.0),
    (0.0, 1.0, -1.0, 0.0),
    (-1.0, 1.0, 0.0, 0.0),
    (0.0, 0.0, 1.0, 0.0),
)
RHYTHM_BOUND = 2.0  # octaves


@dataclass(frozen=True)
class FrontEnd:
    """The integer front end of one deciding stage.

    Attributes:
        ring: Raw samples.
        frame: One frame of raw samples.
        stage: Trigger, operators and states; outputs are `window` and `rhythm`.
        window: Normalised window (T, C) int8.
        rhythm: Rhythm features (F,) int8.
        dt: Elapsed time, uint16 samples.
    """

    ring: Ring
    frame: QTensor
    stage: Stage
    window: QTensor
    rhythm: QTensor
    dt: QTensor


def front_end(wait: int = LONGEST_WAIT) -> FrontEnd:
    """Build the front end.

    Window: box mean of 3 samples, minus its mean, divided by the leaky average over beats of its
    mean magnitude, per lead. Rhythm: differences of log2 RR, with its leaky averages over beats.

    Args:
        wait: Longest wait for the next R peak in samples; 0 decides without it.
    """
    frame = QTensor("adc", (CHANNELS,), "int16", 1 / ADC_GAIN, role="input")
    ring = Ring("samples", frame, -(-(PRE + max(POST, wait) + SLACK) // 2) * 2)
    raw = QTensor("raw_window", (PRE + POST, CHANNELS), "int16", 1 / ADC_GAIN, role="input")
    dt = QTensor("dt", (1,), "uint16", 1 / SAMPLE_RATE_HZ, 0, *DT_RANGE, "input")
    dt_next = QTensor(
        "dt_next", (1,), "uint16", 1 / SAMPLE_RATE_HZ, 0, DT_RANGE[0], LONGEST_WAIT, "input"
    )
    shape = _shape(raw)
    rhythm = _rhythm(dt, dt_next if wait else None)
    trigger = EventTrigger(
        "samples", raw, dt, dt_next if wait else None, FIRST_DT, PRE, POST, wait, EVENT_CAPACITY
    )
    outputs = (shape.outputs[0], rhythm.outputs[0])
    stage = Stage("beat", trigger, shape.ops + rhythm.ops, shape.states + rhythm.states, outputs)
    return FrontEnd(ring, frame, stage, *outputs, dt)


@dataclass(frozen=True)
class _Part:
    ops: tuple[AbstractOp, ...]
    states: tuple[State, ...]
    outputs: tuple[QTensor, ...]


def _shape(raw: QTensor) -> _Part:
    frames = raw.shape[0] // FACTOR
    adc = raw.scales[0]
    coarse = QTensor("coarse", (frames, CHANNELS), "int16", adc)
    centred = QTensor("centred", (frames, CHANNELS), "int16", adc)
    level = QTensor("level", (CHANNELS,), "int16", adc, qmin=0)
    average, average_next = _average("amplitude", CHANNELS, adc)
    amplitude = QTensor("amplitude", (CHANNELS,), "int16", adc)
    window = QTensor("window", (frames, CHANNELS), "int8", 1 / GAIN)
    ops = (
        Decimate.quantize("decimate", raw, coarse, FACTOR),
        Center.quantize("center", coarse, centred),
        MeanAbs.quantize("mean_abs", centred, level),
        LeakyAverage.quantize(
            "amplitude_average", level, average, average_next, amplitude, AMPLITUDE_RATE
        ),
        Normalize("normalize", (centred, amplitude), (window,), GAIN, AMPLITUDE_FLOOR),
    )
    return _Part(ops, (State(average, average_next, EMPTY),), (window,))


def _rhythm(dt: QTensor, dt_next: QTensor | None) -> _Part:
    log = symmetric("log_dt", (1,), "int16", 4.0)
    ops: list[AbstractOp] = [Lut.quantize("log_dt_table", dt, log, "log2", LOG_STEP_BITS)]
    states: list[State] = []
    parts = [log]
    if dt_next is not None:
        log_next = symmetric("log_next", (1,), "int16", 4.0)
        ops.append(Lut.quantize("log_next_table", dt_next, log_next, "log2", LOG_STEP_BITS))
        parts.append(log_next)
    for name, rate in (("fast", FAST_RATE), ("slow", SLOW_RATE)):
        state, update = _average(name, 1, log.scales[0])
        view = symmetric(f"{name}_view", (1,), "int16", 4.0)
        ops.append(LeakyAverage.quantize(f"{name}_average", log, state, update, view, rate))
        states.append(State(state, update, EMPTY))
        parts.append(view)
    join = Concat.join("join_logs", tuple(parts), "logs")
    weight = np.array(RHYTHM)
    if dt_next is None:
        weight = np.delete(weight[weight[:, 1] == 0], 1, axis=1)
    rhythm = symmetric("rhythm", (len(weight),), "int8", RHYTHM_BOUND)
    mix = Linear.quantize("rhythm_features", join.outputs[0], rhythm, weight, np.zeros(len(weight)))
    return _Part((*ops, join, mix), tuple(states), (rhythm,))


def _average(name: str, size: int, scale: float) -> tuple[QTensor, QTensor]:
    fine = scale / (1 << FRACTION_BITS)
    state = QTensor(f"{name}_state", (size,), "int32", fine, role="state")
    return state, QTensor(f"{name}_update", (size,), "int32", fine)
