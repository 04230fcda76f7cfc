"""What is lost on the way to integers is counted and said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lnn_edge.graph.fidelity import (
    channel_resolutions,
    error_text,
    error_warnings,
    output_error,
    output_errors,
    resolution,
    warnings,
)
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.slice import Slice
from lnn_edge.graph.sim.stream import Stream
from tests.support.toy import motion, toy_every_graph, toy_heads_graph

STEPS = QTensor("x", (1,), "int8", 0.5, 0, -100, 100)


def test_values_that_saturate_and_values_that_vanish_are_counted() -> None:
    found = resolution("x", STEPS, np.array([0.0, 0.2, -0.2, 1.0, 2.0, 50.2, 51.0, -1e9]))
    assert (found.low, found.high, found.step) == (-50.0, 50.0, 0.5)
    assert (found.clipped, found.lost) == (2 / 8, 2 / 8)  # 50.2 is 50 rounded


@pytest.mark.parametrize("bits", [3, 6, 10])
def test_bits_are_those_of_a_uniform_value(bits: int) -> None:
    """2**n even steps have a spread of 2**n / sqrt(12) and a noise of 1 / sqrt(12)."""
    x = QTensor("x", (1,), "int16", 1.0)
    values = np.random.default_rng(0).uniform(-(2 ** (bits - 1)), 2 ** (bits - 1), 100_000)
    found = resolution("x", x, values).bits
    assert found is not None
    assert abs(found - bits) < 0.02


def test_what_is_exact_loses_no_bits_and_what_is_constant_is_compared_with_itself() -> None:
    assert resolution("x", STEPS, np.array([1.0, -3.5])).bits is None
    assert resolution("x", STEPS, np.zeros((3, 4))).bits is None
    bits = resolution("x", STEPS, np.full(9, 10.2)).bits
    assert bits == pytest.approx(np.log2(10.2 / 0.2))


def test_only_what_is_poor_is_warned_of() -> None:
    good = resolution("a", STEPS, np.random.default_rng(0).uniform(-50, 50, 999))
    assert warnings([good]) == []
    for change in ({"clipped": 0.02}, {"lost": 0.2}, {"bits": 2.0}):
        bad = replace(good, name="b", **change)  # type: ignore[arg-type]
        (said,) = warnings([good, bad])
        assert said.startswith("little is left of b: -50 to 50 in steps of 0.5; ")


def test_integers_that_do_not_follow_the_model_are_warned_of() -> None:
    wanted = np.array([[0.0, 1.0], [2.0, 4.0]])
    near, far = output_error(wanted + 0.1, wanted), output_error(wanted * 0, wanted)
    assert near == pytest.approx({"rmse": 0.1, "max_abs": 0.1, "range": 4.0})
    assert error_warnings(near) == []
    (said,) = error_warnings(far)
    assert said.startswith("the integers do not follow the model: RMSE 2.29, at most 4, of outputs")
    assert "(57.28% of it)" in said
    assert error_text(output_error(wanted * 0 + 1, wanted * 0)).endswith("that span 0")


def test_each_output_is_as_far_off_as_its_own_step() -> None:
    """Float64 sums of each head's own weights are the witness; steps differ by a factor of 40."""
    graph = toy_heads_graph()
    decisions = list(Stream(graph).run(motion(1, 400, -1000, 1000)))
    heads = {op.name: op for op in graph.deciding_stage.ops}
    wanted = []
    for output in graph.outputs:
        head = heads[f"{output.name}_linear"]
        unit = head.multiplier / 2.0 ** (32 - head.shift.astype(float)) * output.scale  # type: ignore[attr-defined]
        rows = np.array([d.values[head.inputs[0].name] for d in decisions])
        wanted.append((rows @ head.weight.T.astype(float) + head.bias) * unit)  # type: ignore[attr-defined]
    found = output_errors(
        graph, np.array([d.outputs for d in decisions]), np.concatenate(wanted, axis=1)
    )
    assert list(found) == ["gait", "pose", "strides"]
    for output in graph.outputs:
        assert 0 < found[output.name]["max_abs"] <= 0.51 * output.scale


def test_what_is_read_of_a_window_is_no_channel() -> None:
    """Element 20 of 8 frames of 3 channels is in none of the channels 0 to 2."""
    graph = toy_every_graph()
    y = replace(graph.output, name="last", shape=(2,), scale=1 / 1000)
    read = Slice.quantize("read", graph.deciding_trigger.window, y, 20)
    stage = replace(graph.deciding_stage, ops=(read,), states=(), outputs=(y,), probes=())
    values = replace(graph, stages=(graph.stages[0], stage), metadata={})
    assert channel_resolutions(values, np.zeros((2, 9, 3))) == ()


def test_the_output_that_does_not_follow_is_named() -> None:
    far = output_error(np.zeros(2), np.array([0.0, 4.0]))
    (said,) = error_warnings(far, "pose")
    assert said.startswith("output pose: the integers do not follow the model: RMSE 2.83")
    assert error_warnings(None, "pose") == []
