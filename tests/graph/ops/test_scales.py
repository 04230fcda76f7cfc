"""A scale or zero point per channel is computed as the formula says, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest

from lnn_edge.errors import GraphError, QuantizationError
from lnn_edge.graph.fixed import RANGES
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops import OPERATORS
from lnn_edge.graph.ops.conv import Conv1d
from lnn_edge.graph.ops.conv2d import Conv2d
from lnn_edge.graph.ops.elementwise import Add
from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.graph.ops.lut import Lut
from tests.graph.ops import cases
from tests.graph.ops.cases import MAKERS, Seeded, kind_of, operators_on_channels
from tests.graph.ops.formulas import FORMULAS, bound
from tests.graph.ops.test_real import RULES, SLACK, inputs_without_empty_states

SEEDS = range(24)
FACTORS = (1.0, 2.0, 0.25)  # of the channels' scales, in turn
SHIFTS = (0, 3, -2)  # of the channels' zero points
REFUSED = (GraphError, QuantizationError)


def with_scales(tensor: QTensor) -> QTensor:
    """Return a tensor whose channels differ in scale."""
    factors = np.resize(FACTORS, tensor.shape[-1])
    return replace(tensor, scale=tuple((np.asarray(tensor.scales) * factors).tolist()))


def with_zero_points(tensor: QTensor) -> QTensor:
    """Return a tensor whose channels differ in zero point."""
    points = np.asarray(tensor.zero_points) + np.resize(SHIFTS, tensor.shape[-1])
    return replace(tensor, zero_point=tuple(points.clip(*RANGES[tensor.dtype]).tolist()))


def with_zero_point(tensor: QTensor) -> QTensor:
    """Return a tensor with another zero point."""
    low, high = RANGES[tensor.dtype]
    return replace(tensor, zero_point=min(max(tensor.zero_points[0] + 3, low), high))


CHANGES = {"scale": with_scales, "zero point": with_zero_points, "zero": with_zero_point}


def differs(tensor: QTensor, what: str) -> bool:
    return len(set(tensor.scales if what == "scale" else tensor.zero_points)) > 1


def changed_operators(op: AbstractOp, what: str) -> Iterator[AbstractOp]:
    """Yield the operator with channels that differ, in every set of its tensors."""
    change, tensors = CHANGES[what], (*op.inputs, *op.outputs)
    places = range(len(tensors))
    for chosen in chain.from_iterable(combinations(places, n + 1) for n in places):
        new = tuple(change(t) if i in chosen else t for i, t in enumerate(tensors))
        inputs, outputs = new[: len(op.inputs)], new[len(op.inputs) :]
        try:
            yield replace(op, inputs=inputs, outputs=outputs)
        except GraphError as error:
            if not str(error).startswith(f"{op.kind} {op.name}: "):
                raise


def made_operators(maker: str, what: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AbstractOp]:
    """Yield operators made anew, factors and weights too, each with one tensor that differs."""
    like = MAKERS[maker](Seeded(0))
    for name in sorted({t.name for t in (*like.inputs, *like.outputs)}):

        def make(*args: object, wanted: str = name, **fields: object) -> QTensor:
            tensor = QTensor(*args, **fields)  # type: ignore[arg-type]
            return CHANGES[what](tensor) if tensor.name == wanted else tensor

        monkeypatch.setattr(cases, "QTensor", make)
        for seed in SEEDS:
            try:
                yield MAKERS[maker](Seeded(seed))
            except REFUSED:
                continue


def assert_real(op: AbstractOp, seed: int) -> None:
    """Compare the integers with the formula."""
    inputs = inputs_without_empty_states(op, seed)
    reals = tuple(t.dequantize(x) for t, x in zip(op.inputs, inputs, strict=True))
    results = zip(
        op.outputs,
        op.reference(*inputs),
        FORMULAS[op.kind](op, *reals),
        bound(op),
        strict=True,
    )
    for y, got, wanted, limit in results:
        low, high = (y.dequantize(np.full(y.shape, q)) for q in (y.qmin, y.qmax))
        error = np.abs(y.dequantize(got) - np.clip(wanted, low, high)) / np.asarray(y.scales)
        assert error.max() <= limit + SLACK, (op.kind, [t.scales for t in op.inputs])


def differing(op: AbstractOp, what: str) -> set[str]:
    """Return the places of tensors whose channels differ: x0, y1..."""
    rows = [("x", op.inputs), ("y", op.outputs)]
    return {f"{c}{i}" for c, row in rows for i, t in enumerate(row) if differs(t, what)}


@pytest.mark.parametrize("what", ["scale", "zero point"])
@pytest.mark.parametrize("maker", MAKERS)
def test_channels_that_differ_are_computed_or_refused(
    maker: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = OPERATORS[kind_of(maker)].channel_scales
    if what == "zero point":
        declared = OPERATORS[kind_of(maker)].channel_zero_points
    changed = (o for s in SEEDS for o in changed_operators(MAKERS[maker](Seeded(s)), what))
    accepted: set[str] = set()
    for seed, op in enumerate(chain(changed, made_operators(maker, what, monkeypatch))):
        places = differing(op, what)
        if places:
            assert_real(op, seed)
            accepted |= places
    assert all(place in declared or place[0] in declared for place in accepted)
    assert all(any(place.startswith(d) for place in accepted) for d in declared)


@pytest.mark.parametrize("op", operators_on_channels(), ids=lambda op: op.kind)
def test_channels_that_differ_in_both_are_computed(op: AbstractOp) -> None:
    assert_real(op, 0)


def test_a_sum_of_channels_in_different_steps_is_refused() -> None:
    a, b, y = (QTensor(n, (2,), "int16", (0.001, 0.002)) for n in "aby")
    for tensors in ((a, b, y), (a, replace(b, scale=0.001), replace(y, scale=0.001))):
        with pytest.raises(GraphError, match=r"^add sum: a must have one scale for all"):
            Add.quantize("sum", *tensors)


def test_a_convolution_reads_channels_of_different_steps() -> None:
    """Its integers are those of the weights given, however the channels are scaled."""
    rng = np.random.default_rng(0)
    scales = np.array([1e-3, 1.0, 40.0])
    x = QTensor("x", (6, 5, 3), "int8", tuple((scales / 127).tolist()))
    weight = rng.normal(0, 1, (2, 3, 3, 4)) / scales[:, None]
    geometry = geometry_of((6, 5), (2, 3), (1, 2), "same")
    wide = QTensor("y", (*geometry.output, 4), "int16", 40 / 32767)
    q = rng.integers(-127, 128, (8, *x.shape))
    real = x.dequantize(q)
    plane = Conv2d.quantize("plane", x, wide, weight, np.zeros(4), geometry)
    padded = np.pad(real, [(0, 0), (0, 1), (1, 1), (0, 0)])
    wanted = np.stack(
        [
            np.stack(
                [
                    np.einsum("nijk,ijko->no", padded[:, r : r + 2, c : c + 3], weight)
                    for c in (0, 2, 4)
                ],
                axis=1,
            )
            for r in range(6)
        ],
        axis=1,
    )
    got = wide.dequantize(plane.reference(q)[0])
    assert np.abs(got - wanted).max() <= 0.02 * np.abs(wanted).max()
    line = replace(x, shape=(6, 3))
    long = QTensor("y", (5, 4), "int16", 40 / 32767)
    taps = weight[:, 0].transpose(2, 1, 0)  # (O, C, kernel)
    op = Conv1d.quantize("line", line, long, taps, np.zeros(4), 1)
    wanted = np.stack(
        [np.einsum("nkc,ock->no", real[:, t : t + 2, 0], taps) for t in range(5)], axis=1
    )
    got = long.dequantize(op.reference(q[:, :, 0])[0])
    assert np.abs(got - wanted).max() <= 0.02 * np.abs(wanted).max()


@pytest.mark.parametrize("maker", MAKERS)
def test_a_zero_point_is_computed_or_refused(maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, op in enumerate(made_operators(maker, "zero", monkeypatch)):
        if kind_of(maker) in RULES:
            assert not any(t.zero_points[0] for t in (*op.inputs, *op.outputs))
        elif not (isinstance(op, Lut) and op.step_bits):  # its bound is that of its own range
            assert_real(op, seed)
