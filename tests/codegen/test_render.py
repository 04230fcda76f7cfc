"""What the generated C may not do, and that it depends on the graph and the core alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.codegen.kernels import HOST, Core
from lnn_edge.codegen.model_code import ModelCode
from lnn_edge.codegen.operator_code import Weights
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.files import resources
from lnn_edge.files.shipped import shipped_graph
from lnn_edge.graph.file import graph_sha256, load_graph
from lnn_edge.graph.qgraph import QGraph
from tests.support.projects import needs_arm_gcc, run
from tests.support.toy import toy_graph

M7 = Core("cortex-m7", dsp=True)
CODE = re.compile(r"/\*.*?\*/|//[^\n]*|\"[^\"\n]*\"", re.DOTALL)  # what is no code


@pytest.fixture(scope="module", params=[toy_graph, lambda: load_graph(shipped_graph())])
def graph(request: pytest.FixtureRequest) -> QGraph:
    made: QGraph = request.param()
    return made


def code_of(files: dict[str, str]) -> str:
    return "\n".join(CODE.sub(" ", text) for text in files.values())


@pytest.mark.parametrize("core", [HOST, M7], ids=["portable", "dsp"])
def test_no_condition_changes_a_result(graph: QGraph, core: Core) -> None:
    """The only directives are guards, the version, the language, names, and the twins of loops."""
    allowed = r"#(ifndef \w+_H|define \w+.*|endif|include .*|ifdef __cplusplus|error .*)"
    allowed += r"|#if LNN_RUNTIME_VERSION != \d+"
    allowed += "|#if LNN_HAS_DSP_LOOPS|#else"  # a loop in assembly and its twin in C
    for text in render_model(generate(graph, core)).values():
        for line in map(str.strip, text.splitlines()):
            assert not line.startswith("#") or re.fullmatch(allowed, line), line


@pytest.mark.parametrize("core", [HOST, M7], ids=["portable", "dsp"])
def test_no_floating_point_heap_or_unbounded_stack(graph: QGraph, core: Core) -> None:
    files = render_model(generate(graph, core))
    units = f"{graph.name}_units.h"  # for users who have floats; the model does without it
    assert f'#include "{units}"' not in "".join(files.values())
    code = code_of({name: text for name, text in files.items() if name != units})
    words = set(re.findall(r"[A-Za-z_]\w*", code))
    assert words.isdisjoint({"float", "double", "malloc", "calloc", "free", "alloca", "goto"})
    assert not re.search(r"\d\.\d|\d[eE][+-]?\d", re.sub(r"0x[0-9a-fA-F]+", "", code))


@pytest.mark.target
@needs_arm_gcc
@pytest.mark.parametrize("cpu", ["cortex-m3", "cortex-m4", "cortex-m7"])
def test_nothing_is_called_but_the_model_itself(graph: QGraph, cpu: str, tmp_path: Path) -> None:
    """No library: a float operation or a division in 64 bits would leave a call to one."""
    for name, text in render_model(generate(graph, Core(cpu, dsp=cpu != "cortex-m3"))).items():
        (tmp_path / name).write_text(text)
    runtime = resources.path("firmware") / "runtime"
    sources = [*map(str, tmp_path.glob("*.c")), *map(str, runtime.glob("*.c"))]
    flags = f"-mcpu={cpu} -mthumb -mfloat-abi=soft -std=c11 -O2 -fno-tree-loop-distribute-patterns"
    compiler = ["arm-none-eabi-gcc", *flags.split(), f"-I{tmp_path}", f"-I{runtime}"]
    run([*compiler, "-nostdlib", "-r", *sources, "-o", "all.o"], tmp_path)
    missing = run(["arm-none-eabi-nm", "-u", "all.o"], tmp_path).split()
    assert set(missing) - {"U"} <= {"memcpy", "memset"}


def test_the_same_graph_gives_the_same_text(graph: QGraph) -> None:
    assert render_model(generate(graph, M7)) == render_model(generate(graph, M7))


def test_the_text_names_the_graph_and_no_date(graph: QGraph) -> None:
    files, sha256 = render_model(generate(graph, M7)), graph_sha256(graph)
    assert sha256 in files[f"{graph.name}.c"]
    assert sha256 in files[f"{graph.name}.h"]
    digest = ", ".join(f"0x{b:02x}" for b in bytes.fromhex(sha256))
    assert digest in files[f"{graph.name}.c"]
    assert not re.search(r"20\d\d-\d\d|\d\d:\d\d", "".join(files.values()))


def test_every_global_symbol_begins_with_the_name_of_the_model(
    graph: QGraph, tmp_path: Path
) -> None:
    """Two models, or a model and a user's program, never collide."""
    for name, text in render_model(generate(graph, HOST)).items():
        (tmp_path / name).write_text(text)
    include = f"-I{resources.path('firmware') / 'runtime'}"
    run(
        ["gcc", "-r", "-nostdlib", include, *map(str, tmp_path.glob("*.c")), "-o", "all.o"],
        tmp_path,
    )
    listing = run(["nm", "-g", "--defined-only", "-P", "all.o"], tmp_path)
    symbols = [line.split()[0] for line in listing.splitlines()]
    assert f"{graph.name}_poll" in symbols
    assert [s for s in symbols if not s.startswith(f"{graph.name}_")] == []


def test_equal_constants_are_stored_once() -> None:
    """Both tanh tables of the toy cover the same range in the same format."""
    code = generate(toy_graph(), HOST)
    arrays = [(str(a.dtype), a.tobytes()) for a in code.constants.values()]
    assert len(arrays) == len(set(arrays))
    by_name = {o.op.name: o.constants for o in code.operators}
    assert by_name["ff1_act"]["table"] == by_name["ff2_act"]["table"]
    assert by_name["ff1_act"]["table"] != by_name["gate_act"]["table"]


def test_the_beginning_of_an_array_is_not_stored_again() -> None:
    table = np.arange(20, dtype=np.int16)
    weights = Weights()
    names = weights.take("first", {"table": table}) | weights.take("second", {"part": table[:7]})
    others = weights.take("third", {"bytes": table[:7].view(np.int8), "later": table[1:]})
    assert names == {"table": "first_table", "part": "first_table"}
    assert others == {"bytes": "third_bytes", "later": "third_later"}
    assert np.array_equal(weights.arrays["first_table"], table)


def test_a_window_is_read_in_its_ring_where_one_operator_reads_it() -> None:
    text = render_model(generate(toy_graph(), HOST))["toy.c"]
    assert "lnn_ring_slice(" not in text
    assert "lnn_ring_slot(&ctx->state.samples_ring, 96U, firing->stamp - trigger.pre)" in text
    stage = toy_graph().deciding_stage
    kept = replace(stage, probes=(*stage.probes, stage.ops[0].inputs[0]))
    graph = replace(toy_graph(), stages=(toy_graph().stages[0], kept))
    assert "lnn_ring_slice(" in render_model(generate(graph, HOST))["toy.c"]


def test_the_core_changes_the_kernels_and_not_the_meaning() -> None:
    portable, dsp = generate(toy_graph(), HOST), generate(toy_graph(), M7)
    assert portable.sha256 == dsp.sha256
    assert portable.state_bytes == dsp.state_bytes
    names: list[set[str]] = [{o.kernel.name for o in c.operators} for c in (portable, dsp)]
    assert names[0] == {"portable"} < names[1]


def test_a_trace_point_is_every_written_tensor_in_order() -> None:
    code: ModelCode = generate(toy_graph(), HOST, trace=True)
    written = [t.name for op in toy_graph().deciding_stage.ops for t in op.outputs]
    assert [t.name for _, t in code.trace_points] == written
    text = render_model(code)["toy.c"]
    places = [text.index(f"/* {name} */") for name in written]
    assert np.all(np.diff(places) > 0)
