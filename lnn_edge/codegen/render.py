"""Plans and boards -> text of C, linker script and CMake.

The only module that renders templates; no arithmetic beyond offsets happens in them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.codegen.arena import ALIGNMENT
from lnn_edge.codegen.codetext import Code, Templates
from lnn_edge.codegen.header import Header, state_formula
from lnn_edge.codegen.kernels.reach import stays_inside
from lnn_edge.codegen.kernels.unit_loop import UnitLoop, unit_loop
from lnn_edge.codegen.kernels.units import packed_at
from lnn_edge.codegen.model_code import ModelCode
from lnn_edge.codegen.operator_code import C_TYPES, OperatorCode
from lnn_edge.codegen.symbols import VERBS
from lnn_edge.codegen.units import Layer, Part, Units
from lnn_edge.device.board import Board
from lnn_edge.device.board_facts import pin_of
from lnn_edge.device.families import FAMILIES
from lnn_edge.files import resources
from lnn_edge.files.version import VERSION
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops.rescale import AbstractRescale
from lnn_edge.graph.sim.stream import state_layout

RUNTIME_VERSION = 4


def render_model(code: ModelCode) -> dict[str, str]:
    """Return the generated C files by name."""
    env = _environment(resources.path("templates"))
    name = code.graph.name
    states = [s.tensor for s in state_layout(code.graph)]
    context: dict[str, Any] = {"code": code, "graph": code.graph, "states": states}
    context["alignment"] = ALIGNMENT
    context |= {"version": VERSION, "runtime_version": RUNTIME_VERSION}
    context["verbs"] = VERBS + (("trace",) if code.trace else ())
    context["about"] = Header(code.graph, code.unlearned)
    files = {
        f"{name}.h": "model.h.j2",
        f"{name}_units.h": "model_units.h.j2",
        f"{name}.c": "model.c.j2",
        f"{name}_weights.h": "model_weights.h.j2",
        f"{name}_weights.c": "model_weights.c.j2",
        "model_binding.h": "model_binding.h.j2",
    }
    return {file: env.get_template(template).render(context) for file, template in files.items()}


def render_library(code: ModelCode, template: str, more: dict[str, Any]) -> str:
    """Return a file of a model's library.

    Args:
        code: Of the model.
        template: Its name in templates/library/, without the ending.
        more: What the template reads beside it.
    """
    env = _environment(resources.path("templates"))
    context = {"code": code, "graph": code.graph, "about": Header(code.graph, code.unlearned)}
    versions = {"version": VERSION, "package_version": package_version()}
    return env.get_template(f"library/{template}.j2").render(context | versions | more)


def package_version() -> str:
    """Return the version as every build system reads it: three numbers."""
    return ".".join(re.findall(r"\d+", VERSION)[:3])


def render_operator(operator: OperatorCode) -> str:
    """Return the body of one operator's C function."""
    return _render_body(_environment(resources.path("templates")), operator)


def render_board(board: Board) -> dict[str, str]:
    """Return the board's header, linker script and CMake settings by name."""
    env = _environment(resources.path("templates"))
    context = {
        "board": board,
        "family": FAMILIES[board.mcu.family],
        "families": tuple(FAMILIES),
        "version": VERSION,
    }
    files = {
        "lnn_board.h": "board.h.j2",
        "linker.ld": "linker.ld.j2",
        "lnn_board.cmake": "board.cmake.j2",
    }
    return {file: env.get_template(name).render(context) for file, name in files.items()}


@cache
def _environment(templates: Path) -> Templates:
    env = Templates(templates, ctype=_ctype, cinit=_cinit, cbytes=_cbytes, pin=pin_of)
    env.filters["saturated"] = _saturated
    env.filters["limited"] = _limited
    env.filters["state_formula"] = state_formula
    env.globals.update(unit_loop=_unit_loop, uncut=_uncut, packed_at=packed_at)
    env.globals["body"] = lambda operator, trace=False: _render_body(env, operator, trace)
    return env


def _render_body(env: Templates, operator: OperatorCode, trace: bool = False) -> str:
    op = operator.op
    template = env.get_template(f"ops/{operator.kernel.template}")
    x = op.inputs[0] if op.inputs else None
    return template.render(
        op=op, x=x, y=op.outputs[0], c=operator.constants, o=operator, trace=trace
    )


def _uncut(part: Part) -> AbstractRescale | None:
    """Return what gives a part the lowest value of int8 too, where only that is to be cut off."""
    y = part.rescale.outputs[0] if part.rescale else None
    if y is None or part.rescale is None or stays_inside(part.rescale):
        return None
    low, high = RANGES["int8"]
    is_cut = y.dtype == "int8" and (y.qmin, y.qmax) == (-high, high)
    return replace(part.rescale, outputs=(replace(y, qmin=low),)) if is_cut else None


def _unit_loop(operator: OperatorCode, layer: Layer) -> UnitLoop | None:
    assert isinstance(operator.op, Units)
    tables = {
        each.name: Code(symbols["pairs_table"])
        for each in layer.maps
        if "pairs_table" in (symbols := operator.constants_of(each))
    }
    return unit_loop(operator.op, layer, tables)


def _ctype(value: QTensor | np.ndarray) -> Code:
    return Code(C_TYPES[str(value.dtype)])


def _saturated(value: Code, y: QTensor, op: AbstractOp | None = None) -> Code:
    """Return a value in the type and range of y; as it is where `op` proves that it lies inside."""
    return Code("(%s) %s") % (_ctype(y), _limited(value, y, op))


def _limited(value: Code, y: QTensor, op: AbstractOp | None = None) -> Code:
    """Return the same as int32_t."""
    if op is not None and stays_inside(op):
        return value
    if y.dtype in ("int8", "int16"):
        low, high = RANGES[y.dtype]
        if (y.qmin, y.qmax) == (low, high):
            return Code("lnn_saturate_%s(%s)") % (y.dtype, value)
        if (y.qmin, y.qmax) == (-high, high):
            return Code("lnn_saturate_symmetric_%s(%s)") % (y.dtype, value)
    return Code("lnn_saturate(%s, %d, %d)") % (value, y.qmin, y.qmax)


def _cinit(array: np.ndarray) -> Code:
    flat = array.ndim == 1
    rows = [array[i : i + 16] for i in range(0, array.size, 16)] if flat else list(array)
    lines = (", ".join(str(int(v)) for v in row.ravel()) for row in rows)
    return Code(",\n    ".join(lines))


def _cbytes(digest: str) -> Code:
    return Code(", ".join(f"0x{b:02x}" for b in bytes.fromhex(digest)))
