"""A TFLite file as an array for TFLite Micro, with the operators that its resolver needs."""

from __future__ import annotations

from collections.abc import Iterable

from lnn_edge.codegen.codetext import comment
from lnn_edge.codegen.tflite.flat import stored_as
from lnn_edge.codegen.tflite.stage_model import Model
from lnn_edge.files.version import VERSION
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.qgraph import QGraph

_ALIGNMENT = 16  # bytes: TFLite Micro reads constants where they lie
_A_ROW = 12
_METHODS = {
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONV_2D": "AddConv2D",
    "LEAKY_RELU": "AddLeakyRelu",
    "MAX_POOL_2D": "AddMaxPool2D",
    "STRIDED_SLICE": "AddStridedSlice",
}
"""Methods of MicroMutableOpResolver whose name is not the operator's with a capital."""


def micro_files(graph: QGraph, model: Model) -> dict[str, str | bytes]:
    """Return a header and a source with the bytes of a model of 16 bits, by name."""
    name = f"{graph.name}_{model.name}"
    header = f"{model.name}_model.h"
    return {header: _header(graph, model, name), f"{model.name}_model.cc": _source(model, name)}


def method_of(code: str) -> str:
    """Return the method of MicroMutableOpResolver that adds an operator."""
    return _METHODS.get(code, f"Add{code.capitalize()}")


def _header(graph: QGraph, model: Model, name: str) -> str:
    guard = f"{name.upper()}_MODEL_H"
    sources = {s.update.name: s.tensor.name for s in graph.states}
    added = " &&\n         ".join(f"resolver.{method_of(code)}() == 0" for code in model.codes)
    kept = [t for t in model.outputs if t.name in sources]
    carried = "".join(
        f"// after each step: input {sources[t.name]} is output {t.name}\n" for t in kept
    )
    return f"""// {comment(graph.name)}, stage {model.name}, as TFLite: lnn-edge {VERSION}.
// Every tensor has a leading axis of 1; real = scale * (q - zero_point).
{carried}#ifndef {guard}
#define {guard}

extern const unsigned char {name}_model[];
extern const unsigned int {name}_model_len;

// Inputs and outputs by index, with type, shape, scale and zero point of the first channel.
enum {{
{_places(name, "input", model.inputs)}}};
enum {{
{_places(name, "output", model.outputs)}}};

// Operators for tflite::MicroMutableOpResolver<{name}_operators>.
constexpr unsigned int {name}_operators = {len(model.codes)};

// Adds them; returns whether all of them could be.
template <class Resolver>
inline bool {name}_add_operators(Resolver& resolver) {{
  return {added};
}}

#endif  // {guard}
"""


def _places(name: str, side: str, tensors: Iterable[QTensor]) -> str:
    return "".join(
        f"  {name}_{side}_{t.name} = {i},  // {stored_as(t)} {list(t.shape)}, "
        f"{t.scales[0]:.9g}, {t.zero_points[0]}\n"
        for i, t in enumerate(tensors)
    )


def _source(model: Model, name: str) -> str:
    rows = (model.file[i : i + _A_ROW] for i in range(0, len(model.file), _A_ROW))
    data = "".join("  " + " ".join(f"0x{byte:02x}," for byte in row) + "\n" for row in rows)
    return f"""#include "{model.name}_model.h"

alignas({_ALIGNMENT}) const unsigned char {name}_model[] = {{
{data}}};
const unsigned int {name}_model_len = {len(model.file)};
"""
