"""A badly built operator is refused with a GraphError that names it and says what it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.errors import GraphError, QuantizationError
from lnn_edge.graph.fixed import quantize_multiplier
from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.ops import OPERATORS
from lnn_edge.graph.ops.elementwise import Requantize
from lnn_edge.graph.ops.geometry import geometry_of
from lnn_edge.graph.ops.linear import Linear
from lnn_edge.graph.ops.pool import AveragePool, MaxPool
from lnn_edge.graph.ops.slice import Slice
from tests.graph.ops.cases import MAKERS, Seeded, kind_of

Change = Callable[[AbstractOp], AbstractOp]


def with_input(index: int, **changes: object) -> Change:
    """Replace fields of one input tensor."""

    def change(op: AbstractOp) -> AbstractOp:
        inputs = list(op.inputs)
        inputs[index] = replace(inputs[index], **changes)  # type: ignore[arg-type]
        return replace(op, inputs=tuple(inputs))

    return change


def with_output(index: int, **changes: object) -> Change:
    """Replace fields of one output tensor."""

    def change(op: AbstractOp) -> AbstractOp:
        outputs = list(op.outputs)
        outputs[index] = replace(outputs[index], **changes)  # type: ignore[arg-type]
        return replace(op, outputs=tuple(outputs))

    return change


def with_fields(**changes: object) -> Change:
    """Replace fields of the operator."""
    return lambda op: replace(op, **changes)  # type: ignore[arg-type]


def twice_the_state(op: AbstractOp) -> AbstractOp:
    """Let a loop have its state two times."""
    (state,) = op.states  # type: ignore[attr-defined]
    return replace(op, states=(state, state))  # type: ignore[call-arg]


def another_state(op: AbstractOp) -> AbstractOp:
    """Let a second state of a loop have the update of the first."""
    (state,) = op.states  # type: ignore[attr-defined]
    other = replace(state, tensor=replace(state.tensor, name="other"))
    return replace(op, states=(state, other))  # type: ignore[call-arg]


def scaled(field: str, factor: int) -> Change:
    """Multiply a constant."""

    def change(op: AbstractOp) -> AbstractOp:
        array = getattr(op, field)
        wide = np.clip(array.astype(np.int64) * factor, -(1 << 31), (1 << 31) - 1)
        return replace(op, **{field: wide.astype(array.dtype)})  # type: ignore[arg-type]

    return change


def filled(field: str, value: int) -> Change:
    """Fill a constant with one value."""
    return lambda op: replace(op, **{field: np.full_like(getattr(op, field), value)})  # type: ignore[arg-type]


def cast(field: str, dtype: type) -> Change:
    """Store a constant in another dtype."""
    return lambda op: replace(op, **{field: getattr(op, field).astype(dtype)})  # type: ignore[arg-type]


BIG = (1 << 31) - 1
BAD: list[tuple[str, Change, str]] = [
    ("add", with_output(0, shape=(99,)), "alike"),
    ("add", with_input(0, zero_point=1), "zero points must be 0"),
    ("add", with_fields(shifts=(0, 20)), "shifted input can reach"),
    ("average_pool", with_output(0, shape=(99,)), r"\(frames, channels\)"),
    ("average_pool", with_fields(before=(99, 0)), "do not map"),
    ("average_pool", with_fields(strides=(1, 0)), "do not map"),
    ("average_pool", with_fields(shift=30), "sum can reach"),
    ("max_pool", with_input(0, shape=(2, 2, 77)), r"\(frames, channels\)"),
    ("max_pool", with_fields(kernel_size=(0, 1)), "do not map"),
    ("max_pool", with_output(0, scale=77.0), "same dtype, scale and zero point"),
    ("max_pool", with_output(0, qmin=0), "are copied to"),
    ("biquads", with_input(0, dtype="int8", qmin=-128, qmax=127), "int16 vectors"),
    ("biquads", with_input(1, shape=(9, 9, 3)), "state must be int32"),
    ("biquads", with_input(1, qmin=-5), "the state must hold"),
    ("biquads", with_input(1, qmax=(1 << 29) - 2), "the state must hold"),
    ("biquads", with_output(0, qmax=(1 << 29) - 2), "the state must hold"),
    ("biquads", with_output(0, qmin=-(1 << 29) + 1), "the state must hold"),
    ("biquads", with_output(0, scale=7.0), "must have one scale"),
    ("biquads", with_output(1, zero_point=3), "zero points must be 0"),
    ("biquads", cast("coefficients", np.int64), "coefficients must be int32"),
    ("biquads", cast("gain", np.int16), "coefficients must be int32"),
    ("biquads", with_fields(shift=3), "shifted output can reach"),
    ("center", with_output(0, scale=1.0), "same scale"),
    ("constant", cast("value", np.int64), "value must be int32"),
    ("constant", with_output(0, qmin=0, qmax=0), "values must be in"),
    ("constant", lambda op: with_output(0, qmin=int(op.value.min()) + 1)(op), "values must be in"),
    ("constant", lambda op: with_output(0, qmax=int(op.value.max()) - 1)(op), "values must be in"),
    ("constant", with_fields(inputs=(QTensor("x", (1,), "int8"),)), "takes no input"),
    ("r_peaks", with_fields(times=(1, 2)), "times"),
    ("r_peaks", with_fields(times=(1,) * 10 + (-1,)), "delay must not be negative"),
    ("r_peaks", with_fields(times=(1,) * 7 + (1 << 20, 1, 1, 1)), "intervals are limited"),
    ("r_peaks", with_fields(share=0), "share must be 1 to 256"),
    ("r_peaks", with_fields(told_blocks=3), "told blocks must be 0, 1, 2 or 4, not 3"),
    ("r_peaks", with_input(0, dtype="int8", qmin=-128, qmax=127), "int16 vectors"),
    ("r_peaks", with_input(2, shape=(5,)), "state must be int32"),
    ("r_peaks", with_output(0, qmin=0), "whole range of int32"),
    ("r_peaks", with_output(1, shape=(2,)), "one uint16"),
    ("r_peaks", with_output(1, qmax=3), "the tensor holds 3"),
    ("center", with_input(0, shape=(7,)), "input must be"),
    ("center", with_input(0, zero_point=3), "zero points must be 0"),
    ("center", with_fields(shift=16), "sum can reach"),
    ("concat", with_output(0, shape=(99,), scale=1.0, zero_point=0), "do not make"),
    ("concat", with_input(0, dtype="int32", qmax=5, qmin=0), "do not make"),
    ("concat", with_output(0, qmin=0, qmax=0), "values in .* are copied to"),
    ("concat.rows", with_output(0, shape=(99, 1)), "do not make"),
    ("concat.rows", with_input(0, scale=3.0), "needs the scale and zero point of each channel"),
    (
        "concat.rows",
        with_output(0, zero_point=77),
        "needs the scale and zero point of each channel",
    ),
    ("conv1d", with_fields(stride=0), "do not map"),
    ("conv1d", with_fields(kernel_size=1000), "to map"),
    ("conv1d", with_fields(dilation=0), "do not map"),
    ("conv1d", with_fields(before=1000), "do not map"),
    ("conv1d", with_output(0, shape=(50, 50)), "do not map"),
    ("conv1d", with_output(0, shape=(1, 50)), "to map"),
    ("conv1d", with_output(0, shape=(50,)), r"\(frames, channels\)"),
    ("conv1d.walk", with_fields(groups=5), "5 groups of"),
    ("conv1d.walk", with_fields(groups=0), "0 groups of"),
    ("conv1d.walk", with_fields(groups=1), "to map"),
    ("conv2d", with_fields(dilation=(0, 1)), "do not map"),
    ("conv2d.walk", with_fields(groups=5), "5 groups of"),
    ("conv1d", filled("weight", -128), r"\[-127, 127\]"),
    ("conv1d", filled("bias", BIG), "accumulator can reach"),
    ("conv1d", filled("shift", 30), "accumulator can reach"),
    ("conv1d", filled("multiplier", 0), "multipliers must be positive"),
    ("conv2d", with_output(0, shape=(99,)), r"\(rows, columns, channels\)"),
    ("conv2d", with_fields(before=(99, 0)), "do not map"),
    ("conv2d", with_fields(strides=(0, 1)), "do not map"),
    ("conv2d", with_fields(kernel_size=(7, 7), before=(0, 0)), "weight"),
    ("decay", with_input(0, shape=(99,)), "alike"),
    ("decay", with_output(0, zero_point=1), "zero points must be 0"),
    ("decay", with_fields(rate=np.zeros(77, np.int32)), "rate must be int32"),
    ("decay", filled("rate", -1), "at least 0"),
    ("decay", filled("rate", BIG), "product can reach"),
    ("decimate", with_fields(factor=1000), "not a multiple"),
    ("decimate", with_fields(shift=16), "sum can reach"),
    ("decimate", with_output(0, shape=(1, 77)), "output must be"),
    ("gate", with_input(1, qmax=40000), "Q15"),
    ("gate", with_output(0, shape=(99,)), "alike"),
    ("gate", with_fields(shift=2), "can reach"),
    ("gated_sum", with_input(1, scale=0.5), "same scale"),
    ("gated_sum", with_input(2, qmax=40000), "Q15"),
    ("gated_sum", with_input(0, zero_point=1), "zero points must be 0"),
    ("gated_sum", with_fields(shift=2), "can reach"),
    ("gated_sum", with_output(0, shape=(99,)), "alike"),
    ("leaky_average", with_input(1, dtype="int16", qmin=0, qmax=9), "int32"),
    ("leaky_average", with_input(1, scale=1.0), r"2\*\*14"),
    ("leaky_average", with_fields(shift=1), "alpha"),
    ("leaky_average", with_fields(multiplier=0), "alpha"),
    ("leaky_average", with_fields(multiplier=1 << 31), "alpha"),
    ("leaky_average", with_output(1, qmin=-5, qmax=5), "int16"),
    ("leaky_average", with_output(0, shape=(99,)), "shapes"),
    ("leaky_average", with_output(0, qmin=-5), "the state must hold"),
    ("leaky_average.time", with_input(2, dtype="int16", qmin=0, qmax=9), "dt must be one uint16"),
    ("leaky_average.time", with_input(2, shape=(2,)), "dt must be one uint16"),
    ("leaky_average.time", with_fields(multiplier=1 << 30), "also at dt = .* steps"),
    ("leaky_average.time", with_input(2, zero_point=1), "zero points must be 0"),
    ("linear", with_input(0, shape=(99,), scale=0.1, zero_point=0), "does not map"),
    ("linear", with_output(0, shape=(3, 3)), "does not map"),
    ("linear", with_output(0, dtype="int32"), "must be int8 or int16"),
    ("linear", filled("bias", BIG), "accumulator can reach"),
    ("linear", filled("shift", 31), r"shifts in \[0, 30\]"),
    ("linear", with_fields(bias=np.zeros(77, np.int32)), "need shape"),
    ("linear", cast("bias", np.int64), "bias and multiplier must be int32, shift int8"),
    ("linear", cast("multiplier", np.float64), "bias and multiplier must be int32, shift int8"),
    ("linear", cast("shift", np.int32), "bias and multiplier must be int32, shift int8"),
    ("loop", with_fields(count=0), "rounds and stride must be at least 1, not 0 and"),
    ("loop", with_fields(stride=0), "stride must be at least 1, not 5 and 0"),
    ("loop", with_fields(first=-1), "elements up to"),
    ("loop", with_fields(first=1000), "elements up to .* of"),
    ("loop", lambda op: replace(op, result=op.step), "must be outputs of the body"),
    ("loop", with_fields(body=()), "must hold operators"),
    ("loop", lambda op: replace(op, body=(op,)), "and no loop"),
    ("loop", lambda op: replace(op, body=op.nested[2:]), "row reads z, which nothing wrote"),
    ("loop", lambda op: replace(op, body=op.nested[:2]), "nothing writes h_next"),
    ("loop", lambda op: replace(op, body=(*op.nested, op.nested[2])), "h_next a second time"),
    ("loop", with_fields(states=()), "reads h, which nothing wrote"),
    ("loop", twice_the_state, "two inputs or states have the same name"),
    ("loop", another_state, "two states have the same update"),
    ("loop", lambda op: replace(op, result=op.own_tensors[1]), "must be outputs of the body"),
    ("loop", with_input(0, dtype="int16"), "does not hold the elements"),
    ("loop", with_input(0, scale=0.3), "different formats"),
    ("loop", with_input(0, zero_point=11), "different formats"),
    ("loop", with_output(0, shape=(99,)), "output shape"),
    ("loop", with_output(0, scale=0.3), "y does not hold h_next"),
    ("loop", with_output(0, qmax=3), "y does not hold h_next"),
    ("lut", with_output(0, shape=(99,)), "differ"),
    ("lut", with_fields(step_bits=13), "must be 0 to 12"),
    ("lut", with_fields(table=np.zeros(3, np.int16)), "table"),
    ("lut", with_fields(function="sine"), "unknown function"),
    ("lut", with_output(0, qmin=0, qmax=0), "table values must be in"),
    ("lut", with_fields(offset=1), "need a multiplier"),
    ("lut.of_tanh", with_fields(table=np.zeros(3, np.int16)), "table must have"),
    ("lut.of_tanh", cast("table", np.int32), "table must be int16"),
    ("lut.of_tanh", with_fields(multiplier=-1), "multiplier must be"),
    ("lut.of_tanh", with_fields(shift=20), "shifted interpolation can reach"),
    ("lut.of_tanh", with_fields(offset=1 << 16), "exceeds 16 bits"),
    ("mean_abs", with_output(0, shape=(99,)), "output must be"),
    ("mean_abs", with_fields(shift=16), "sum can reach"),
    ("mean_pool", with_output(0, shape=(99,)), "to"),
    ("mean_pool", with_fields(shift=24), "sum can reach"),
    ("mix", with_input(1, scale=0.5), "same scale"),
    ("mix", with_input(2, scale=0.5), "Q15"),
    ("mix", with_input(2, qmax=40000), "Q15"),
    ("mix", with_input(0, zero_point=1), "zero points must be 0"),
    ("mix", with_fields(shift=2), "can reach"),
    ("mix", with_output(0, shape=(99,)), "alike"),
    ("multiply", with_output(0, shape=(99,)), "a and y must have one shape"),
    ("multiply", with_input(1, shape=(99,)), "or as a has channels"),
    ("multiply", with_fields(shift=30), "product can reach"),
    ("normalize", with_fields(floor=0), "at least 1"),
    ("normalize", with_fields(gain=0), "at least 1"),
    ("normalize", with_fields(gain=10**6), "scale 1 / 1000000"),
    ("normalize", with_input(1, scale=77.0), "same scale"),
    ("normalize", with_input(1, shape=(9,)), "shapes"),
    ("relax", with_output(0, shape=(99,)), "alike"),
    ("relax", with_input(0, scale=0.5), "Q15"),
    ("relax", with_input(1, zero_point=1), "zero points must be 0"),
    ("relax", cast("offset", np.int64), "must be int32"),
    ("relax", filled("multiplier", -BIG - 1), "inside their range"),
    ("relax", with_input(1, dtype="int32", qmin=0, qmax=1 << 17), "e \\* f can reach"),
    ("remember", with_input(1, qmax=40000), "Q15"),
    ("remember", with_input(2, scale=0.5), "times as fine as the value"),
    ("remember", with_input(0, scale=0.5), "memory must be int32"),
    ("remember", with_output(0, zero_point=1), "zero points must be 0"),
    ("remember", with_fields(fraction_bits=31), "15 to 30"),
    ("remember", with_fields(fraction_bits=14), "15 to 30"),
    ("requantize", with_output(0, shape=(99,)), "differ"),
    ("requantize", with_fields(shift=25), "shifted input can reach"),
    ("requantize", with_fields(shift=np.zeros(1, np.int8)), "must be int32 and shifts int8"),
    ("requantize.elements", cast("multiplier", np.int64), "must be int32 and shifts int8"),
    ("requantize.elements", with_fields(multiplier=np.ones(77, np.int32)), "a divisor of"),
    ("requantize.elements", filled("multiplier", 0), "shift 0 to 30, not 0 and"),
    ("requantize.elements", filled("shift", 31), "shift 0 to 30, not .* and 31"),
    ("requantize.elements", filled("shift", 30), "shifted input can reach"),
    ("requantize.elements", scaled("multiplier", 2), "the factors are not those of the scales"),
    ("scale", with_output(0, shape=(99,), scale=1.0), "differ"),
    ("scale", cast("weight", np.int32), "must be int16, int32, int32 and int8"),
    ("scale", with_fields(bias=np.zeros(77, np.int32)), "of shape"),
    ("scale", filled("weight", 16385), "weights beyond 16384"),
    ("scale", filled("bias", BIG), "accumulator can reach"),
    ("scale", filled("shift", 30), "accumulator can reach"),
    ("scale", filled("multiplier", 0), "shift 0 to 30, not 0 and"),
    ("signal_quality", with_input(0, shape=(9,)), r"input must be \(T, C\)"),
    ("signal_quality", with_output(0, shape=(99,)), "output must be"),
    ("signal_quality", with_output(0, qmax=6), "must hold 0 to 7"),
    ("signal_quality", with_output(0, qmin=1), "must hold 0 to 7"),
    ("signal_quality", with_output(0, zero_point=1), "zero points must be 0"),
    ("signal_quality", with_input(0, zero_point=1), "zero points must be 0"),
    ("signal_quality", with_fields(first=1), "must leave 2 of"),
    ("signal_quality", with_fields(last=2), "must leave 2 of"),
    ("signal_quality", with_fields(last=99), "must leave 2 of"),
    ("signal_quality", with_fields(flat=-1), "flat must be at least 0"),
    ("signal_quality", with_fields(low=5, high=5), "low below high"),
    ("signal_quality", with_fields(most=0), "most at least 1"),
    ("signal_quality", with_fields(most=1 << 30), "most r can reach"),
    ("slice", with_fields(first=99), "elements 99 to"),
    ("slice", with_fields(first=-1), "elements -1 to"),
    ("slice", with_output(0, shape=(1, 1)), "must be a vector"),
    ("slice", with_input(0, scale=0.5), "the factors are not those of the scales"),
    ("slice.elements", with_input(0, scale=0.5), "the factors are not those of the scales"),
    ("slice", with_fields(shift=25), "shifted input can reach"),
    ("stft_magnitude", with_input(0, shape=(99, 1)), "must be a power of two from 16 to 1024"),
    ("stft_magnitude", with_input(0, shape=(2048, 1)), "must be a power of two"),
    ("stft_magnitude", with_input(0, shape=(16,)), r"must be \(N, C\)"),
    ("stft_magnitude", with_input(0, dtype="int32"), "int16 around 0 with one scale"),
    ("stft_magnitude", with_input(0, zero_point=1), "int16 around 0 with one scale"),
    ("stft_magnitude", with_output(0, shape=(99,), scale=1.0), "output must have .* not .99,."),
    ("stft_magnitude", with_output(0, dtype="int32"), "must be int8 or int16"),
    ("stft_magnitude", with_output(0, dtype="int16", qmax=32767), "at most 32767 steps"),
    ("stft_magnitude", with_output(0, zero_point=0, qmin=1), "must hold 0"),
    ("stft_magnitude", cast("window", np.int64), "int32 and int8 shifts"),
    ("stft_magnitude", with_fields(turn=np.zeros((9, 2), np.int32)), "need shapes"),
    ("stft_magnitude", filled("multiplier", 1), "multipliers must be in"),
    ("stft_magnitude", filled("shift", 63), "shifts in"),
    ("stft_magnitude", filled("window", -1), "must not be negative"),
    ("stft_magnitude", filled("turn", 1 << 30), "length"),
    ("stft_magnitude", with_fields(fraction_bits=-1), "must be 0 to 29"),
    ("stft_magnitude", with_fields(fraction_bits=25), "shifted input can reach"),
    ("stft_magnitude", with_fields(fraction_bits=16), "spectrum can reach"),
    ("subtract", with_output(0, shape=(99,)), "alike"),
    ("subtract", with_input(1, zero_point=1), "zero points must be 0"),
    ("subtract", with_fields(shifts=(0, 20)), "shifted input can reach"),
    ("synapses", cast("slope", np.int64), "slope must be int16 .*, not int64"),
    ("synapses", filled("source", 99), "reads beyond"),
    ("synapses", filled("conductance", 0), "exceeds the conductance"),
    ("synapses", with_fields(shift=0), "must be 1 to 30"),
    ("synapses", filled("offset", BIG), "argument can reach"),
    ("synapses", cast("starts", np.int64), "ascend"),
    ("synapses", filled("leak", 1 << 30), "leave the ranges"),
    ("synapses", filled("leak", BIG), "sum of conductances can reach"),
    ("synapses", cast("leak", np.int64), "leak must be int32 .*, not int64"),
    ("synapses", with_input(0, zero_point=1), "int16 around 0"),
    ("synapses", with_output(0, scale=0.5), "in steps of"),
    ("template_distance", with_input(1, dtype="int32"), "and the template int16"),
    ("template_distance", with_input(0, shape=(99, 1)), "differ"),
    ("template_distance", with_output(1, shape=(77,)), "segments"),
    ("template_distance", scaled("edges", -1), "must ascend"),
    ("template_distance", with_input(1, scale=9.0), "scale"),
    ("template_distance", with_input(1, qmin=-100, qmax=100), "must hold"),
    ("template_distance", with_output(0, qmin=-100), "must hold"),
    ("template_distance", with_fields(most=0), "positive"),
    ("template_distance", with_fields(most=1 << 31), "positive"),
    ("template_distance", cast("edges", np.int64), "edges and multipliers must be int32"),
    ("template_distance", filled("multiplier", 0), "shift 0 to 30, not 0 and"),
    ("template_distance", filled("shift", 20), "sum of magnitudes can reach"),
    ("time_gate", with_input(2, shape=(2,)), "dt one"),
    ("time_gate", with_output(0, zero_point=1), "zero points must be 0"),
    ("time_gate", with_fields(shifts=(9, 0)), "a \\* dt can reach"),
    ("time_gate", with_fields(shifts=(0, 20)), "b can reach"),
    (
        "unfold",
        lambda op: filled("capacity", 0)(with_input(2, qmin=0)(op)),
        r"denominators must be in .*, not \[0, ",
    ),
    ("unfold", filled("capacity", (1 << 32) - 1), "denominators must be in"),
    ("unfold", cast("capacity", np.int64), "capacity must be uint32 .*, not int64"),
    ("unfold", with_fields(time_bits=32), "time_bits must be 0 to 31"),
    ("unfold", with_fields(gap_bits=34), "1 to 33"),
    ("unfold", with_fields(gap_bits=2), "distance to the target can be"),
    ("unfold", with_fields(unfolds=0), "at least 1"),
    ("unfold", with_input(0, scale=0.5), "alike"),
    ("unfold", with_input(1, qmin=-BIG, qmax=BIG), "sum of conductances can reach"),
    ("unfold", with_input(2, scale=0.5), "in steps of"),
    ("unfold", with_output(0, qmax=100), "reach it"),
    ("unfold", filled("conductance", 0), "exceeds the conductance"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_bad_construction_is_named(name: str, change: Change, message: str) -> None:
    op = MAKERS[name](Seeded(1))
    with pytest.raises(GraphError, match=f"^{op.kind} {op.name}: .*{message}"):
        change(op)


def test_elements_that_do_not_exist_are_named_when_they_are_quantized() -> None:
    x, y = QTensor("x", (4,), "int8"), QTensor("y", (6,), "int8")
    for first in (0, 3, 99, -1):
        with pytest.raises(GraphError, match=r"^slice part: elements .* of 4"):
            Slice.quantize("part", x, y, first)
    with pytest.raises(GraphError, match=r"^requantize wide: sizes of \(4,\) and \(6,\) differ"):
        Requantize.quantize("wide", x, y)


@pytest.mark.parametrize("kind", [MaxPool, AveragePool])
def test_a_pool_with_dilation_is_refused(kind: type[MaxPool | AveragePool]) -> None:
    x, y = QTensor("x", (9, 2), "int8"), QTensor("y", (5, 2), "int8")
    geometry = geometry_of((1, 9), (1, 3), (1, 1), "valid", (1, 2))
    with pytest.raises(GraphError, match=r"pool p: dilation must be \(1, 1\), not \(1, 2\)"):
        kind.quantize("p", x, y, geometry)


def test_every_operator_refuses_something() -> None:
    assert {kind_of(name) for name, _, _ in BAD} == OPERATORS.keys()


@pytest.mark.parametrize("factor", [{"multiplier": 0}, {"multiplier": 1 << 31}, {"shift": -1}])
@pytest.mark.parametrize(
    "kind",
    [
        "average_pool",
        "center",
        "decay",
        "decimate",
        "gate",
        "gated_sum",
        "mean_abs",
        "mean_pool",
        "mix",
        "multiply",
        "requantize",
        "slice",
    ],
)
def test_a_factor_that_c_cannot_hold_is_refused(kind: str, factor: dict[str, int]) -> None:
    with pytest.raises(GraphError, match=f"^{kind} .*: multiplier must be 1 to"):
        with_fields(**factor)(MAKERS[kind](Seeded(1)))


@pytest.mark.parametrize("fields", [{"multipliers": (0, 1)}, {"shifts": (0, 31)}])
def test_both_factors_of_a_time_gate_are_checked(fields: dict[str, object]) -> None:
    with pytest.raises(GraphError, match=r"^time_gate .*: multiplier must be 1 to"):
        with_fields(**fields)(MAKERS["time_gate"](Seeded(1)))


@pytest.mark.parametrize("kind", MAKERS)
def test_names_must_be_c_identifiers(kind: str) -> None:
    with pytest.raises(GraphError, match="C identifier"):
        replace(MAKERS[kind](Seeded(1)), name="not a name")


@pytest.mark.parametrize("real", [0.0, -1.0, float("nan"), float("inf"), 2.0**-40, 2.0**40])
def test_impossible_factors_are_refused(real: float) -> None:
    with pytest.raises(QuantizationError):
        quantize_multiplier(real)


def test_the_proof_counts_the_folded_zero_point() -> None:
    """C adds raw inputs to the folded bias: that form must fit too, and the refusal says why."""
    x = QTensor("x", (200,), "int16", 1.0, 32767, 32000, 32767)
    weight, vector = np.full((1, 200), 127, np.int8), np.ones(1, np.int32)
    shift = np.full(1, 7, np.int8)
    with pytest.raises(GraphError, match=r"accumulator can reach .*reduce the input range"):
        Linear("linear", (x,), (QTensor("y", (1,), "int16"),), weight, 0 * vector, vector, shift)
