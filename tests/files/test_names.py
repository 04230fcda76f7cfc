"""Names that C takes, and text that fits on a line."""

from __future__ import annotations

import builtins
import keyword
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.errors import GraphError
from lnn_edge.files.names import check_model_name, check_name, check_text, name_fault, shown
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import State
from tests.support.host_c import compile_model
from tests.support.toy import toy_every_graph, toy_staged_graph


@pytest.mark.parametrize("name", ["", "2nd", "a-b", "a b", "größe", "a\n", "a;", None, 3, ["a"]])
def test_what_is_no_identifier_is_refused(name: object) -> None:
    with pytest.raises(GraphError, match="is not a C identifier; rename it"):
        check_name("tensor", name)


@pytest.mark.parametrize(
    "name",
    ["int", "if", "for", "return", "default", "class", "_x", "a__b", "x_t", "INT32_MIN", "NULL"],
)
def test_what_c_keeps_is_refused(name: str) -> None:
    with pytest.raises(GraphError, match="C or C\\+\\+ keeps it; rename it"):
        check_name("tensor", name)


WORDS = (
    "typeof restrict inline nullptr xor wchar_t constexpr concept requires co_await import module "
    "final override alignas thread_local register mutable export friend this signed volatile "
    "noreturn complex imaginary bool string vector state ring frame h x y scores window trigger"
)


@pytest.mark.parametrize("language", ["c11", "gnu11", "gnu17", "c++17", "c++20"])
def test_what_is_taken_is_taken_by_compilers(language: str, tmp_path: Path) -> None:
    """Of every word of Python and some of others: as members beside each other, and as tags."""
    candidates = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *WORDS.split()}
    names = sorted(name for name in candidates if name_fault(name) is None)
    members = "".join(f"int16_t {name}[2];\n" for name in names)
    text = f"#include <stdint.h>\ntypedef struct {{\n{members}}} all;\nall a;\n"
    text += "".join(
        f"int16_t f_{n}(all *c);\nint16_t f_{n}(all *c) {{ return c->{n}[0]; }}\n" for n in names
    )
    source = tmp_path / ("x.cc" if "++" in language else "x.c")
    source.write_text(text)
    command = ["gcc", f"-std={language}", "-Wall", "-Werror", "-fsyntax-only", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(names) > 100


@pytest.mark.parametrize(
    "name", ["main", "stdint", "string", "model_binding", "lnn_runtime", "lnn_board"]
)
def test_a_model_takes_no_header_s_name(name: str) -> None:
    with pytest.raises(GraphError, match="graph name"):
        check_model_name("graph", name)


def test_a_long_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(GraphError, match="has more than 63 characters") as caught:
        check_name("tensor", "a" * 100_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text", ["a\nb", "\x1b[2J", "\u202e", "\u2028", "\ud800", "a" * 256, 3, None]
)
def test_what_does_not_fit_on_a_line_is_refused(text: object) -> None:
    with pytest.raises(GraphError, match="is not printable text on one line"):
        check_text("lead", text)


def test_what_is_shown_has_no_escapes() -> None:
    assert shown("a\x1b[2J\n\u202eb") == "a\\x1b[2J\\n\\u202eb"


def with_names(
    stage: str = "step", ring: str = "samples", state: str = "h", model: str = "toy"
) -> QGraph:
    """Return the toy with other names; its state is called so."""
    graph = toy_every_graph()
    trigger = replace(graph.deciding_trigger, ring=ring)
    first = replace(graph.stages[0], trigger=replace(graph.stages[0].trigger, ring=ring))
    last = replace(graph.deciding_stage, trigger=trigger, name=stage)
    more, update = (QTensor(n, (2,), "int8") for n in (state, f"{state}_next"))
    if state != "h":
        op = Requantize.quantize("keep", more, update)
        kept = State(replace(more, role="state"), update, 0)
        op = replace(op, inputs=(kept.tensor,))
        last = replace(last, ops=(*last.ops, op), states=(*last.states, kept))
    rings = (replace(graph.rings[0], name=ring),)
    return replace(graph, stages=(first, last), rings=rings, name=model)


@pytest.mark.parametrize(
    "names",
    [
        {"state": "counters"},
        {"state": "due"},
        {"state": "samples_ring"},
        {"state": "samples_frames"},
        {"stage": "poll", "model": "run"},
    ],
)
def test_names_that_are_alike_in_c_are_refused(names: dict[str, str]) -> None:
    with pytest.raises(GraphError, match="would be two things in the C of"):
        generate(with_names(**names), HOST)


def test_names_of_locals_and_types_are_free(tmp_path: Path) -> None:
    """They are members, or stand behind a prefix, so nothing is hidden by them."""
    names = {"stage": "ctx", "ring": "frame", "state": "trigger", "model": "run"}
    compile_model(with_names(**names), tmp_path)


def test_two_operators_never_share_weights_by_their_names() -> None:
    """Operator b_c of stage a, and c of stage a_b, would have one symbol."""
    graph = toy_staged_graph()
    first, coarsen, code, decide = graph.stages
    code = replace(code, name="a", ops=(replace(code.ops[0], name="b_c"), *code.ops[1:]))
    decide = replace(decide, name="a_b", ops=(replace(decide.ops[0], name="c"),))
    with pytest.raises(GraphError, match="toy_staged_a_b_c_weight would be two things in the C of"):
        generate(replace(graph, stages=(first, coarsen, code, decide)), HOST)
