"""A file of ONNX as the player runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

Values = dict[str, np.ndarray]


def step_of(path: Path) -> Callable[[Values], Values]:
    """Return what makes the outputs of a file, by name, of its inputs and others."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # steps are short: threads would wait for one another
    session = onnxruntime.InferenceSession(path, options)
    read, made = ([t.name for t in side] for side in (session.get_inputs(), session.get_outputs()))
    return lambda x: dict(zip(made, session.run(made, {n: x[n] for n in read}), strict=True))
