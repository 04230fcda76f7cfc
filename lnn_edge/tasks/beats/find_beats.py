"""A model of beats that finds the beats itself: R-peak detector in front of its queue of events."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.biquad import EMPTY, Biquads, biquad_state
from lnn_edge.graph.ops.r_peak_rules import NEW, RPeakRules, RPeakTimes, r_peak_state
from lnn_edge.graph.ops.r_peaks import RPeaks
from lnn_edge.graph.pipeline import Pipeline
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EventTrigger, Stage, State, event_trigger

AnyPipeline = TypeVar("AnyPipeline", bound=Pipeline)

BANDS_HZ = {"slopes": (5.0, 15.0), "peaks": (0.5, 40.0)}
FINER = 4  # steps of the filters' outputs in a step of the samples
SHARE = 136  # of 256, between noise and peaks; chosen on DS1 and svdb, as is TOLD_BLOCKS
TOLD_BLOCKS = 4  # of a third of a second, whose beats are told after it
FILTER_DELAY_S = 1 / 180  # of the band in which peaks are located


def find_beats(graph: QGraph) -> QGraph:
    """Return a model that needs no events from outside; see with_detector.

    Raises:
        UsageError: The model does not decide on events, or finds them already.
    """
    trigger = graph.deciding_trigger
    if not isinstance(trigger, EventTrigger) or trigger.source is not None:
        raise UsageError(
            f"{graph.name} must be a model that decides on beats from outside; it takes no events"
        )
    rate_hz = graph.contract.sample_rate_hz
    if rate_hz is None or rate_hz != int(rate_hz):
        raise UsageError(
            f"{graph.name}: sample_rate_hz must be a whole number of Hz, not {rate_hz}"
        )
    return with_detector(graph, int(rate_hz))


def with_detector(pipeline: AnyPipeline, rate_hz: int) -> AnyPipeline:
    """Return a pipeline that finds the events of which it was told before.

    Every sample: two band-passes (first order each edge), and the detector. A beat is known when
    the detector reports it, up to `RPeakTimes.longest_delay` samples late, so the ring is longer,
    and a decision that waits for the next beat waits longer by what telling of it takes as a rule.

    Args:
        pipeline: Decides on events from outside; its input stage has no operators.
        rate_hz: Its frames a second.
    """
    trigger = event_trigger(pipeline.deciding_stage)
    times = detector_times(rate_hz)
    stage, source = detector_stage(pipeline.stages[0], pipeline.frame, times)
    ring = pipeline.ring(trigger.ring)
    wait = trigger.wait and trigger.wait + times.usual_delay
    reach = max(trigger.post, wait, times.longest_delay + 1)
    length = max(ring.length, -(-(trigger.pre + reach) // 2) * 2)
    deciding = replace(pipeline.deciding_stage, trigger=replace(trigger, source=source, wait=wait))
    return replace(pipeline, stages=(stage, deciding), rings=(replace(ring, length=length),))


def detector_times(rate_hz: int) -> RPeakTimes:
    """Return the times of the detector behind these filters."""
    return RPeakTimes.at(rate_hz, round(FILTER_DELAY_S * rate_hz))


def detector_stage(stage: Stage, frame: QTensor, times: RPeakTimes) -> tuple[Stage, QTensor]:
    """Return an input stage with the detector, and the tensor that reports beats.

    Args:
        stage: Input stage without operators.
        frame: Samples (C,) int16.
        times: Of the detector.
    """
    ops: list[AbstractOp] = []
    states: list[State] = []
    filtered: list[QTensor] = []
    for name, band in BANDS_HZ.items():
        sos = first_order_band(band, times.second)
        y = QTensor(name, frame.shape, "int16", frame.scales[0] / FINER)
        state, update = biquad_state(name, frame, len(sos))
        ops.append(Biquads.quantize(f"band_of_{name}", (frame, state, update, y), sos))
        states.append(State(state, update, EMPTY))
        filtered.append(y)
    event = QTensor("r_peak", (1,), "uint16")
    rules = RPeakRules(times, SHARE, TOLD_BLOCKS)
    state, update = r_peak_state("detector", frame.size, rules)
    inputs = (filtered[0], filtered[1], state)
    outputs = (update, event)
    ops.append(RPeaks.make("detect_r_peaks", inputs, outputs, rules))
    states.append(State(state, update, NEW))
    return replace(stage, ops=tuple(ops), states=tuple(states), outputs=(event,)), event


def first_order_band(band_hz: tuple[float, float], rate_hz: float) -> np.ndarray:
    """Return the Butterworth band-pass with one pole at each edge, (1, 6) sections.

    H(s) = b s / (s^2 + b s + u v), s = (1 - z^-1) / (1 + z^-1), u, v = tan(pi f / rate_hz) at the
    edges, b = v - u: scipy.signal.butter(1, band_hz, "bandpass", fs=rate_hz, output="sos"), whose
    import takes half a second and 80 MB.
    """
    low, high = np.tan(np.pi * np.array(band_hz) / rate_hz).tolist()
    width, centre = high - low, low * high
    whole = 1 + width + centre
    top = [width / whole, 0.0, -width / whole]
    return np.array([[*top, 1.0, 2 * (centre - 1) / whole, (1 - width + centre) / whole]])
