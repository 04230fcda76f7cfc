"""The workloads: graphs with weights from seeds, the shipped models, and frames for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from lnn_edge.files.shipped import graph_path
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.biquad import EMPTY, Biquads, biquad_state
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.ops.stft import StftMagnitude
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import EveryTrigger, InputTrigger, Ring, Stage, State
from lnn_edge.nn.alone import cell_alone
from lnn_edge.nn.cells.cfc import Cfc
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.ltc import Ltc
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, fully_connected, ncp
from lnn_edge.quantize.module import quantize_module
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.findings.front_end import column_tensor
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import find_task
from lnn_edge.verify.bench.workload import Workload

if TYPE_CHECKING:
    from torch import nn

RANGE = 600  # of random frames: six steps of int8
STEPS = 64  # of the sequences that cells are calibrated on; one of them is run
BEAT_FRAMES, LEAD_FRAMES = 3600, 5376  # 14 beats; to the second decision of ccfc


def _windowed(ops: tuple[AbstractOp, ...], frame: QTensor, window: QTensor, name: str) -> QGraph:
    """Return a graph that runs operators on windows that do not overlap; the last gives its output.

    Its first operator reads `window`.
    """
    give = _start_of(ops[-1].outputs[0])
    length = window.shape[0]
    stage = Stage(
        "step",
        EveryTrigger("frames", window, length, length),
        (*ops, give),
        (),
        give.outputs,
    )
    stages = (Stage("sample", InputTrigger(frame, "frames")), stage)
    return QGraph(stages, (Ring("frames", frame, length),), name, {})


def _start_of(tensor: QTensor) -> Slice:
    y = QTensor("y_out", (min(tensor.size, 4),), "int16", tensor.scales[0])
    return Slice.quantize("give", tensor, y)


def _noise(length: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(-RANGE, RANGE, (length, channels)).astype(np.int16)


def linear(columns: int, rows: int) -> Workload:
    """Return one matrix on int8."""
    rng = np.random.default_rng(0)
    frame = QTensor("frame", (columns,), "int16", 0.01, role="input")
    window = QTensor("window", (1, columns), "int16", 0.01, role="input")
    x, y = QTensor("x", (columns,), "int8", 0.05), QTensor("y", (rows,), "int8", 0.1)
    weight = rng.normal(0, 1 / np.sqrt(columns), (rows, columns))
    op = Linear.quantize("fc", x, y, weight, rng.normal(0, 0.2, rows))
    graph = _windowed((Slice.quantize("take", window, x), op), frame, window, "fc")
    return Workload(graph, _noise(4, columns), counted=("fc",))


def convolution(frames: int, channels: int, filters: int, taps: int, stride: int) -> Workload:
    """Return one convolution over time on int8."""
    rng = np.random.default_rng(0)
    frame = QTensor("frame", (channels,), "int16", 0.01, role="input")
    window = QTensor("window", (frames, channels), "int16", 0.01, role="input")
    x = QTensor("x", (frames, channels), "int8", 0.05)
    y = QTensor("y", ((frames - taps) // stride + 1, filters), "int8", 0.1)
    weight = rng.normal(0, 1 / np.sqrt(taps * channels), (filters, channels, taps))
    op = Conv1d.quantize("conv", x, y, weight, rng.normal(0, 0.2, filters), stride)
    take = Requantize.quantize("take", window, x)
    graph = _windowed((take, op), frame, window, "conv")
    return Workload(graph, _noise(2 * frames, channels), counted=("conv",))


def stft(length: int) -> Workload:
    """Return a column of the short-time Fourier transform of one lead."""
    frame = QTensor("frame", (1,), "int16", 1 / 4000, role="input")
    window = QTensor("window", (length, 1), "int16", 1 / 4000, role="input")
    y = QTensor("y", (1, length // 2 + 1), "int8", column_tensor("column", ()).scale, -128)
    op = StftMagnitude.quantize("stft", window, y)
    graph = _windowed((op,), frame, window, "stft")
    return Workload(graph, _noise(2 * length, 1), counted=("stft",))


def biquads(channels: int, order: int) -> Workload:
    """Return a band-pass of `order` sections a channel; a decision is a frame."""
    frame = QTensor("frame", (channels,), "int16", 1 / 1000, role="input")
    y = QTensor("band_passed", (channels,), "int16", 1 / 4000)
    window = QTensor("window", (1, channels), "int16", 1 / 4000, role="input")
    sos = signal.butter(order, (0.5, 40), "bandpass", fs=500, output="sos")
    state, update = biquad_state("band_pass", frame, len(sos))
    op = Biquads.quantize("band_pass", (frame, state, update, y), sos)
    give = _start_of(window)
    stages = (
        Stage("sample", InputTrigger(frame, "frames"), (op,), (State(state, update, EMPTY),), (y,)),
        Stage("step", EveryTrigger("frames", window, 1, 1), (give,), (), give.outputs),
    )
    graph = QGraph(stages, (Ring("frames", y, 1),), "biquads", {})
    return Workload(graph, _noise(200, channels), counted=("band_pass",))


def recurrent(
    make: Callable[[], nn.Module], size: int, dt: float | None, dtype: str, steps: int = 1
) -> Workload:
    """Return a cell by itself, of `size` inputs; dt None reads elapsed time from the frames."""
    module = cell_alone(make, dt, dtype)
    rng = np.random.default_rng(2)
    x, elapsed = rng.normal(0, 1, (4, STEPS, size)), rng.uniform(0.1, 3.0, (4, STEPS, 1))
    given = x if dt else (x, elapsed)
    graph = quantize_module(module, given, name="cell", dt=None if dt else "input")
    real = x[0] if dt else np.concatenate((x[0], elapsed[0]), -1)
    frames = graph.frame.quantize(real).astype(np.int16)
    counted = tuple(op.name for op in graph.deciding_stage.ops)
    return Workload(graph, frames, counted=counted, steps=steps)


def beats(finds_them: bool = False) -> Workload:
    """Return the shipped model of beats on the first record that comes with the package."""
    graph, record = load_graph(graph_path(None)), load_labelled(find_task("beats").shown)[1]
    frames = record.frames[:BEAT_FRAMES]
    if finds_them:
        return Workload(find_beats(graph), frames)
    return Workload(graph, frames, tuple(int(e) for e in record.events if e < len(frames)))


def r_peaks() -> Workload:
    """Return the detector of R peaks on two leads."""
    found = beats(finds_them=True)
    return replace(found, counted=("detect_r_peaks",), is_per_frame=True)


def findings(name: str) -> Workload:
    """Return a shipped model of twelve leads on a generated record."""
    record = load_labelled(find_task("findings").shown)[0]
    repeats = -(-LEAD_FRAMES // len(record.frames))
    frames = np.concatenate([record.frames] * repeats)[:LEAD_FRAMES]
    return Workload(load_graph(graph_path(Path(name))), frames)


def rhythm(name: str) -> Workload:
    """Return a shipped model of one lead on a generated record, in which it finds the beats."""
    record = load_labelled(find_task("rhythm").shown)[0]
    return Workload(load_graph(graph_path(Path(name))), record.frames[:BEAT_FRAMES])


_LTC = partial(fully_connected, 16, 32)
_AUTO = partial(ncp, 16, auto_ncp(20, 6))
WORKLOADS: dict[str, Callable[[], Workload]] = {
    "fc_64x64": partial(linear, 64, 64),
    "fc_256x128": partial(linear, 256, 128),
    "conv_w2": partial(convolution, 256, 12, 16, 5, 2),
    "lstm_w3": lambda: recurrent(lambda: LstmCell(32, 32), 32, 1.0, "int8", steps=64),
    "cfc_w4": lambda: recurrent(lambda: Cfc(16, 32, 64), 16, None, "int8"),
    "cfc_w4_const": lambda: recurrent(lambda: Cfc(16, 32, 64), 16, 1.0, "int8"),
    "ltc_32": lambda: recurrent(lambda: Ltc(_LTC()), 16, None, "int16"),
    "autoncp_20_6_ltc": lambda: recurrent(lambda: Ltc(_AUTO()), 16, None, "int16"),
    "autoncp_20_6_cfc": lambda: recurrent(lambda: WiredCfc(_AUTO()), 16, None, "int8"),
    "biquads_12x2": partial(biquads, 12, 2),
    "stft_256": partial(stft, 256),
    "r_peaks_2": r_peaks,
    "beats_0_1": beats,  # of version 0.1: still the graph that ships; a test holds its hash
    "ecg-beats-cfc": beats,
    "ecg-beats-cfc+find": partial(beats, finds_them=True),
    **{name: partial(findings, name) for name in ("ccfc", "cltc")},
    "rhythm-beats-cfc": partial(rhythm, "rhythm-beats-cfc"),
}
"""What makes each workload, by its name."""
