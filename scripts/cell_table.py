"""Writes docs/cells.md: every cell, mode and kind of dt, from the float witness to two cores.

Example: python scripts/cell_table.py -o docs/cells.md
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ncps.torch
import numpy as np
import torch
from ncps.wirings import AutoNCP
from torch import Tensor, nn

from lnn_edge.build.native import load_c
from lnn_edge.build.project import open_project
from lnn_edge.codegen.exporters import export_model
from lnn_edge.codegen.library import LIBRARY
from lnn_edge.codegen.onnx.export import onnx_files
from lnn_edge.codegen.onnx.qdq import qdq_stage
from lnn_edge.codegen.player.pipeline import PIPELINE
from lnn_edge.codegen.project import export
from lnn_edge.codegen.tflite.export import tflite_files
from lnn_edge.device.board import load_board
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import publish, write_whole
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from lnn_edge.nn.imported import Imported
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from lnn_edge.quantize.float_step import network_of
from lnn_edge.quantize.imported import graph_of
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.verify import verify_signals

INPUT, HIDDEN, STEPS, STREAMED, IN_ONNX = 5, 8, 2000, 40, 1000
LINKS = (("host", "stm32f746"), ("virtual", "stm32f746"), ("qemu", "stm32f405"))
CORES = {"M0": "microbit", "M3": "mps2-an385", "M33": "mps2-an505", "M55": "mps3-an547"}
GATED = {"activation": "lecun_tanh"}
HEAD = f"""# Cells

    make cells

Every row is made by that command: a cell with the random weights of its library, {INPUT}
inputs, run from a reset. Float: largest difference of our float cell from the library's (its
cell, fed one elapsed time per sequence) over 60 steps. Simulator: RMSE of the integer output
over {STEPS:,} steps, in percent of its range. Links: steps that differ in any bit, of
{STREAMED}. Instructions: of the poll that takes one step, on the virtual STM32F746, exact. State:
format of what is kept. ONNX exact: decisions of {STREAMED} in onnxruntime that differ from
the simulator in any bit. ONNX float: largest difference of onnxruntime from our float cell over
{IN_ONNX:,} steps. ONNX QDQ: RMSE of onnxruntime from the simulator over them, in percent of
its range. TFLite: the same of LiteRT. C library: decisions of {IN_ONNX:,} that differ in any bit,
compiled for this machine. Cores: steps that differ in any bit in QEMU's {", ".join(CORES)},
{STREAMED} on each.

"""
COLUMNS = (
    "cell",
    "mode",
    "dt",
    "witness",
    "float",
    "simulator",
    "state",
    "host C",
    "virtual F746",
    "QEMU F405",
    "instructions",
    "ONNX exact",
    "ONNX float",
    "ONNX QDQ",
    "TFLite",
    "C library",
    "cores",
)
TAIL = """
ConvLSTM2D has no row: it is no cell of one vector. Its witness is Keras
(`tests/nn/cells/test_convlstm2d.py`, 1e-5, weights and outputs made by
`tests/support/keras/make.py`), its integers follow it over 2,000 steps there, and the network
`har-convlstm-cfc` takes it to host, virtual F746 and QEMU F405
(`tests/tasks/activity/test_activity.py`). Cells of ncps.keras differ by head and sign;
`tests/nn/test_ncps.py` holds them against stored outputs of Keras.
"""


@dataclass(frozen=True)
class Subject:
    """A cell to put in a row: what makes it in its library, and how it is imported."""

    cell: str
    mode: str
    make: Callable[[], nn.Module]
    options: dict[str, Any]


def subjects() -> Iterator[Subject]:
    """Yield every cell of ncps.torch that can be imported."""
    for mode in ("default", "no_gate", "pure"):
        given = {} if mode == "pure" else {"mode": mode}
        yield Subject(
            "CfC",
            mode,
            lambda mode=mode: ncps.torch.CfC(INPUT, HIDDEN, mode=mode, backbone_units=16),
            {**given, **GATED},
        )
    for mode in ("default", "no_gate"):
        yield Subject(
            "wired CfC",
            mode,
            lambda mode=mode: ncps.torch.CfC(INPUT, AutoNCP(12, 3), mode=mode),
            {"mode": mode},
        )
    yield Subject(
        "mixed memory",
        "default",
        lambda: ncps.torch.CfC(INPUT, HIDDEN, mixed_memory=True, backbone_units=16),
        {"mode": "default", **GATED},
    )
    for positivity in ("softplus", "clip"):
        yield Subject(
            "LTC",
            positivity,
            lambda p=positivity: _ltc(p),
            {"unfolds": 6, "positivity": positivity},
        )


def _ltc(positivity: str) -> nn.Module:
    softplus = positivity == "softplus"
    cell: nn.Module = ncps.torch.LTC(INPUT, AutoNCP(12, 3), implicit_param_constraints=softplus)
    return cell


def imported(subject: Subject, dt: float | None, folder: Path) -> tuple[Imported, float]:
    """Return our cell model and its largest difference from the library's."""
    theirs = subject.make().eval()
    torch.save(theirs.state_dict(), folder / "cell.pt")
    ours = import_model(folder / "cell.pt", ImportOptions(dt=dt, **subject.options))
    frames = frames_for(ours, 3, 60, 1)
    wanted = by_library(theirs, frames, dt)
    return ours, float(np.abs(ours.run(frames) - wanted).max())


def by_library(theirs: Any, frames: np.ndarray, dt: float | None) -> np.ndarray:
    """Return the library's outputs, its cell fed step by step with one dt per sequence."""
    x = torch.from_numpy(frames).float()
    state, memory, outputs = torch.zeros(len(x), theirs.state_size), None, []
    with torch.no_grad():
        for t in range(x.shape[1]):
            elapsed = x[:, t, INPUT:] if dt is None else torch.full((len(x), 1), dt)
            if theirs.use_mixed:
                memory = torch.zeros_like(state) if memory is None else memory
                state, memory = theirs.lstm(x[:, t, :INPUT], (state, memory))
            output, state = theirs.rnn_cell(x[:, t, :INPUT], state, elapsed)
            outputs.append(output)
    return torch.stack(outputs, 1).numpy()


def baseline(name: str, folder: Path) -> tuple[Imported, float]:
    """Return LSTM or GRU and its largest difference from torch's."""
    theirs: Any = {"LSTM": nn.LSTM, "GRU": nn.GRU}[name](INPUT, HIDDEN, batch_first=True)
    torch.save(theirs.state_dict(), folder / "cell.pt")
    model = import_model(folder / "cell.pt", ImportOptions())
    frames = frames_for(model, 3, 60, 1)
    with torch.no_grad():
        wanted: Tensor = theirs(torch.from_numpy(frames).float())[0]
    return model, float(np.abs(model.run(frames) - wanted.numpy()).max())


def frames_for(model: Imported, batch: int, steps: int, seed: int) -> np.ndarray:
    """Return random frames, with an elapsed time of 0.1 to 3 s where they hold one."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (batch, steps, INPUT))
    if model.card.dt:
        return x
    return np.concatenate((x, rng.uniform(0.1, 3.0, (batch, steps, 1))), axis=-1)


def row(head: tuple[str, ...], model: Imported, witness: float, folder: Path) -> str:
    """Take a cell model down the road and return its row."""
    graph = graph_of(model, frames_for(model, 4, 500, 2))
    frames = frames_for(model, 1, STEPS, 3)
    wanted = model.run(frames)[0]
    quantized = graph.frame.quantize(frames[0]).astype(np.int16)
    got = np.stack([d.outputs for d in Stream(graph).run(quantized)])
    error = graph.output.dequantize(got) - wanted
    rmse = 100 * np.sqrt(np.mean(error**2)) / np.ptp(wanted)
    cells = [*head, f"{witness:.0e}", f"{rmse:.2f} %", _states(graph)]
    instructions = "-"
    for link, board in LINKS:
        project = folder / f"{link}-{board}"
        export(graph, load_board(board), project)
        signal = Signal("noise", quantized[:STREAMED])
        result = verify_signals(open_project(project), link, [signal])
        cells.append(f"{result.mismatches} of {result.steps}")
        if link == "virtual" and result.counts:
            instructions = str(result.counts.median)
    cells += [instructions, *in_onnx(graph, model, folder), *elsewhere(graph, model, folder)]
    cells.append(on_cores(graph, quantized[:STREAMED], folder))
    return "| " + " | ".join(cells) + " |"


def in_onnx(graph: QGraph, model: Imported, folder: Path) -> tuple[str, str, str]:
    """Return how far onnxruntime is off simulator and float cell: exact, float and QDQ form."""
    frames = graph.frame.quantize(frames_for(model, 1, IN_ONNX, 3)[0]).astype(np.int16)
    exact = _played(onnx_files(graph), folder / "exact", frames[:STREAMED])
    wanted = np.stack([d.outputs for d in Stream(graph).run(frames)])
    differing = int((exact != wanted[:STREAMED]).any(axis=1).sum())
    floats = _played(onnx_files(graph, None, network_of(model, graph)), folder / "float", frames)
    error = np.abs(floats - model.run(graph.frame.dequantize(frames)[None])[0]).max()
    qdq = _played(onnx_files(graph, write=qdq_stage), folder / "qdq", frames)
    return f"{differing} of {len(exact)}", f"{error:.0e}", _apart(qdq, wanted)


def elsewhere(graph: QGraph, model: Imported, folder: Path) -> tuple[str, str]:
    """Return how far LiteRT and the C library are off the simulator."""
    frames = graph.frame.quantize(frames_for(model, 1, IN_ONNX, 3)[0]).astype(np.int16)
    wanted = np.stack([d.outputs for d in Stream(graph).run(frames)])
    files = tflite_files(graph, None, [(frames, np.zeros(0, np.int64))])
    tflite = _played(files, folder / "tflite", frames)
    made = export_model(graph, folder=folder / "library", form=LIBRARY)
    _, library = load_c(made.folder).run(frames)
    differing = int((library != wanted).any(axis=1).sum())
    return _apart(tflite, wanted), f"{differing} of {len(library)}"


def on_cores(graph: QGraph, frames: np.ndarray, folder: Path) -> str:
    """Return the steps that differ on other cores, of all."""
    mismatches = steps = 0
    for board in CORES.values():
        project = folder / board
        export(graph, load_board(board), project)
        result = verify_signals(open_project(project), "qemu", [Signal("noise", frames)])
        mismatches, steps = mismatches + result.mismatches, steps + result.steps
    return f"{mismatches} of {steps}"


def _apart(outputs: np.ndarray, wanted: np.ndarray) -> str:
    rmse = np.sqrt(np.mean((outputs.astype(float) - wanted) ** 2)) / np.ptp(wanted)
    return f"{100 * rmse:.2f} %"


def _played(files: dict[str, str | bytes], folder: Path, frames: np.ndarray) -> np.ndarray:
    """Return the outputs that the player in an export gives."""
    with alone_in(folder):
        publish(folder, files, "onnx", last=PIPELINE)
    np.save(folder / "x.npy", frames)
    command = [sys.executable, "run.py", "x.npy", "y.npz"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with np.load(folder / "y.npz") as results:
        outputs: np.ndarray = results["outputs"]
    return outputs


def _states(graph: QGraph) -> str:
    states = graph.deciding_stage.states
    return ", ".join(sorted({s.tensor.dtype for s in states}))


def rows() -> Iterator[str]:
    """Yield every row."""
    for subject in subjects():
        for dt in (1.0, None):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                torch.manual_seed(0)
                model, witness = imported(subject, dt, folder)
                kind = "input" if dt is None else "constant"
                head = (subject.cell, subject.mode, kind, "ncps.torch")
                yield row(head, model, witness, folder)
    for name in ("LSTM", "GRU"):
        with tempfile.TemporaryDirectory() as place:
            torch.manual_seed(0)
            model, witness = baseline(name, Path(place))
            yield row((name, "", "none", "torch"), model, witness, Path(place))


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    made = []
    for line in rows():
        print(line, flush=True)
        made.append(line)
    rule = "|---" * len(COLUMNS) + "|"
    lines = (f"| {' | '.join(COLUMNS)} |", rule, *made)
    write_whole(given.output, HEAD + "\n".join(lines) + "\n" + TAIL)


if __name__ == "__main__":
    main()
