"""Arrays for TFLite Micro: they compile, name the operators, and run in TFLite Micro alike."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

import lnn_edge as le
from lnn_edge.codegen.tflite.flat import stored_as
from lnn_edge.codegen.tflite.kernels import has_kernels
from lnn_edge.codegen.tflite.micro import method_of
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.sim.interpreter import initial_state, next_state, run_stage
from tests.codegen.tflite.interpreter import model_of, step_of
from tests.graph.ops.cases import MAKERS, Seeded, stress_inputs
from tests.support.places import SUPPORT

ARENA = 400_000
LIQUID = ("exp", "relax", "unfold")  # RSQRT: each runtime has its own table
PROGRAM = """
#include <cstdio>
#include "step_model.h"
struct Resolver {
  int count = 0;
#define ADD(name) int name() { ++count; return 0; }
  METHODS
};
int main() {
  Resolver resolver;
  const bool is_added = cell_step_add_operators(resolver);
  std::printf("%d %d %u %u ", is_added, resolver.count, cell_step_operators, cell_step_model_len);
  std::printf("%d %d\\n", cell_step_input_window, cell_step_output_output);
  return std::fwrite(cell_step_model, 1, cell_step_model_len, stderr) != cell_step_model_len;
}
"""


def exported(tmp_path: Path, name: str) -> Path:
    graph = load_graph(SUPPORT / "imported" / f"{name}.qgraph")
    return Path(le.export(graph, format="tflite", to=tmp_path / "tflite"))


def test_an_array_holds_the_file_and_names_its_operators(tmp_path: Path) -> None:
    folder = exported(tmp_path, "default_head")
    header = (folder / "step_model.h").read_text()
    methods = sorted(set(header.split("resolver.")[1:]))
    names = [text.split("(")[0] for text in methods]
    program = PROGRAM.replace("METHODS", " ".join(f"ADD({name})" for name in names))
    (folder / "main.cc").write_text(program)
    strict = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    built = ["g++", *strict, "main.cc", "step_model.cc", "-o", "main"]
    subprocess.run(built, cwd=folder, check=True)
    done = subprocess.run(["./main"], cwd=folder, check=True, capture_output=True)
    file = (folder / "step.tflite").read_bytes()
    assert done.stderr == file
    told = [int(text) for text in done.stdout.split()]
    assert told[:4] == [1, len(names), len(names), len(file)]
    assert {"AddConv2D", "AddLogistic", "AddTanh"} <= set(names)


def micro_of(file: bytes) -> Any:
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    return runtime.Interpreter.from_bytes(file, arena_size=ARENA)


@pytest.mark.parametrize("maker", MAKERS)
def test_every_kernel_is_one_of_tflite_micro(maker: str) -> None:
    op = next((o for o in (MAKERS[maker](Seeded(s)) for s in range(3)) if has_kernels(o)), None)
    if op is None:
        return  # it is in 64 bits, and gets no array
    model = model_of(op)
    micro, step = micro_of(model.file), step_of(model)
    inputs, apart = stress_inputs(op, 4, 0), 0.0
    for i in range(4):
        given = {
            t.name: np.asarray(x[i]).astype(np.int64)
            for t, x in zip(op.inputs, inputs, strict=True)
        }
        for index, tensor in enumerate(model.inputs):
            micro.set_input(given[tensor.name].astype(stored_as(tensor))[None], index)
        micro.invoke()
        made = step(given)
        for index, tensor in enumerate(model.outputs):
            got = micro.get_output(index)[0].astype(np.int64)
            extent = max(tensor.qmax - tensor.qmin, 1)
            apart = max(apart, float(np.abs(got - made[tensor.name]).max()) / extent)
    assert apart <= (0.002 if maker.startswith(LIQUID) or op.kind in LIQUID else 0.0001)


@pytest.mark.parametrize(
    "name",
    ["lstm_head", "ltc", *(pytest.param(n, marks=pytest.mark.slow) for n in ("pure", "gru"))],
)
def test_a_cell_runs_in_tflite_micro_as_in_litert(name: str, tmp_path: Path) -> None:
    graph = load_graph(SUPPORT / "imported" / f"{name}.qgraph")
    folder = exported(tmp_path, name)
    micro = micro_of((folder / "step.tflite").read_bytes())
    stage, rng = graph.deciding_stage, np.random.default_rng(0)
    types = {t.name: stored_as(t) for t in (*stage.inputs, *(s.tensor for s in stage.states))}
    state = initial_state(stage)
    own = {s.update.name: state[s.tensor.name] for s in stage.states}
    sources = {s.tensor.name: s.update.name for s in stage.states}
    apart, outputs = [], []
    header = (folder / "step_model.h").read_text()
    for _ in range(300):
        (window,) = stage.inputs
        x = rng.integers(window.qmin, window.qmax, window.shape, endpoint=True)
        values = run_stage(stage, {window.name: x}, state)
        state = next_state(stage, values)
        places = _places(header, "input")
        for tensor, index in places.items():
            value = x if tensor == window.name else own[sources[tensor]]
            micro.set_input(np.asarray(value).astype(types[tensor])[None], index)
        micro.invoke()
        made = {t: micro.get_output(i)[0] for t, i in _places(header, "output").items()}
        own |= {name: made[name] for name in own}
        outputs.append(values[graph.output.name])
        apart.append(made[graph.output.name].astype(int) - outputs[-1])
    assert np.sqrt(np.mean(np.square(apart))) < 0.005 * np.ptp(outputs)


def test_a_file_that_keeps_its_states_begins_anew_after_a_reset(tmp_path: Path) -> None:
    micro = micro_of((exported(tmp_path, "lstm_head") / "step.stateful.tflite").read_bytes())
    x = np.full((1, *micro.get_input_details(0)["shape"][1:]), 20_000, np.int16)

    def step() -> list[int]:
        micro.set_input(x, 0)
        micro.invoke()
        made: list[int] = micro.get_output(0).ravel().tolist()
        return made

    first, second = step(), step()
    assert first != second
    micro.reset()
    assert step() == first


def _places(header: str, side: str) -> dict[str, int]:
    lines = [line for line in header.splitlines() if line.startswith(f"  cell_step_{side}_")]
    told = [line.split(",")[0].split(" = ") for line in lines]
    return {name.split(f"_{side}_", 1)[1]: int(index) for name, index in told}


def test_methods_are_named_as_those_of_the_resolver() -> None:
    assert method_of("AVERAGE_POOL_2D") == "AddAveragePool2D"
    assert method_of("STRIDED_SLICE") == "AddStridedSlice"
    assert method_of("CONCATENATION") == "AddConcatenation"
