"""Of several outputs each has its places, classes and real values in C under its own name."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.errors import GraphError
from lnn_edge.files import resources
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from tests.codegen.test_header import header_of, macros_of, run_units
from tests.support.host_c import SANITIZERS, WARNINGS
from tests.support.places import SUPPORT
from tests.support.toy import motion, toy_every_graph, toy_heads_graph

OUTPUTS = SUPPORT / "c" / "outputs.c"


def run_outputs(graph: QGraph, folder: Path, frames: np.ndarray, compiler: str) -> np.ndarray:
    """Return integer and real value of each element of each decision, as a program reads them."""
    for file, text in render_model(generate(graph, HOST)).items():
        (folder / file).write_text(text)
    runtime = resources.path("firmware") / "runtime"
    include, sanitize = (
        [f"-I{folder}", f"-I{runtime}"],
        [*SANITIZERS, "-fsanitize=float-cast-overflow"],
    )
    for source in (*folder.glob("*.c"), *runtime.glob("*.c")):
        target = ["-c", str(source), "-o", str(folder / f"{source.stem}.o")]
        subprocess.run(["gcc", *WARNINGS, *sanitize, *include, *target], check=True)
    defined = {
        "HEADER": f'"{graph.name}_units.h"',
        "MODEL": graph.name,
        "MODEL_IN_CAPITALS": graph.name.upper(),
        "CHANNELS": graph.frame.size,
        "EACH(X)": " ".join(f"X({o.name.upper()}, {o.name})" for o in graph.heads),
    }
    macros = [f"-D{key}={value}" for key, value in defined.items()]
    language = ["-x", "c++", "-std=c++17", *WARNINGS[1:]] if "++" in compiler else WARNINGS
    objects = [str(path) for path in folder.glob("*.o")]
    command = [compiler, *language, *sanitize, *include, *macros, str(OUTPUTS), "-x", "none"]
    program = folder / "outputs"
    done = subprocess.run(
        [*command, *objects, "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    raw = frames.astype("<i2").tobytes()
    said = subprocess.run([program], input=raw, capture_output=True, check=True).stdout
    found = np.frombuffer(said, [("value", "<i2"), ("real", "<f4")])
    return found.reshape(-1, graph.output.size)


@pytest.mark.parametrize("compiler", ["gcc", "g++"])
def test_a_program_reads_each_output_by_its_name(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    graph, frames = toy_heads_graph(), motion(2, 200)
    found = run_outputs(graph, tmp_path, frames, compiler)
    wanted = np.array([d.outputs for d in Stream(graph).run(frames)])
    assert len(wanted) > 40
    assert np.array_equal(found["value"], wanted)
    for output in graph.outputs:
        real = output.part(wanted).astype(np.float32) * np.float32(output.scale)
        assert np.array_equal(output.part(found["real"]), real)


def test_any_element_of_several_outputs_has_its_own_step(tmp_path: Path) -> None:
    graph = toy_heads_graph()
    _, reals = run_units(graph, tmp_path, np.zeros(1, np.float32), "gcc")
    known = np.arange(-32768, 32768).astype(np.float32)
    for found, scale in zip(reals, graph.output.scales, strict=True):
        assert np.array_equal(found, known * np.float32(scale))


def test_several_outputs_are_told_one_by_one() -> None:
    graph = toy_heads_graph()
    text, macros = header_of(graph), macros_of(graph)
    for output, line in zip(
        graph.outputs,
        (
            "3 int16 scores, one per class in the order of toy_heads_class_gait_t, real = score * ",
            "2 int16 values, real = value * 0.001",
            "1 int16 logits, log odds that no rule here decides, real = logit * 0.01",
        ),
        strict=True,
    ):
        assert f" *   {output.name}, from {output.first} on: {line}" in text
        places = [macros[f"OUTPUT_{output.name.upper()}_{what}"] for what in ("FIRST", "SIZE")]
        assert places == [output.first, output.size]
    assert "Decision of gait: one class, that of the largest score" in text
    assert re.findall(r"TOY_HEADS_(CLASS_\w+) = (\d)", text) == [
        ("CLASS_GAIT_STILL", "0"),
        ("CLASS_GAIT_WALK", "1"),
        ("CLASS_GAIT_RUN", "2"),
    ]


def test_scores_anywhere_have_their_classes_counted_from_0() -> None:
    """The places are those in the output, not in the vector."""
    graph = toy_heads_graph()
    gait, pose, strides = graph.heads
    heads = (replace(gait, kind="values"), replace(pose, kind="scores"), strides)
    metadata = {**graph.metadata, "classes": ["up", "down"], "task": "findings"}
    text = header_of(replace(graph, heads=heads, metadata=metadata))
    assert re.findall(r"TOY_HEADS_(CLASS_\w+) = (\d)", text) == [
        ("CLASS_POSE_UP", "0"),
        ("CLASS_POSE_DOWN", "1"),
    ]
    assert "Decision of pose: each class by itself" in text
    assert "#define TOY_HEADS_OUTPUT_ZERO (0)" in text


def test_values_alone_have_no_decision() -> None:
    graph = toy_heads_graph()
    heads = tuple(replace(head, kind="values") for head in graph.heads)
    text = header_of(replace(graph, heads=heads, metadata={}))
    assert "Decision" not in text
    assert "class" not in text


def test_one_output_has_no_names_of_outputs() -> None:
    files = render_model(generate(toy_every_graph(), HOST))
    assert "_output_" not in files["toy_every.h"]
    assert "every_dequantize_output(" in files["toy_every_units.h"]


def test_an_output_that_is_called_as_a_constant_is_refused() -> None:
    graph = toy_heads_graph()
    gait, pose, strides = graph.heads
    stage = graph.deciding_stage
    stages = (graph.stages[0], replace(stage, name="output"))
    named = replace(graph, stages=stages, heads=(gait, pose, replace(strides, name="head_weight")))
    with pytest.raises(GraphError, match="would be two things in the C of toy_heads"):
        generate(replace(named, heads=(gait, pose, replace(strides, name="encoder_bias"))), HOST)
    generate(named, HOST)
