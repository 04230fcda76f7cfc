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
from lnn_edge.graph.ops.loop import Loop
from lnn_edge.graph.stage import State
from tests.graph.ops.cases import MAKERS, Seeded, stress_inputs

FOLDER = Path(__file__).parent / "vectors"
SEEDS = (11, 12, 13)
Arrays = dict[str, np.ndarray]


def pack(op: AbstractOp, inputs: tuple[np.ndarray, ...], prefix: str) -> Arrays:
    """Return an operator with its inputs and outputs as named arrays."""
    arrays = _pack_operator(op, prefix)
    document = arrays.pop(f"{prefix}.operator")  # the last, as it always was
    for key, tensors, data in (
        ("input", op.inputs, inputs),
        ("output", op.outputs, op.reference(*inputs)),
    ):
        pairs = enumerate(zip(tensors, data, strict=True))
        arrays |= {f"{prefix}.{key}.{i}": d.astype(t.dtype) for i, (t, d) in pairs}
    return arrays | {f"{prefix}.operator": document}


def _pack_operator(op: AbstractOp, prefix: str) -> Arrays:
    values = {f.name: getattr(op, f.name) for f in fields(op) if f.compare}
    constants = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
    defaults = {f.name: f.default for f in fields(op) if f.compare}
    plain = {k: v for k, v in values.items() if k not in constants and v != defaults[k]}
    for key in ("inputs", "outputs"):
        plain[key] = [asdict(t) for t in plain[key]]
    arrays = {f"{prefix}.constant.{k}": v for k, v in constants.items()}
    if isinstance(op, Loop):
        plain |= {key: asdict(plain[key]) for key in ("step", "result")}
        plain |= {"body": [o.kind for o in op.body], "states": [asdict(s) for s in op.states]}
        for index, inner in enumerate(op.body):
            arrays |= _pack_operator(inner, f"{prefix}.body{index}")
    return arrays | {f"{prefix}.operator": np.array(json.dumps(plain, sort_keys=True))}


def unpack(
    kind: str, arrays: Arrays, prefix: str
) -> tuple[AbstractOp, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Return what pack was given, and the stored outputs; int64."""
    op = _unpack_operator(kind, arrays, prefix)
    data = [
        tuple(arrays[f"{prefix}.{key}.{i}"].astype(np.int64) for i in range(len(tensors)))
        for key, tensors in (("input", op.inputs), ("output", op.outputs))
    ]
    return op, data[0], data[1]


def _unpack_operator(kind: str, arrays: Arrays, prefix: str) -> AbstractOp:
    plain = {k: _tuple(v) for k, v in json.loads(str(arrays[f"{prefix}.operator"])).items()}
    for key in ("inputs", "outputs"):
        plain[key] = tuple(map(_tensor, plain[key]))
    if kind == Loop.kind:
        plain |= {key: _tensor(plain[key]) for key in ("step", "result")}
        made = (
            State(_tensor(s["tensor"]), _tensor(s["update"]), s["initial"]) for s in plain["states"]
        )
        kinds = enumerate(plain["body"])
        body = (_unpack_operator(k, arrays, f"{prefix}.body{i}") for i, k in kinds)
        plain |= {"states": tuple(made), "body": tuple(body)}
    start = f"{prefix}.constant."
    constants = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
    return OPERATORS[kind](**plain, **constants)


def _tensor(fields_of: dict[str, Any]) -> QTensor:
    return QTensor(**{k: _tuple(v) for k, v in fields_of.items()})


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
