"""A library is imported where its work is done and nowhere else, so that commands start fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

PACKAGE = ROOT / "lnn_edge"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS_OF = {
    "torch": {"nn", "quantize", "sweep", "tasks", "train"},
    "ray": {"sweep"},
    "h5py": {"data", "nn"},
    "safetensors": {"nn", "train"},
    "jinja2": {"codegen", "report"},
    "markupsafe": {"report"},
    "serial": {"device"},
    "wfdb": {"data"},
    "pandas": {"data"},
    "pyarrow": {"data"},
    "pyedflib": {"data"},
    "click": {"cli"},
    "rich": {"cli"},
    "textual": {"cli"},
    "aiohttp": {"cli"},
    "unicorn": {"device"},
    "sklearn": {"tasks"},
    "onnx": {"codegen"},
    "onnxruntime": {"codegen"},
}
HEAVY = {"torch", "onnx", "scipy", "sklearn", "pandas"}


def imports_at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from imports_at_run_time(node)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for node in imports_at_run_time(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for library in (name.split(".")[0] for name in names):
            assert room in ROOMS_OF.get(library, {room}), f"{path} imports {library}"


@pytest.mark.parametrize("module", ["codegen.exporters", "build.cmake", "verify.verify", "report"])
def test_the_way_from_graph_to_report_needs_no_heavy_library(module: str) -> None:
    code = f"import sys, lnn_edge.{module}; print({HEAVY} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
