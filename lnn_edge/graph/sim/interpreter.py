"""The meaning of a stage: run its operators' references in order, on any number of sequences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.graph.fixed import Array
from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.stage import Stage

Values = dict[str, Array]
SPAN_ELEMENTS = 1 << 20  # of all tensors of the steps that run at once: 8 MiB


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
    _run(stage.ops, values, np.shape(values[first.name])[: -len(first.shape)])
    return values


def _run(ops: Sequence[AbstractOp], values: Values, batch: tuple[int, ...]) -> None:
    """Run operators in their order; add what they write to `values`."""
    for op in ops:
        results = op.reference(*(values[t.name] for t in op.inputs))
        if not op.inputs:  # the same in every sequence
            results = tuple(np.broadcast_to(r, (*batch, *r.shape)) for r in results)
        values.update(zip((t.name for t in op.outputs), results, strict=True))


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
    for values, after in run_spans(stage, inputs, state, wanted):
        state = after
        for name in wanted:
            kept[name].append(values[name])
    return {name: np.concatenate(spans) for name, spans in kept.items()}, state


def run_spans(
    stage: Stage, inputs: Values, state: Values, wanted: Collection[str]
) -> Iterator[tuple[Values, Values]]:
    """Do the same some steps at a time: what needs no state runs for all of them at once.

    Yields:
        Wanted tensors of the steps of a span, (S, B, *shape), and the state after its last step.
    """
    parts = _Parts.of(stage)
    steps, batch = next(iter(inputs.values())).shape[:2]
    made = sum(t.size for op in stage.ops for t in op.outputs)
    span = max(1, SPAN_ELEMENTS // max(1, batch * made))
    for start in range(0, steps, span):
        values = {name: x[start : start + span].astype(np.int64) for name, x in inputs.items()}
        count = min(span, steps - start)
        _run(parts.before, values, (count, batch))
        state = _step(parts, values, state, count, {*wanted, *parts.read_after})
        _run(parts.after, values, (count, batch))
        yield {name: values[name] for name in wanted}, state


@dataclass(frozen=True)
class _Parts:
    """Operators of a stage by when they can run.

    Attributes:
        stage: Of which they are.
        before: They need no state.
        along: They lead from the states to the next ones: one step after the other.
        after: They read states, and no next one needs them.
    """

    stage: Stage
    before: tuple[AbstractOp, ...]
    along: tuple[AbstractOp, ...]
    after: tuple[AbstractOp, ...]

    @classmethod
    def of(cls, stage: Stage) -> _Parts:
        """Part the operators of a stage, each part in their order."""
        moved = {s.tensor.name for s in stage.states}  # what varies with a state
        behind = []
        for op in stage.ops:
            if moved & {t.name for t in op.inputs}:
                moved |= {t.name for t in op.outputs}
                behind.append(op)
        needed = {s.update.name for s in stage.states}
        along: list[AbstractOp] = []
        for op in reversed(behind):
            if needed & {t.name for t in op.outputs}:
                needed |= {t.name for t in op.inputs}
                along.insert(0, op)
        steps, parted = {op.name for op in along}, {op.name for op in behind}
        return cls(
            stage,
            tuple(op for op in stage.ops if op.name not in parted),
            tuple(along),
            tuple(op for op in behind if op.name not in steps),
        )

    @property
    def read_after(self) -> set[str]:
        """Names of the tensors that `after` reads."""
        return {t.name for op in self.after for t in op.inputs}


def _step(parts: _Parts, values: Values, state: Values, count: int, wanted: set[str]) -> Values:
    """Run what goes step by step; add what is wanted of it to `values`, return the last state.

    Args:
        parts: Of a stage.
        values: Tensors of `count` steps that need no state, (S, B, *shape).
        state: Before the first of them, (B, *shape).
        count: Steps.
        wanted: Names of tensors, those in `values` among them.
    """
    if not parts.stage.states:
        return state
    reads = {t.name for op in parts.along for t in op.inputs}
    reads |= {s.update.name for s in parts.stage.states}
    given = {name: values[name] for name in reads & values.keys()}
    kept: dict[str, list[Array]] = {}
    batch = next(iter(state.values())).shape[:1]
    for step in range(count):
        now = {name: x[step] for name, x in given.items()} | state
        _run(parts.along, now, batch)
        for name in wanted & now.keys() - values.keys():
            kept.setdefault(name, []).append(now[name])
        state = next_state(parts.stage, now)
    values.update({name: np.stack(rows) for name, rows in kept.items()})
    return state
