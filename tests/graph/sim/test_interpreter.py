"""A step depends on its inputs and its state alone, for one sequence as for many."""

from __future__ import annotations

import numpy as np
import pytest

from lnn_edge.graph.ops.leaky import EMPTY
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.stage import Stage
from tests.support.toy import toy_graph

STAGE = toy_graph().deciding_stage
WANTED = tuple(t.name for t in STAGE.kept)
STEPS, BATCH = 12, 3


@pytest.fixture(scope="module")
def inputs() -> Values:
    rng = np.random.default_rng(0)
    return {
        t.name: rng.integers(t.qmin, t.qmax, (STEPS, BATCH, *t.shape), endpoint=True)
        for t in STAGE.inputs
    }


def part(values: Values, where: object) -> Values:
    return {name: x[where] for name, x in values.items()}


def same(a: Values, b: Values) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


def test_a_reset_sets_every_element_to_its_initial_value() -> None:
    state = interpreter.initial_state(STAGE, (2, 5))
    assert {n: (x.shape[:2], x.dtype) for n, x in state.items()} == {
        s.tensor.name: ((2, 5), np.int64) for s in STAGE.states
    }
    assert set(state["average"].ravel().tolist()) == {EMPTY}
    assert set(state["h"].ravel().tolist()) == {0}


def test_sequences_side_by_side_are_the_sequences_one_by_one(inputs: Values) -> None:
    together, last = interpreter.run_sequence(
        STAGE, inputs, interpreter.initial_state(STAGE, (BATCH,)), WANTED
    )
    for b in range(BATCH):
        alone = part(inputs, (slice(None), b))
        one, end = interpreter.run_sequence(STAGE, alone, interpreter.initial_state(STAGE), WANTED)
        assert same(one, part(together, (slice(None), b)))
        assert same(end, part(last, b))


@pytest.mark.parametrize("cut", [1, 5, STEPS - 1])
def test_the_state_is_all_that_a_sequence_leaves_behind(inputs: Values, cut: int) -> None:
    start = interpreter.initial_state(STAGE, (BATCH,))
    whole, end = interpreter.run_sequence(STAGE, inputs, start, WANTED)
    _, middle = interpreter.run_sequence(STAGE, part(inputs, slice(cut)), start, WANTED)
    copied = {name: x.copy() for name, x in middle.items()}
    rest, last = interpreter.run_sequence(STAGE, part(inputs, slice(cut, None)), copied, WANTED)
    assert same(rest, part(whole, slice(cut, None)))
    assert same(last, end)


def test_a_step_leaves_what_it_was_given_alone(inputs: Values) -> None:
    first, state = part(inputs, 0), interpreter.initial_state(STAGE, (BATCH,))
    before = {name: x.copy() for name, x in {**first, **state}.items()}
    values = interpreter.run_stage(STAGE, first, state)
    assert same({**first, **state}, before)
    assert values.keys() >= before.keys()


def test_the_next_state_is_the_update_under_the_name_of_the_state(inputs: Values) -> None:
    values = interpreter.run_stage(
        STAGE, part(inputs, 0), interpreter.initial_state(STAGE, (BATCH,))
    )
    state = interpreter.next_state(STAGE, values)
    assert {n: x.tolist() for n, x in state.items()} == {
        s.tensor.name: values[s.update.name].tolist() for s in STAGE.states
    }


def test_every_tensor_of_a_step_stays_in_its_range(inputs: Values) -> None:
    """The proofs count with qmin and qmax: nothing may ever leave them."""
    state = interpreter.initial_state(STAGE, (BATCH,))
    tensors = [t for op in STAGE.ops for t in op.outputs]
    for step in range(STEPS):
        values = interpreter.run_stage(STAGE, part(inputs, step), state)
        state = interpreter.next_state(STAGE, values)
        for t in tensors:
            assert t.qmin <= values[t.name].min() <= values[t.name].max() <= t.qmax, t.name


def test_a_stage_without_states_has_an_empty_state() -> None:
    assert interpreter.initial_state(Stage("s", toy_graph().stages[0].trigger)) == {}
