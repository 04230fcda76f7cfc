"""Imports run one way, and every stem is where a reader looks for it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from lnn_edge.codegen.kernels import KERNELS
from lnn_edge.graph.ops import OPERATORS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lnn_edge"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = [  # a module imports only from its own layer and those above it in this list
    {"errors"},
    {"files"},
    {"data", "graph"},
    {"device", "nn"},
    {"build", "codegen", "tasks"},
    {"report", "train", "verify"},
    {"quantize"},
    {"cli"},
]

ONLY_IN = {  # library -> modules that may import it
    "torch": {"nn", "quantize", "tasks", "train"},
    "h5py": {"data", "nn"},
    "safetensors": {"nn", "train"},
    "jinja2": {"codegen"},
    "serial": {"device"},
    "wfdb": {"data"},
    "click": {"cli"},
    "rich": {"cli"},
    "unicorn": {"device"},
    "sklearn": {"tasks"},
}


def top(path: Path) -> str:
    """Return the first name below the package: a module or a subpackage."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def layer_of(name: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if name in names)


def test_every_module_has_a_layer() -> None:
    named = set().union(*LAYERS)
    assert {top(p) for p in FILES} - {"__init__"} <= named


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    if top(path) == "__init__":
        return
    own = layer_of(top(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "lnn_edge" and len(parts) > 1 and parts[1] in set().union(*LAYERS):
            assert layer_of(parts[1]) <= own, f"{path} imports {name}"
        allowed = ONLY_IN.get(parts[0])
        assert allowed is None or top(path) in allowed, f"{path} imports {name}"


def test_every_operator_has_kernel_and_template() -> None:
    for kind in OPERATORS:
        names = [k.name for k in KERNELS[kind]]
        assert "portable" in names
        assert all((ROOT / "templates" / "ops" / k.template).is_file() for k in KERNELS[kind])


def test_exporting_needs_no_torch() -> None:
    code = (
        "import sys, lnn_edge.codegen.render, lnn_edge.verify.verify; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
