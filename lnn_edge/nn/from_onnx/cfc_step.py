"""The formula of one step -> the CfC cell that it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lnn_edge.nn.arrays import Arrays
from lnn_edge.nn.cell_sizes import CfcSizes
from lnn_edge.nn.cells.cfc import CfcConfig
from lnn_edge.nn.from_onnx.step_algebra import NEAR, Part, Products, Sum

BACKBONES = ("tanh", "relu", "silu", "gelu")
UNKNOWN = (
    "is around a step that is none of a CfC: h' = f1 (1 - g) + f2 g or f1 + f2 g, where f1 and f2 "
    "are tanh of a sum or the sum itself, g is its sigmoid, and all read one backbone of [x; h]"
)


class NoCfc(ValueError):
    """A step that is not that of a CfC."""


@dataclass(frozen=True)
class CfcStep:
    """Sizes and weights of a cell, by the names of Cfc."""

    sizes: CfcSizes
    weights: Arrays


def cfc_of(step: Any, frame: Part, state: Part) -> CfcStep:
    """Return the cell whose state after a step this is.

    Its gate reads no elapsed time: a constant one is in its weights already. A backbone of
    lecun_tanh is one of tanh with other weights.

    Args:
        step: The next state.
        frame: x.
        state: h.

    Raises:
        NoCfc: It is the step of another cell.
    """
    if not isinstance(step, Products):
        raise NoCfc(UNKNOWN)
    mode, first, second, gate = _gated(step)
    heads = [first, second, gate]
    layers, sums = _backbone([_of(p) for p in heads], frame, state)
    if first.kind != second.kind or first.kind not in ("tanh", "linear"):
        raise NoCfc(UNKNOWN)
    kinds = {layer.kind for layer in layers}
    if len(kinds) > 1 or len({layer.size for layer in layers}) > 1:
        raise NoCfc("has a backbone whose layers differ in size or activation; make them alike")
    config = CfcConfig(
        mode,  # type: ignore[arg-type]
        len(layers),
        kinds.pop() if kinds else "tanh",  # type: ignore[arg-type]
        first.kind,  # type: ignore[arg-type]
    )
    units = layers[0].size if layers else 0
    weights: Arrays = {}
    for index, layer in enumerate(layers):
        name = "backbone" if index == 0 else f"deeper.{index - 1}"
        below = (frame, state) if index == 0 else (layers[index - 1],)
        weights |= _named(name, _of(layer), below)
    base = (layers[-1],) if layers else (frame, state)
    for name, value in zip(("ff1", "ff2", "time_b"), sums, strict=True):
        weights |= _named(name, value, base)
    weights["time_a.weight"] = 0 * weights["time_b.weight"]
    weights["time_a.bias"] = 0 * weights["time_b.bias"]
    return CfcStep(CfcSizes(frame.size, state.size, units, config), weights)


def _gated(step: Products) -> tuple[str, Part, Part, Part]:
    """Return mode, f1, f2 and g of f1 (1 - g) + f2 g, or of f1 + f2 g."""
    kept = step.kept()
    ones = [k for k in kept if len(k) == 1]
    twos = [k for k in kept if len(k) == 2]
    if len(ones) != 1 or len(twos) not in (1, 2) or len(kept) != 1 + len(twos):
        raise NoCfc(UNKNOWN)
    (first,) = ones[0]
    mixed = [k for k in twos if first in k]
    others = [k for k in twos if first not in k]
    if len(mixed) > 1 or len(others) != 1:
        raise NoCfc(UNKNOWN)
    gates = [p for p in others[0] if p.kind == "sigmoid"]
    if len(gates) != 1:
        raise NoCfc(UNKNOWN)
    gate = gates[0]
    (second,) = others[0] - {gate}
    wanted = {ones[0]: 1.0, others[0]: 1.0}
    if mixed:
        wanted[frozenset((first, gate))] = -1.0
    if set(wanted) != set(kept) or any(
        np.abs(kept[k] - factor).max() > NEAR for k, factor in wanted.items()
    ):
        raise NoCfc(UNKNOWN)
    return ("default" if mixed else "no_gate"), first, second, gate


def _of(part: Part) -> Sum:
    if part.of is None:
        raise NoCfc(UNKNOWN)
    return part.of


def _backbone(heads: list[Sum], frame: Part, state: Part) -> tuple[list[Part], list[Sum]]:
    """Return the layers below the heads, the first at first, and the heads."""
    layers: list[Part] = []
    parts = {p for head in heads for p in head.terms}
    while not parts <= {frame, state}:
        if len(parts) != 1 or next(iter(parts)).kind not in BACKBONES or len(layers) > 64:
            raise NoCfc(UNKNOWN)
        layers.insert(0, next(iter(parts)))
        parts = set(_of(layers[0]).terms)
    return layers, heads


def _named(name: str, value: Sum, base: tuple[Part, ...]) -> Arrays:
    """Return weight and bias of a sum over parts side by side."""
    columns = [value.terms.get(p, np.zeros((value.size, p.size))) for p in base]
    return {f"{name}.weight": np.concatenate(columns, 1), f"{name}.bias": value.shift}
