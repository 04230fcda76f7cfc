"""Operators as TFLite: kernels of 16 bits are near the references, 64 bits give theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from lnn_edge.codegen.tflite import kernels, stage_model
from lnn_edge.codegen.tflite.exact import Exact
from lnn_edge.codegen.tflite.kernels import has_kernels
from lnn_edge.errors import GraphError
from lnn_edge.graph.ir import AbstractOp
from tests.codegen.tflite.interpreter import Values, model_of, step_of
from tests.graph.ops.cases import MAKERS, Seeded, kind_of, stress_inputs

SEEDS, SETS = 3, 8
NEAR = 0.0045  # of the output's range: one step of 8 bits
ALONE = ("r_peaks", "unfold")  # what 64 bits cannot carry


def made_and_wanted(op: AbstractOp, seed: int) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Return outputs of LiteRT and of the reference on each set of inputs, and their range."""
    step, inputs, pairs = step_of(model_of(op)), stress_inputs(op, SETS, seed), []
    for i in range(SETS):
        one = [np.asarray(x[i]).astype(np.int64) for x in inputs]
        given: Values = {t.name: x for t, x in zip(op.inputs, one, strict=True)}
        made = step(given)
        for tensor, want in zip(op.outputs, op.reference(*one), strict=True):
            pairs.append((made[tensor.name], want, tensor.qmax - tensor.qmin))
    return pairs


def farthest(maker: str) -> float:
    """Return the largest distance of an operator's kernels to its reference, in ranges."""
    ops = [(MAKERS[maker](Seeded(seed)), seed) for seed in range(SEEDS)]
    found = [
        float(np.abs(got - want).max() / max(extent, 1))
        for op, seed in ops
        if has_kernels(op)
        for got, want, extent in made_and_wanted(op, seed)
    ]
    return max(found, default=0.0)


def in_kernels(maker: str) -> bool:
    return any(has_kernels(MAKERS[maker](Seeded(seed))) for seed in range(SEEDS))


@pytest.mark.parametrize("maker", [maker for maker in MAKERS if in_kernels(maker)])
def test_kernels_are_near_the_reference(maker: str) -> None:
    assert farthest(maker) < NEAR


@pytest.mark.parametrize("maker", [maker for maker in MAKERS if kind_of(maker) not in ALONE])
def test_64_bits_give_the_bits_of_the_reference(
    maker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_model, "has_kernels", lambda op: False)
    for seed in range(SEEDS):
        for got, want, _ in made_and_wanted(MAKERS[maker](Seeded(seed)), seed):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("maker", "name", "damage"),
    [
        ("remember", "_shifted", lambda self, x, bits: self._high_word(x)),
        ("normalize", "_largest", lambda self, shape, fits: self._number(np.ones(shape))),
        ("linear", "_clipped", lambda self, name, names, told: self._stored(names[0])),
        ("stft_magnitude", "_root", lambda self, name, names, told: self._stored(names[0])),
    ],
)
def test_a_fault_in_64_bits_is_seen(
    maker: str, name: str, damage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lnn_edge.codegen.tflite import exact

    monkeypatch.setattr(stage_model, "has_kernels", lambda op: False)
    monkeypatch.setattr(Exact, name, damage)
    nodes = {"_clipped": "Clip", "_root": "Sqrt"}
    if name in nodes:
        monkeypatch.setitem(exact._OTHERS, nodes[name], damage)
    pairs = [p for s in range(SEEDS) for p in made_and_wanted(MAKERS[maker](Seeded(s)), s)]
    assert any((got != want).any() for got, want, _ in pairs)


def _swapped(kind: str) -> Callable[..., Any]:
    emit = kernels.KERNELS[kind]
    return lambda op, flat, a, b, *rest: emit(op, flat, b, a, *rest)


@pytest.mark.parametrize(
    ("maker", "damage"),
    [
        ("mix", _swapped("mix")),
        ("subtract", _swapped("subtract")),
        ("unfold", lambda op, flat, v, *rest: v),
        ("linear", lambda op, flat, x: kernels.KERNELS["scale"](op, flat, x)),
    ],
)
def test_a_fault_in_a_kernel_is_seen(
    maker: str, damage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if maker == "linear":
        rounded = np.round

        def without_bias(values: Any) -> Any:
            return rounded(values) * (0 if np.shape(values) else 1)

        monkeypatch.setattr(kernels.np, "round", without_bias)
    else:
        monkeypatch.setitem(kernels.KERNELS, maker, damage)
    assert farthest(maker) > NEAR


def test_what_tflite_cannot_carry_is_refused_by_name() -> None:
    with pytest.raises(GraphError, match=r"^r_peaks r_peaks: TFLite has no \w+ of 64-bit integers"):
        model_of(MAKERS["r_peaks"](Seeded(0)))
