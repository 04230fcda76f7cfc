"""Writes a model as a C library without hardware: sources, and what build systems read."""

from __future__ import annotations

import json
import re
from typing import Any

from lnn_edge.codegen.kernels import Core
from lnn_edge.codegen.model_code import ModelCode
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import package_version, render_library, render_model
from lnn_edge.errors import UsageError
from lnn_edge.files import resources
from lnn_edge.files.version import VERSION
from lnn_edge.graph.file import graph_bytes
from lnn_edge.graph.qgraph import QGraph

LIBRARY = "library"  # the form in `export --format`
PROVENANCE = "provenance.json"  # the file that a library begins with

_FUNCTION = re.compile(r"^(?!static|LNN_|#|typedef)\w[\w *]*?\b(lnn_\w+)\(", re.MULTILINE)
_BOUND = "model_binding.h"  # for the firmware of a board alone

CORES = {
    "any": Core("any", dsp=False),
    "cortex-m0plus": Core("cortex-m0plus", dsp=False),
    "cortex-m3": Core("cortex-m3", dsp=False),
    "cortex-m4": Core("cortex-m4", dsp=True),
    "cortex-m7": Core("cortex-m7", dsp=True),
    "cortex-m33": Core("cortex-m33", dsp=True),
    "cortex-m55": Core("cortex-m55", dsp=True),
}
"""Cores that a library is made for; "any" is plain C. All give the same bits on any machine."""


def core_named(name: str | None) -> Core:
    """Return a core of CORES; None is "any".

    Raises:
        UsageError: There is none of that name.
    """
    if name is not None and name not in CORES:
        raise UsageError(f"there is no core {name!r}; take one of {', '.join(CORES)}")
    return CORES[name or "any"]


def library_files(
    graph: QGraph, core: Core, unlearned: tuple[str, ...] | None = None
) -> dict[str, str | bytes]:
    """Return the files of a library by path.

    src/ holds all of the C; its external names begin with that of the model, so that libraries of
    several models link into one program.

    Args:
        graph: Model.
        core: Chooses the kernels.
        unlearned: See Header.

    Raises:
        GraphError: Two parts of the model would have the same name in C.
    """
    code = generate(graph, core, unlearned=unlearned)
    sources = library_sources(code)
    about = {
        "sources": sorted(name for name in sources if name.endswith(".c")),
        "headers": sorted(name for name in sources if name.endswith((".h", ".hpp"))),
    }
    files: dict[str, str | bytes] = {f"src/{name}": text for name, text in sources.items()}
    name = graph.name
    for path, template in {
        "CMakeLists.txt": "CMakeLists.txt",
        "zephyr/CMakeLists.txt": "zephyr.cmake",
        "zephyr/Kconfig": "Kconfig",
        "zephyr/module.yml": "module.yml",
        "library.properties": "library.properties",
        f"lnn-edge.{name}.pdsc": "pack.pdsc",
        "Doxyfile": "Doxyfile",
        "README.md": "README.md",
        "examples/dma/dma.c": "dma.c",
        "examples/thread/thread.c": "thread.c",
        f"examples/{name}/{name}.ino": "sketch.ino",
    }.items():
        files[path] = render_library(code, template, about)
    files["library.json"] = _json(_platformio(code))
    files["model.qgraph"] = graph_bytes(graph)
    files[PROVENANCE] = _json(
        {
            "lnn_edge": VERSION,
            "model": name,
            "model_sha256": code.sha256,
            "core": core.name,
        }
    )
    return files


def library_sources(code: ModelCode) -> dict[str, str]:
    """Return C and headers of a library by name, all in one folder."""
    name, runtime = code.graph.name, _runtime()
    private = f'#include "{name}_private.h"\n'
    sources = {file: text for file, text in render_model(code).items() if file != _BOUND}
    sources[f"{name}.c"] = private + sources[f"{name}.c"]
    functions = sorted({f for text in runtime.values() for f in _FUNCTION.findall(text)})
    sources |= call_sources(code)
    sources[f"{name}.hpp"] = render_library(code, "model.hpp", {})
    sources[f"{name}_private.h"] = render_library(code, "private.h", {"functions": functions})
    bodies = [text for file, text in sorted(runtime.items()) if file.endswith(".c")]
    sources[f"{name}_runtime.c"] = private + "\n".join(bodies)
    return sources | {file: text for file, text in runtime.items() if file.endswith(".h")}


def call_sources(code: ModelCode) -> dict[str, str]:
    """Return the C of the calls that a library has beyond those of a project's model."""
    name = code.graph.name
    return {f"{name}_library.{end}": render_library(code, f"library.{end}", {}) for end in "hc"}


def _runtime() -> dict[str, str]:
    """Return the hand-written files by name."""
    folder = resources.path("firmware") / "runtime"
    return {path.name: path.read_text() for path in sorted(folder.glob("*.[ch]"))}


def _platformio(code: ModelCode) -> dict[str, Any]:
    name = code.graph.name
    return {
        "name": name,
        "version": package_version(),
        "description": f"Integer neural network {name}, generated by lnn-edge",
        "frameworks": "*",
        "platforms": "*",
        "headers": f"{name}_library.h",
        "build": {"srcDir": "src", "includeDir": "src"},
    }


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=1, sort_keys=True) + "\n"
