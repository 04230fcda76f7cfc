"""The meaning of a stage: run its operators' references in order, on any number of sequences."""

from __future__ import annotations

import numpy as np

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.stage import Stage

Values = dict[str, Array]


def initial_state(stage: Stage, batch: tuple[int, ...] = ()) -> Values:
    """Return the state after a reset, int64 arrays of shape (*batch, *tensor.shape)."""
    return {
        s.tensor.name: np.full((*batch, *s.tensor.shape), s.initial, np.int64) for s in stage.states
    }


def run_stage(stage: Stage, inputs: Values, state: Values) -> Values:
    """Compute one step.

    Args:
        stage: Stage to run.
        inputs: int64 arrays by name of stage.inputs, with any leading batch axes.
        state: int64 arrays by name, as initial_state or next_state return them.

    Returns:
        Every tensor of the step by name, inputs and old state included.
    """
    values = {**inputs, **state}
    first = stage.inputs[0]
    batch = np.shape(values[first.name])[: -len(first.shape)]
    for op in stage.ops:
        results = op.reference(*(values[t.name] for t in op.inputs))
        if not op.inputs:  # the same in every sequence
            results = tuple(np.broadcast_to(r, (*batch, *r.shape)) for r in results)
        values.update(zip((t.name for t in op.outputs), results, strict=True))
    return values


def next_state(stage: Stage, values: Values) -> Values:
    """Return the state after the step that computed these values."""
    return {s.tensor.name: values[s.update.name] for s in stage.states}


def run_sequence(
    stage: Stage, inputs: Values, state: Values, wanted: tuple[str, ...]
) -> tuple[Values, Values]:
    """Run a stage step after step on a batch of sequences.

    Args:
        stage: Stage to run.
        inputs: Integer arrays (T, B, *shape) by name.
        state: State before the first step, (B, *shape).
        wanted: Names of the tensors to return.

    Returns:
        Wanted tensors over time, (T, B, *shape), and the state after the last step.
    """
    kept: dict[str, list[Array]] = {name: [] for name in wanted}
    for step in range(next(iter(inputs.values())).shape[0]):
        given = {name: x[step].astype(np.int64) for name, x in inputs.items()}
        values = run_stage(stage, given, state)
        state = next_state(stage, values)
        for name in wanted:
            kept[name].append(values[name])
    return {name: np.stack(steps) for name, steps in kept.items()}, state
