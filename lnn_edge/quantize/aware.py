"""Quantization-aware training: the integers of a network in its forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from lnn_edge.errors import UsageError
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.scales import Ranges
from lnn_edge.graph.sim import interpreter
from lnn_edge.nn.axes import Axes, first_output
from lnn_edge.nn.model import AbstractStreamNet
from lnn_edge.nn.plan import Plan
from lnn_edge.quantize.assemble import lowering_behind
from lnn_edge.quantize.lowering import Value
from lnn_edge.quantize.trained import calibrated, plan_of


class ThroughIntegers:
    """Scores of a network as its integers say them, with the gradients of the network.

    The network is lowered anew at each call, as its weights then are, and the operators' own
    references run on the batch. Each value y of the network that integers q hold becomes

        y + (real(q) - y), the bracket a constant: real(q) forward, the gradient of y backward

    so what comes after it reads what the device would compute there. Inside a recurrent layer the
    gradients are those of the layer in floating point on the inputs that the device reads. Ranges
    are those of the sequences given, and stay while this object is used.

    Straight-through gradients: Bengio, Leonard and Courville, arXiv:1308.3432 (2013). Integers in
    the forward pass: Jacob et al., CVPR 2018, arXiv:1712.05877.

    Args:
        network: What is trained; on the CPU.
        sequences: Inputs of forward, (1, D, *shape) each, by which the ranges are chosen.

    Raises:
        LayerError: A layer has no operator.
        UsageError: The network is made of layers that are lowered as copies, so that training
            would not reach them.
    """

    def __init__(self, network: AbstractStreamNet, sequences: Sequence[tuple[Tensor, ...]]) -> None:
        self._network, self._plan = network, plan_of(network)
        self._ranges: Ranges = calibrated(self._plan, network.front, sequences).ranges()
        _share(network, self._plan)

    def __call__(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (B, T, classes) twice, as a network without a cell of its own does.

        Args:
            inputs: Of forward in real units, (B, T, *shape), by name.
        """
        lowering = lowering_behind(self._plan, self._ranges, self._network.front)
        stage = replace(
            self._network.front.deciding_stage,
            ops=tuple(lowering.ops),
            states=tuple(lowering.states),
            outputs=(),
            probes=(),
        )
        tensors = self._network.inputs
        given = {t.name: t.quantize(inputs[t.name].numpy()).swapaxes(0, 1) for t in tensors}
        held = {
            node: value
            for node, value in ((n, first_output(v)) for n, v in lowering.values.items())
            if isinstance(value, Value)
        }
        made = {t.name for op in stage.ops for t in op.outputs}
        wanted = made & {value.tensor.name for value in held.values()}
        state = interpreter.initial_state(stage, next(iter(given.values())).shape[1:2])
        integers, _ = interpreter.run_sequence(stage, given, state, tuple(wanted))
        real = {
            node: _real(value, integers[value.tensor.name])
            for node, value in held.items()
            if value.tensor.name in wanted
        }
        run = _StraightThrough(self._plan, real)
        scores = run.run(*(_read(t, given[t.name]) for t in tensors))
        return scores, scores


class _StraightThrough(fx.Interpreter):
    """Runs a network; values that integers hold are theirs, with the gradients of the network."""

    def __init__(self, plan: Plan, real: Mapping[str, Tensor]) -> None:
        super().__init__(plan.traced)
        self._axes, self._real = plan.axes, real

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        first, real = first_output(value), self._real.get(n.name)
        if real is None or n.op in ("placeholder", "get_attr") or not _runs(self._axes.get(n.name)):
            return value
        through = first + (real.reshape(first.shape) - first).detach()
        return (through, *value[1:]) if isinstance(value, tuple) else through


def _runs(axes: Axes | None) -> bool:
    """Return whether a value's first axes are sequences and steps, and the others of one step."""
    return axes is not None and (axes.names[:2] == ("B", "T") or axes.names[:1] == ("BT",))


def _real(value: Value, integers: np.ndarray) -> Tensor:
    """Return (B, T, K) in real units of integers (T, B, *shape)."""
    flat = value.tensor.dequantize(integers).reshape(*integers.shape[:2], -1)
    return torch.from_numpy(flat[..., value.places.ravel()].swapaxes(0, 1).copy()).float()


def _read(tensor: QTensor, integers: np.ndarray) -> Tensor:
    """Return an input (B, T, *shape) as the device reads it, of integers (T, B, *shape)."""
    return torch.from_numpy(tensor.dequantize(integers).swapaxes(0, 1).copy()).float()


def _share(network: AbstractStreamNet, plan: Plan) -> None:
    """Let a plan's layers, which are copies, have the parameters of the network itself."""
    parameters = dict(network.named_parameters())
    for name, copied in list(plan.traced.named_parameters()):
        parameter = parameters.get(name)
        if parameter is None or parameter.shape != copied.shape:
            raise UsageError(
                f"{type(network).__name__}: {name} has other weights in integers than in training; "
                "leave aware_epochs out of the recipe, or take a network of cells of this package"
            )
        owner, _, last = name.rpartition(".")
        plan.traced.get_submodule(owner).register_parameter(last, parameter)
