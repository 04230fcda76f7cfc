"""Writes docs/state_over_length.md and .svg: integers against floats over 10,000 steps of real ECG.

Example: python scripts/state_over_length.py --data-dir DIR -o docs/state_over_length.md
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn_edge.files.write import write_whole
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.nn.cells.cfc import Cfc, CfcConfig
from lnn_edge.nn.cells.gru import Gru
from lnn_edge.nn.cells.lstm import LstmCell
from lnn_edge.nn.cells.ltc import Ltc, LtcConfig
from lnn_edge.nn.cells.mixed_memory import MixedMemory
from lnn_edge.nn.cells.wired_cfc import WiredCfc
from lnn_edge.nn.cells.wirings import auto_ncp, fully_connected, ncp
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.quantize.module import quantize_module
from lnn_edge.report.markup import INVERTED_IN_THE_DARK
from lnn_edge.tasks.recordings import load_labelled

STEPS, RATE_HZ, LEADS, HIDDEN = 10_000, 360, 2, 8
RECORD, LATER = "100", 200_000  # calibration begins at that sample
WINDOW = 250  # steps of a point in the plot
FORMATS = {"int8": 127, "int16": 32767, "int32": (1 << 31) - 1}
TAU_S = 10.0
HEAD = f"""# Integers over {STEPS:,} steps of ECG

    python scripts/state_over_length.py --data-dir DIR -o docs/state_over_length.md

Two leads of MIT-BIH record {RECORD} in mV, {RATE_HZ} Hz, one step a sample, no reset; calibrated on
as many samples nine minutes later. Cells have random weights; `leaky` is an LTC neuron of
{TAU_S:g} s with no synapse from other neurons. Error: of the integer output, in percent of the
float output's range: RMSE of the whole, of the first and the last tenth (a drift would make the
last larger), and the largest. State: what the lowering chose.

| cell | state | RMSE | first tenth | last tenth | largest |
|---|---|---|---|---|---|
"""
FORMAT_HEAD = """
![Error over time](state_over_length.svg)

## Why the states have these formats

The same cells in float64, only the state rounded after every step to 8, 16 or 32 bits over its
range: RMSE of the output in percent of its range. This shows the state alone; weights and
tables are exact.

| cell | int8 | int16 | int32 |
|---|---|---|---|
"""
TAIL = """
States that are overwritten (CfC in every mode) lose nothing in 16 bits. LTC at 360 Hz is useless
in 8 bits and off by more than all of its other errors in 16, so `formats.integrating_dtype`
gives it 32. The leaky neuron gets 32 as well: noise carries it through 16 bits here, a constant
input would not (docs/numerics.md). The CfC of mode no_gate has random weights that make it
sensitive: what 8 bits of any tensor leave out grows, where the other cells forget it.
"""


class Leaky(Ltc):
    """One LTC neuron with a time constant of TAU_S, driven by the inputs alone."""

    def __init__(self) -> None:
        super().__init__(fully_connected(LEADS, 1), LtcConfig(1, "clip"))
        with torch.no_grad():
            self.cm.fill_(TAU_S)
            self.gleak.fill_(1.0)
            self.vleak.fill_(0.0)
            self.w.fill_(0.0)
            self.sensory_w.fill_(0.5)
            self.sensory_sigma.fill_(4.0)
            self.sensory_mu.fill_(0.0)
            self.sensory_erev.copy_(torch.tensor([[1.0], [-0.5]]))


def cells() -> dict[str, nn.Module]:
    """Return every cell, with random weights."""
    torch.manual_seed(1)
    wiring = ncp(LEADS, auto_ncp(12, 3))
    return {
        "CfC default": Cfc(LEADS, HIDDEN, 16),
        "CfC no_gate": Cfc(LEADS, HIDDEN, 16, CfcConfig("no_gate")),
        "CfC pure": Cfc(LEADS, HIDDEN, 16, CfcConfig("pure", head="linear")),
        "wired CfC": WiredCfc(wiring),
        "mixed memory": MixedMemory(LEADS, HIDDEN, 16, "state"),
        "LTC": Ltc(wiring),
        "leaky": Leaky(),
        "LSTM": LstmCell(LEADS, HIDDEN),
        "GRU": Gru(LEADS, HIDDEN),
    }


@dataclass(frozen=True)
class Outcome:
    """Errors of one cell in percent of the output's range, (T,) RMS over the outputs."""

    states: str
    error: np.ndarray
    largest: float
    rounded: dict[str, float]


def measure(cell: nn.Module, calibration: np.ndarray, ecg: np.ndarray) -> Outcome:
    """Run a cell in integers and in float64 with rounded states."""
    dtype = "int16" if isinstance(cell, Ltc) else "int8"
    module = Recurrent([cell], result="outputs", dtype=dtype, dt=1 / RATE_HZ).double().eval()
    graph = quantize_module(module, calibration[None], name="cell")
    with torch.no_grad():
        wanted = module(torch.from_numpy(ecg[None]))[0].numpy()
    quantized = graph.frame.quantize(ecg).astype(np.int16)
    got = np.stack([d.outputs for d in Stream(graph).run(quantized)])
    scale = 100 / np.ptp(wanted)
    error = (graph.output.dequantize(got) - wanted) * scale
    states = {s.tensor.dtype for s in graph.deciding_stage.states}
    outputs = run_rounded(cell, ecg)
    rounded = {
        name: float(np.sqrt(np.mean((outputs[i] - wanted) ** 2)) * scale)
        for i, name in enumerate(FORMATS)
    }
    largest = float(np.abs(error).max())
    return Outcome(", ".join(sorted(states)), np.sqrt((error**2).mean(1)), largest, rounded)


def run_rounded(cell: Any, ecg: np.ndarray) -> np.ndarray:
    """Return outputs (formats, T, O) of the float cell whose states are rounded in each format.

    A format spans what the state reaches in the first fifth, and a quarter more.
    """
    count = len(FORMATS)
    tops = torch.tensor(list(FORMATS.values()), dtype=torch.float64)[:, None]
    samples = torch.from_numpy(ecg).double()
    dt = torch.full((count, 1, 1), 1 / RATE_HZ, dtype=torch.float64)
    bounds = [0.0, 0.0]
    outputs: list[Tensor] = []
    with torch.no_grad():
        state = cell.initial_state(count)
        for sample in samples[: STEPS // 5]:
            _, state = cell(sample.expand(count, 1, LEADS), dt, state)
            bounds = [
                max(b, float(s.abs().max())) for b, s in zip(bounds, _parts(state), strict=False)
            ]
        state = cell.initial_state(count)
        for sample in samples:
            output, state = cell(sample.expand(count, 1, LEADS), dt, state)
            outputs.append(output[:, 0])
            pairs = zip(_parts(state), bounds, strict=False)
            parts = [torch.round(s * tops / (1.25 * b)) / tops * (1.25 * b) for s, b in pairs]
            state = tuple(parts) if isinstance(state, tuple) else parts[0]
    return torch.stack(outputs, 1).numpy()


def _parts(state: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def table(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Yield the rows of the first table."""
    tenth = STEPS // 10
    for name, o in outcomes.items():
        parts = (o.error, o.error[:tenth], o.error[-tenth:])
        figures = [f"{np.sqrt(np.mean(part**2)):.3f} %" for part in parts]
        yield f"| {name} | {o.states} | {' | '.join(figures)} | {o.largest:.3f} % |"


def plot(outcomes: Mapping[str, Outcome]) -> str:
    """Return an SVG: error of each cell over time, logarithmic."""
    width, height, left, top = 760, 330, 50, 20
    low, high = -3.0, 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f"<style>{INVERTED_IN_THE_DARK}</style>",
    ]

    def y(value: float) -> float:
        return top + (high - math.log10(max(value, 10**low))) / (high - low) * 270

    for power in range(int(low), int(high) + 1):
        at = y(10.0**power)
        parts.append(f'<path d="M{left} {at:.0f}H620" stroke="#ddd"/>')
        parts.append(f'<text x="5" y="{at + 4:.0f}">{10.0**power:g} %</text>')
    for index, (name, o) in enumerate(outcomes.items()):
        hue = 360 * index // len(outcomes)
        rms = np.sqrt((o.error.reshape(-1, WINDOW) ** 2).mean(1))
        points = " ".join(
            f"{left + 570 * (i + 0.5) / len(rms):.1f},{y(float(v)):.1f}" for i, v in enumerate(rms)
        )
        color = f"hsl({hue},70%,40%)"
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
        parts.append(f'<text x="630" y="{40 + 16 * index}" fill="{color}">{name}</text>')
    seconds = STEPS / RATE_HZ
    parts.append(f'<text x="{left}" y="{height - 15}">0 s</text>')
    parts.append(f'<text x="585" y="{height - 15}">{seconds:.1f} s</text></svg>')
    return "\n".join(parts) + "\n"


def ecg_of(data_dir: str, start: int) -> np.ndarray:
    """Return STEPS samples of the record in mV, (T, 2)."""
    (recording,) = load_labelled("mitdb", data_dir, records=[RECORD])
    values: np.ndarray = recording.record.values()[start : start + STEPS]
    return values


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    calibration, ecg = (ecg_of(given.data_dir, start) for start in (LATER, 0))
    outcomes = {}
    for name, cell in cells().items():
        outcomes[name] = measure(cell, calibration, ecg)
        print(name, outcomes[name].states, outcomes[name].rounded, flush=True)
    rounded = [
        f"| {name} | " + " | ".join(f"{v:.4f} %" for v in o.rounded.values()) + " |"
        for name, o in outcomes.items()
    ]
    text = HEAD + "\n".join(table(outcomes)) + "\n" + FORMAT_HEAD + "\n".join(rounded) + "\n" + TAIL
    write_whole(given.output, text)
    write_whole(given.output.with_suffix(".svg"), plot(outcomes))


if __name__ == "__main__":
    main()
