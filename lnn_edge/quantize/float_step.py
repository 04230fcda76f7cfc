"""A float model as one step that keeps no state of its own, and as ONNX."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn

from lnn_edge.codegen.onnx.float_stage import FloatNetwork, Reading
from lnn_edge.codegen.onnx.stage_model import OPSET
from lnn_edge.errors import LayerError, UsageError
from lnn_edge.graph.file import load_graph
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import Stage
from lnn_edge.nn.cells.ltc import Ltc
from lnn_edge.nn.imported import Imported, load_imported
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.nn.model_card import WEIGHTS, kind_of, read_card
from lnn_edge.nn.plan import Plan
from lnn_edge.nn.recurrent import Recurrent
from lnn_edge.nn.timing import make_plan
from lnn_edge.nn.trace import trace
from lnn_edge.quantize.trained import PLANNED, plan_of
from lnn_edge.train.checkpoint import load_trained

States = dict[str, Tensor]


class FloatStep(nn.Module):
    """y, s' = f(x, s): one step of a planned module, states of its recurrent layers as tensors.

    Args:
        plan: One whose layers all run once a step.

    Raises:
        LayerError: A layer reads several steps.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        views = [name for name, timing in plan.timings.items() if timing.is_view]
        if len(plan.road) > 1 or views:
            name = views[0] if views else plan.road[1].nodes[0].name
            raise LayerError(
                f"{name} reads several steps of time; the float form in ONNX carries networks "
                "whose layers all run once a step, so export --format onnx"
            )
        self.plan, self.traced = plan, plan.traced

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return [n.name for n in self.traced.graph.nodes if n.op == "placeholder"]

    def initial_states(self) -> States:
        """Return the states after a reset by name, the batch 1."""
        states: States = {}
        for node in self.traced.graph.nodes:
            layer = self.plan.layer_of(node)
            if isinstance(layer, Recurrent) and node.name not in self.plan.at_rest:
                for index, cell in enumerate(layer.cells):
                    start = cast(Any, cell).initial_state(1)
                    states |= dict(zip(_names(node, index, start), _flat(start), strict=True))
        return states

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Return outputs side by side (1, 1, O), and the next states, of inputs and states."""
        count = len(self.inputs)
        states = dict(zip(self.initial_states(), given[count:], strict=True))
        run = _Step(self.plan, states)
        run.run(*given[:count])
        outputs = [run.env[node].reshape(1, 1, -1) for node in self.plan.outputs.values()]
        return (torch.cat(outputs, -1), *run.states.values())


class _Step(fx.Interpreter):
    """Runs a traced module on one step; its states are replaced by the next ones."""

    def __init__(self, plan: Plan, states: States) -> None:
        super().__init__(plan.traced, garbage_collect_values=False)
        self._plan, self.states = plan, states

    def run_node(self, n: fx.Node) -> Any:
        """Run a recurrent layer from the states, anything else as it is."""
        layer = self._plan.layer_of(n)
        if not isinstance(layer, Recurrent) or n.name in self._plan.at_rest:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        x, dt = (
            args[0],
            layer.elapsed(args[0], kwargs.get("timespans", dict(enumerate(args)).get(2))),
        )
        last = []
        for index, module in enumerate(layer.cells):
            cell = cast(Any, module)
            start = cell.initial_state(1)
            names = _names(n, index, start)
            state: Any = tuple(self.states[name] for name in names)
            state = state if isinstance(start, tuple) else state[0]
            if isinstance(cell, Ltc):  # its scan over time is compiled, or in torch by hand
                y, state = cell.step(x[:, 0], state, dt[:, 0])
                x = y[:, None]
            else:  # with a tap a cell computes step by step, by operations of torch
                x, state = cell(x, dt, state, lambda _, value: value)
            self.states.update(zip(names, _flat(state), strict=True))
            last.append(state)
        return layer.returned(x if layer.readout is None else layer.readout(x), last)


def _names(node: fx.Node, index: int, state: Any) -> list[str]:
    return [f"{node.name}_{index}_{part}" for part in "hc"[: len(_flat(state))]]


def _flat(state: Any) -> Sequence[Tensor]:
    return state if isinstance(state, tuple) else (state,)


def onnx_of(step: FloatStep, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return a step as ONNX.

    Args:
        step: In evaluation mode.
        shapes: Of inputs, without batch and time.
    """
    states = step.initial_states()
    example = (*(torch.zeros(1, 1, *shapes[name]) for name in step.inputs), *states.values())
    names = [*step.inputs, *states]
    outputs = ["output", *(f"{name}_next" for name in states)]
    buffer: Any = io.BytesIO()  # torch takes one, and says so nowhere
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch, about its own exporter and fixed shapes
        torch.onnx.export(
            step,
            example,
            buffer,
            input_names=names,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=False,
        )
    return bytes(buffer.getvalue())


def float_network(path: Path) -> FloatNetwork:
    """Return the network in floating point that a graph was made of.

    Args:
        path: The graph's file, its weights beside it.

    Raises:
        LayerError: See FloatStep.
        UsageError: There are no weights, or they are of another graph.
    """
    graph, card = load_graph(path), read_card(path.parent)
    if card is None or not (path.parent / WEIGHTS).is_file():
        raise UsageError(
            f"there is no {WEIGHTS} beside {path}; the float form needs the weights that the graph "
            "was made of, so give the folder of a trained or imported model"
        )
    if card.get("weights_sha256") != graph.metadata.get("weights_sha256"):
        raise UsageError(f"{path} was not made from the weights beside it; quantize again")
    if kind_of(card) == "imported":
        return network_of(load_imported(path.parent), graph)
    return _of_trained(load_trained(path.parent).network)


def _of_trained(network: AbstractStreamNet) -> FloatNetwork:
    readings = {t.name: Reading(t, t.shape) for t in network.inputs}
    return _network(FloatStep(plan_of(network)), readings, network.front.deciding_stage)


def network_of(model: Imported, graph: QGraph) -> FloatNetwork:
    """Return an imported model as the network behind the frames of its graph.

    Raises:
        LayerError: See FloatStep.
    """
    frames = np.zeros((1, PLANNED, model.channels), np.float32)
    given = [torch.from_numpy(x) for x in model.inputs(frames)]
    step = FloatStep(make_plan(trace(model.module, given), given))
    stage, readings, first = graph.deciding_stage, dict[str, Reading](), 0
    for name, x in zip(step.inputs, given, strict=True):
        end = first + x.shape[-1]
        readings[name] = Reading(stage.inputs[0], (x.shape[-1],), first, end)
        first = end
    return _network(step, readings, replace(stage, ops=(), states=(), outputs=(), probes=()))


def _network(step: FloatStep, readings: dict[str, Reading], front: Stage) -> FloatNetwork:
    step.eval()
    shapes = {name: reading.shape for name, reading in readings.items()}
    states = step.initial_states()
    with torch.no_grad():
        example = [torch.zeros(1, 1, *shape) for shape in shapes.values()]
        size = step(*example, *states.values())[0].shape[-1]
    sizes = {name: tuple(state.shape) for name, state in states.items()}
    return FloatNetwork(onnx_of(step, shapes), readings, sizes, size, front)
