"""Writes vectors/<operator>[.<form>].npz: operators, inputs and outputs that must never change.

`python -m tests.support.make_vectors` after a deliberate change of meaning; the diff then shows
which operators changed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops import OPERATORS
from tests.graph.ops.cases import MAKERS, Seeded, stress_inputs

FOLDER = Path(__file__).parent / "vectors"
SEEDS = (11, 12, 13)
Arrays = dict[str, np.ndarray]


def pack(op: AbstractOp, inputs: tuple[np.ndarray, ...], prefix: str) -> Arrays:
    """Return an operator with its inputs and outputs as named arrays."""
    values = {f.name: getattr(op, f.name) for f in fields(op)}
    constants = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
    defaults = {f.name: f.default for f in fields(op)}
    plain = {k: v for k, v in values.items() if k not in constants and v != defaults[k]}
    for key in ("inputs", "outputs"):
        plain[key] = [asdict(t) for t in plain[key]]
    arrays = {f"{prefix}.constant.{k}": v for k, v in constants.items()}
    for key, tensors, data in (
        ("input", op.inputs, inputs),
        ("output", op.outputs, op.reference(*inputs)),
    ):
        pairs = enumerate(zip(tensors, data, strict=True))
        arrays |= {f"{prefix}.{key}.{i}": d.astype(t.dtype) for i, (t, d) in pairs}
    return arrays | {f"{prefix}.operator": np.array(json.dumps(plain, sort_keys=True))}


def unpack(
    kind: str, arrays: Arrays, prefix: str
) -> tuple[AbstractOp, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return what pack was given, and the stored outputs; int64."""
    plain = {k: _tuple(v) for k, v in json.loads(str(arrays[f"{prefix}.operator"])).items()}
    for key in ("inputs", "outputs"):
        plain[key] = tuple(QTensor(**{k: _tuple(v) for k, v in t.items()}) for t in plain[key])
    start = f"{prefix}.constant."
    constants = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
    op = OPERATORS[kind](**plain, **constants)
    data = [
        tuple(arrays[f"{prefix}.{key}.{i}"].astype(np.int64) for i in range(len(tensors)))
        for key, tensors in (("input", op.inputs), ("output", op.outputs))
    ]
    return op, data[0], data[1]


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value


def make_vectors(folder: Path) -> None:
    """Write one file per operator and form."""
    for name, make in MAKERS.items():
        arrays: Arrays = {}
        for seed in SEEDS:
            op = make(Seeded(seed))
            arrays |= pack(op, stress_inputs(op, 6, seed), str(seed))
        np.savez_compressed(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    make_vectors(FOLDER)
