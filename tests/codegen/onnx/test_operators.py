"""Every operator as ONNX: onnxruntime gives the bits of its reference, and a fault would show."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from lnn_edge.codegen.onnx import namespace
from lnn_edge.codegen.onnx.stage_model import stage_model
from lnn_edge.codegen.onnx.traced import Traced, power_of_two, together
from lnn_edge.errors import GraphError
from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.stage import EveryTrigger, Stage
from tests.graph.ops.cases import (
    MAKERS,
    Seeded,
    operators_on_channels,
    stress_inputs,
    walking_operators,
    wide_operators,
)

onnxruntime = pytest.importorskip("onnxruntime")
SEEDS, SETS = 4, 8


@dataclass(frozen=True)
class Given(EveryTrigger):
    """A trigger whose windows are whatever an operator reads."""

    tensors: tuple[QTensor, ...] = ()

    @property
    def inputs(self) -> tuple[QTensor, ...]:
        return self.tensors


def stage_of(op: AbstractOp) -> Stage:
    tensors = op.inputs or (QTensor("nothing", (1,), "int8"),)
    return Stage("alone", Given("r", tensors[0], 1, 1, tensors=tensors), (op,), (), op.outputs)


def difference(op: AbstractOp, seed: int) -> int:
    """Count the elements in which onnxruntime and the reference differ."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(stage_model(stage_of(op), {}), options)
    inputs, found = stress_inputs(op, SETS, seed), 0
    for i in range(SETS):
        one = [np.asarray(x[i]) for x in inputs]
        named = zip(op.inputs, one, strict=True)
        given = {t.name: x.astype(t.dtype) for t, x in named} or {"nothing": np.zeros(1, np.int8)}
        wanted = op.reference(*(x.astype(np.int64) for x in one))
        for got, want in zip(session.run(None, given), wanted, strict=True):
            found += int((got.astype(np.int64) != want).sum())
    return found


@pytest.mark.parametrize("maker", MAKERS)
def test_onnxruntime_gives_the_bits_of_the_reference(maker: str) -> None:
    for seed in range(SEEDS):
        assert difference(MAKERS[maker](Seeded(seed)), seed) == 0


@pytest.mark.slow
def test_wide_and_walking_operators_too() -> None:
    wide = [op for ops in wide_operators().values() for op in ops]
    for op in [*wide, *operators_on_channels(), *walking_operators()]:
        assert difference(op, 0) == 0, op.name


def _cut_off(a: Traced, power: Any) -> Traced:
    return together("Div", operator.floordiv, a, power_of_two(power))


def _divided(a: Traced, b: Any) -> Traced:
    return together("Div", operator.floordiv, a, b)


@pytest.mark.parametrize(
    ("maker", "owner", "name", "damage"),
    [
        ("decimate", Traced, "__rshift__", _cut_off),
        ("normalize", Traced, "__floordiv__", _divided),
        ("lut", Traced, "__and__", lambda a, b: a * 0),
        ("linear", Traced, "clip", lambda a, low, high: a + 0),
        ("unfold", namespace, "log2", lambda x: x * 0 + 15),
        ("max_pool", namespace, "max", lambda x, axis: x[..., 0, :]),
    ],
)
def test_a_fault_in_the_translation_is_seen(
    maker: str,
    owner: Any,
    name: str,
    damage: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, damage)
    assert any(difference(MAKERS[maker](Seeded(seed)), seed) for seed in range(SEEDS))


@dataclass(frozen=True, eq=False)
class Strange(AbstractOp):
    """y = x in ascending order, by what no array of ONNX has."""

    kind: ClassVar[str] = "strange"

    def check(self) -> None:
        """Nothing to prove."""

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return the sorted values."""
        return (inputs[0].sort(),)


@dataclass(frozen=True, eq=False)
class Deciding(Strange):
    """y = x, or -x where the first is negative: not the same for every element of a batch."""

    kind: ClassVar[str] = "deciding"

    def reference(self, *inputs: Array) -> tuple[Array, ...]:
        """Return x or -x."""
        return (-inputs[0] if inputs[0][0] < 0 else inputs[0],)


@pytest.mark.parametrize("op", [Strange, Deciding])
def test_what_onnx_cannot_carry_is_refused_by_name(op: type[Strange]) -> None:
    x, y = QTensor("x", (4,), "int16"), QTensor("y", (4,), "int16")
    with pytest.raises(
        GraphError, match=rf"^{op.kind} odd: its reference does what the exact form"
    ):
        stage_model(stage_of(op("odd", (x,), (y,))), {})
