"""A file of TFLite as the player runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Values = dict[str, np.ndarray]


def step_of(path: Path) -> Callable[[Values], Values]:
    """Return what makes the outputs of a file, by name, of its inputs and others."""
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    step = Interpreter(str(path), None, None, 1, plain).get_signature_runner("step")
    io = [(n, t["dtype"]) for n, t in step.get_input_details().items()]  # all have an axis of 1
    return lambda x: {k: y[0] for k, y in step(**{n: x[n].astype(t)[None] for n, t in io}).items()}
