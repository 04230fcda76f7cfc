"""Files of TFLite run by LiteRT, and one operator as the stage of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lnn_edge.codegen.tflite.stage_model import Model, stage_models
from lnn_edge.graph.ir import AbstractOp
from tests.codegen.onnx.test_operators import stage_of

Values = dict[str, np.ndarray]


def model_of(op: AbstractOp) -> Model:
    """Return the file of one operator."""
    (model,) = stage_models(stage_of(op), {}, {})
    return model


def step_of(model: Model) -> Callable[[Values], Values]:
    """Return what runs a file; values are integers in the shapes of the graph."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    reader: Any = Interpreter(
        model_content=model.file, experimental_op_resolver_type=plain, num_threads=1
    )
    step = reader.get_signature_runner("step")
    types = {name: told["dtype"] for name, told in step.get_input_details().items()}

    def run(values: Values) -> Values:
        made = step(**{name: values[name].astype(t)[None] for name, t in types.items()})
        return {name: y[0].astype(np.int64) for name, y in made.items()}

    return run
