"""Every built-in network with fixed weights and inputs, to compare how it is lowered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lnn_edge.files import resources
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.recordings import load_labelled
from lnn_edge.tasks.registry import make_network
from lnn_edge.train.checkpoint import load_trained, prepare, real_inputs
from lnn_edge.train.recipe import load_recipe
from tests.support.places import SUPPORT

LOWERED = SUPPORT / "lowered.json"
"""Ranges and operators of each trial, as hand-written lowering gave them; tables as of today."""
_COLUMNS = {"filters": 4, "dense_units": 12, "bins": 6, "hop": 2}
_LIQUID = {**_COLUMNS, "neurons": 10}
_GATES = {"relu": "sigmoid", "tanh": "hard_sigmoid"}


@dataclass(frozen=True)
class Trial:
    """A network in evaluation mode and its inputs, (1, T, *shape) by name, of each sequence."""

    network: Any
    sequences: tuple[Mapping[str, Tensor], ...]


def findings(name: str, activation: str) -> Trial:
    """Return a small network of 12 leads, on random columns."""
    model: dict[str, Any] = {**_COLUMNS, "activation": activation}
    if name != "cnn12":
        model = {**_LIQUID, **model, "recurrent_activation": _GATES[activation]}
    network: Any = _made(name, model)
    (window,) = network.inputs
    rng = np.random.default_rng(0)
    values = [rng.integers(-128, 0, (1, 20, *window.shape)) for _ in range(2)]
    sequences = tuple({"window": torch.from_numpy(window.dequantize(v)).float()} for v in values)
    return Trial(network, sequences)


def activity(recipe: str) -> Trial:
    """Return a recipe's network on generated motion."""
    plan = load_recipe(recipe)
    network: Any = _made(plan.network, plan.model)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm1d)):
            norm.running_mean.uniform_(-0.3, 0.3)
            norm.running_var.uniform_(0.5, 2.0)
    return Trial(network, _real(network, load_labelled("synthetic-activity")[:3]))


def beats() -> Trial:
    """Return the shipped network on the excerpts."""
    network: Any = load_trained(Path(resources.path("models")) / "ecg-beats-cfc").network.eval()
    return Trial(network, _real(network, load_labelled("excerpts")))


TRIALS = {
    "ecg-beats-cfc": beats,
    **{n: (lambda n=n: activity(n)) for n in ("har-demo", "har-cfc", "har-convlstm-cfc")},
    **{
        f"{n}.{a}": (lambda n=n, a=a: findings(n, a))
        for n in ("ccfc", "cltc", "ccfc-stream", "cltc-stream", "cnn12")
        for a in _GATES
    },
}


def meanings(graph: QGraph) -> Iterator[tuple[str, str]]:
    """Yield name and hash of every operator; the hash covers all but names."""
    for op in graph.ops:
        kind, tensors, attributes = meaning(op)
        hashed = repr((kind, tensors, [(name, _plain(value)) for name, value in attributes]))
        yield op.name, hashlib.sha256(hashed.encode()).hexdigest()[:16]


def meaning(op: AbstractOp) -> tuple[str, list[tuple[Any, ...]], list[tuple[str, Any]]]:
    """Return kind, formats and attributes of an operator."""
    tensors = [
        (t.shape, t.dtype, t.scales, t.zero_points, t.qmin, t.qmax)
        for t in (*op.inputs, *op.outputs)
    ]
    names = {f.name for f in fields(op) if f.compare} - {"name", "inputs", "outputs"}
    return op.kind, tensors, [(name, getattr(op, name)) for name in sorted(names)]


def is_alike(one: object, other: object) -> bool:
    """Whether two meanings are equal but for the last digits that machines add up differently."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(is_alike, one, other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        least = 1 if one.dtype.itemsize >= 4 else 0  # of a rounded bias; weights are equal
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and np.allclose(one, other, rtol=1e-6, atol=least)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return bool(np.isclose(one, other, rtol=1e-6, atol=0))
    return one == other


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    return value


def _made(name: str, model: Mapping[str, object]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        return make_network(name, model).eval()


def _real(network: Any, recordings: Any) -> tuple[Mapping[str, Tensor], ...]:
    prepared = prepare(network, recordings)
    return tuple({k: v[None] for k, v in real_inputs(network, p).items()} for p in prepared)
