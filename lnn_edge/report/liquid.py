"""The liquid neurons of a model: which tensors they are, and how quickly they move.

Formulas: Hasani et al. 2021, AAAI 35(9):7657 (LTC); 2022, Nat Mach Intell 4:992 (CfC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lnn_edge.graph.ir import AbstractOp, QTensor, makers_of
from lnn_edge.graph.ops.decay import Decay
from lnn_edge.graph.ops.elementwise import Mix, TimeGate
from lnn_edge.graph.ops.unfold import VIEW_SHIFT, Unfold
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.stage import EventTrigger, Stage

Values = Mapping[str, np.ndarray]
"""Integers (D, *shape) of the deciding stage, by name."""

KINDS = ("mix", "relax", "unfold")
"""Operators that give the next state of liquid neurons: CfC, its pure form, LTC."""
MOST_PROBED = 64  # decisions
PROBE = 1 / 32  # of the range of a state, on either side

OF_CFC = "τ = 1 / |a|: a is the rate at which the gate sigmoid(a dt + b) of the neuron opens"
OF_PURE = "τ = 1 / (|w| + rate), of the exponential by which the neuron decays"
OF_LTC = "τ = capacity / all conductances, which its synapses open and close"
OF_GATE = "τ = -dt / ln(z), z the part of its state that the neuron keeps"
OF_ECHO = (
    "τ = -dt / ln|∂h'/∂h|: how long an echo of its own state lasts, by a small change of the state "
    "and one step of the integer model (with a constant dt the gate tells no rate)"
)


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons that one operator moves.

    Attributes:
        op: The operator.
        label: For people.
        needs: Names of the tensors that time_constants reads.
    """

    op: AbstractOp
    label: str
    needs: tuple[str, ...]

    @property
    def tensor(self) -> QTensor:
        """Their next state."""
        return self.op.outputs[0]

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.tensor.size


@dataclass(frozen=True, eq=False)
class TimeConstants:
    """Effective time constants of a layer.

    Attributes:
        formula: What they are.
        seconds: (D, H), at D decisions; infinite where a neuron does not move.
    """

    formula: str
    seconds: np.ndarray

    def spread(self) -> np.ndarray:
        """Return the 10th, 50th and 90th percentile of each neuron, (3, H)."""
        return np.asarray(np.percentile(self.seconds, (10, 50, 90), axis=0, method="nearest"))


def layers_of(graph: QGraph) -> tuple[Layer, ...]:
    """Return the layers of liquid neurons of the deciding stage, in execution order."""
    stage = graph.deciding_stage
    found = [op for op in stage.ops if op.kind in KINDS and len(op.outputs[0].shape) == 1]
    cells = {"mix": "CfC", "relax": "CfC, pure", "unfold": "LTC"}
    names = ["" if len(found) == 1 else f" {i + 1}" for i in range(len(found))]
    return tuple(
        Layer(op, f"{cells[op.kind]} layer{name}", _needs(stage, op))
        for op, name in zip(found, names, strict=True)
    )


def time_constants(graph: QGraph, layer: Layer, values: Values) -> TimeConstants | None:
    """Return the effective time constants of a layer at each decision.

    Args:
        graph: The model.
        layer: One of layers_of.
        values: Of the tensors that it needs, and of the stage's inputs, from a reset.

    Returns:
        None where the model keeps no state from decision to decision and its cell tells no rate.
    """
    stage, op = graph.deciding_stage, layer.op
    made = makers_of(stage.ops)
    with np.errstate(divide="ignore"):
        if isinstance(op, Unfold):
            return TimeConstants(OF_LTC, _of_membranes(op, values) * _clock(graph, op))
        if op.kind == "relax":
            decay = made[made[op.inputs[0].name].inputs[0].name]
            if not isinstance(decay, Decay):
                return None
            exponent = np.abs(_real(decay.outputs[0], values))
            return TimeConstants(OF_PURE, _elapsed(graph, decay, values) / exponent)
        assert isinstance(op, Mix)
        gate = made[made[op.inputs[2].name].inputs[0].name]
        if isinstance(gate, TimeGate):
            return TimeConstants(OF_CFC, 1 / np.abs(_real(gate.inputs[0], values)))
        return _of_kept_part(graph, op, values) or _of_echo(graph, layer, values)


def activity(layer: Layer, values: Values) -> np.ndarray:
    """Return the states of a layer after each decision, (D, H) from -1 to 1: parts of the range."""
    q = values[layer.tensor.name].reshape(-1, layer.size)
    real = layer.tensor.dequantize(q)
    largest = float(np.abs(real).max()) if real.size else 0.0
    return np.asarray(real / (largest or 1.0))


def interval_s(graph: QGraph) -> float:
    """Return the constant time between two steps of a model's cell; 1 where it is not told."""
    dt = graph.contract.dt
    if isinstance(dt, float):
        return dt
    rate = graph.contract.sample_rate_hz
    if rate is None or isinstance(graph.deciding_trigger, EventTrigger):
        return 1.0
    return graph.stage_pace(graph.deciding_stage)[1] / rate


def _needs(stage: Stage, op: AbstractOp) -> tuple[str, ...]:
    """Return the names of what an operator, and those before it in its cell, read and write."""
    made = makers_of(stage.ops)
    names, ways = [op.outputs[0].name], [t.name for t in op.inputs]
    for _ in range(3):  # gate, its argument, what that is made of
        names += ways
        ways = [t.name for name in ways if name in made for t in made[name].inputs]
    return tuple(n for n in dict.fromkeys(names) if n in made)


def _real(tensor: QTensor, values: Values) -> np.ndarray:
    return np.asarray(tensor.dequantize(values[tensor.name].reshape(-1, tensor.size)))


def _clock(graph: QGraph, op: AbstractOp) -> float:
    """Return the seconds of one step of an operator's elapsed time."""
    elapsed = op.inputs[3:] if isinstance(op, Unfold) else op.inputs[1:]
    return float(elapsed[0].scales[0]) if elapsed else interval_s(graph)


def _elapsed(graph: QGraph, op: AbstractOp, values: Values) -> np.ndarray | float:
    if len(op.inputs) < 2:
        return interval_s(graph)
    return _real(op.inputs[1], values)


def _of_membranes(op: Unfold, values: Values) -> np.ndarray:
    """Return C / d after each step, in steps of dt, for C v' = n - d v; see Unfold."""
    v, den = values[op.outputs[0].name].astype(np.int64), values[op.inputs[2].name]
    shift = VIEW_SHIFT[op.outputs[0].dtype]
    opened = op.currents((v + (1 << shift >> 1)) >> shift)[1]
    capacity = op.capacity.astype(np.float64) * 2.0**op.time_bits / op.unfolds
    constants: np.ndarray = capacity / (den + opened)
    return constants


def _of_kept_part(graph: QGraph, op: Mix, values: Values) -> TimeConstants | None:
    """Return those of a neuron that mixes its old state with a new value, as a GRU does."""
    states = {s.tensor.name for s in graph.deciding_stage.states}
    opened = _real(op.inputs[2], values)
    kept = {op.inputs[0].name: 1 - opened, op.inputs[1].name: opened}
    for name, part in kept.items():
        if name in states:
            seconds = -interval_s(graph) / np.log(np.clip(part, 1e-9, None))
            return TimeConstants(OF_GATE, np.where(part >= 1, np.inf, seconds))
    return None


def _of_echo(graph: QGraph, layer: Layer, values: Values) -> TimeConstants | None:
    """Return those by which a small change of a neuron's own state fades, by differences."""
    stage = graph.deciding_stage
    state = next((s for s in stage.states if s.update.name == layer.tensor.name), None)
    count = min(len(values[layer.tensor.name]), MOST_PROBED)
    if state is None or not count:
        return None
    before = {
        s.tensor.name: _shifted(values[s.update.name][:count], s.initial) for s in stage.states
    }
    own, size = before[state.tensor.name], layer.size
    reach = max(1, round(PROBE * (state.tensor.qmax - state.tensor.qmin)))
    low, high = (
        np.clip(own[:, None, :] + sign * reach * np.eye(size, dtype=np.int64),
                state.tensor.qmin, state.tensor.qmax)
        for sign in (-1, 1)
    )  # fmt: skip
    ends = []
    for probe in (low, high):
        old = {
            n: np.repeat(x[:, None], size, 1).reshape(-1, *x.shape[1:]) for n, x in before.items()
        }
        old[state.tensor.name] = probe.reshape(-1, size)
        given = {t.name: np.repeat(values[t.name][:count].astype(np.int64), size, 0)
                 for t in stage.inputs}  # fmt: skip
        after = interpreter.run_stage(stage, given, old)[layer.tensor.name]
        ends.append(np.einsum("dii->di", after.reshape(count, size, size)))
    moved = np.einsum("dii->di", high - low)
    kept = np.abs(ends[1] - ends[0]) / np.maximum(moved, 1)
    seconds = -interval_s(graph) / np.log(np.clip(kept, 1e-9, 1 - 1e-12))
    return TimeConstants(OF_ECHO, np.where(kept >= 1, np.inf, seconds))


def _shifted(updates: np.ndarray, initial: int) -> np.ndarray:
    """Return what a state was before each step, from what it became."""
    first = np.full((1, *updates.shape[1:]), initial, np.int64)
    return np.concatenate([first, updates[:-1].astype(np.int64)])
