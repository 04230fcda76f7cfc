"""The player as a script that needs nothing of lnn-edge."""

from __future__ import annotations

import ast
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

_SEAM = "\nfrom lnn_edge.codegen.player.onnx_step import step_of\n"


def player_script(runtime: str) -> str:
    """Return run.py for a runtime: "onnx" or "tflite"."""
    folder = Path(__file__).parent
    package, function = _of_runtime((folder / f"{runtime}_step.py").read_text())
    source = (folder / "play.py").read_text().replace(_SEAM, f"{package}\n")
    return source.replace("\n\nclass Ring", f"\n\n{function}\n\n\nclass Ring", 1)


def load_player(folder: Path) -> Any:
    """Return the player of an exported model, at the start of a record."""
    spec = spec_from_file_location("run", folder / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Player(folder)


def _of_runtime(source: str) -> tuple[str, str]:
    """Return the last import of a module, which is its runtime, and its function."""
    tree = ast.parse(source)
    imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    (function,) = (n for n in tree.body if isinstance(n, ast.FunctionDef))
    return ast.unparse(imports[-1]), ast.get_source_segment(source, function) or ""
