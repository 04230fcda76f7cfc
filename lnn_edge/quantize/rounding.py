"""Rounds the weights of a matrix together: each makes up for those before it, by what is read.

A weight rounded to its nearest integer is off by up to half a step, and inputs that vary together,
as neighbouring frames do, add such errors up. So the weights of a row are rounded one after the
other, and each makes up for the error of those before as well as it can, given the covariance of
what they read on calibration data; the bias takes the mean. These are other integers in the same
places: formats, sizes and instructions stay what they are.

Frantar et al., GPTQ, arXiv:2210.17323 (2022); the bias as in Nagel et al., arXiv:1906.04721 (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lnn_edge.graph.ops.rows import AbstractRowOp
from lnn_edge.graph.sim import interpreter
from lnn_edge.graph.sim.batch import pad
from lnn_edge.graph.sim.interpreter import Values
from lnn_edge.graph.stage import Stage

MOST_SEQUENCES = 48  # of those given, at equal distances
FIRST_STEPS = 128  # of each of them
MOST_COLUMNS = 16384  # of a matrix: of a convolution every position of a step has its own
DAMPING = 0.01  # of the mean variance, so that what hardly varies is rounded to the nearest


def rounded_together(stage: Stage, sequences: Sequence[Values]) -> Stage:
    """Return a stage with the weights of its matrices and convolutions rounded anew.

    They read what they read in the stage as given. A weight that is 0 stays so. Operators that do
    not know what they were rounded from, those of groups and those inside loops stay as they are.

    Args:
        stage: As it was lowered.
        sequences: Calibration: what the operators read from outside by name, (T, *shape) integers,
            each sequence from a reset.
    """
    chosen = sequences[:: -(-len(sequences) // MOST_SEQUENCES)] if sequences else []
    matrices = [op for op in stage.ops if isinstance(op, AbstractRowOp) and op.exact is not None]
    if not chosen or not matrices:
        return stage
    read = _read(stage, chosen, {op.inputs[0].name for op in matrices})
    anew = {op.name: _rounded(op, _columns(op, read[op.inputs[0].name])) for op in matrices}
    return replace(stage, ops=tuple(anew.get(op.name, op) for op in stage.ops))


def _read(stage: Stage, sequences: Sequence[Values], wanted: set[str]) -> Values:
    """Return tensors (N, *shape) of all steps that are run."""
    first = [{name: x[:FIRST_STEPS] for name, x in sequence.items()} for sequence in sequences]
    lengths = [len(next(iter(sequence.values()))) for sequence in first]
    given = {name: pad([s[name] for s in first], max(lengths)) for name in first[0]}
    state = interpreter.initial_state(stage, (len(first),))
    inside = tuple(sorted(wanted - given.keys()))
    made, _ = interpreter.run_sequence(stage, given, state, inside)
    seen = np.arange(max(lengths))[:, None] < np.array(lengths)
    return {name: (given | made)[name][seen] for name in wanted}


def _columns(op: AbstractRowOp, x: np.ndarray) -> np.ndarray:
    """Return what the rows of an operator multiply, (M, K), of its inputs (N, *shape)."""
    positions = op.outputs[0].size // len(op.weight)
    few = x[:: -(-len(x) * positions // MOST_COLUMNS)].astype(np.int64)
    columns: np.ndarray = op.columns(few).reshape(-1, op.rows.shape[1]) - op.column_zero_points
    return columns.astype(float)


def _rounded(op: AbstractRowOp, columns: np.ndarray) -> AbstractRowOp:
    assert op.exact is not None
    weight, bias = op.exact
    mean = columns.mean(0)
    squares = columns.T @ columns / len(columns)  # sums of integers: exact, in any order
    rows = rounded_rows(weight, squares - np.outer(mean, mean))
    offset = np.floor(bias + (weight - rows) @ mean + 0.5)
    return replace(op, weight=rows.astype(np.int8), bias=offset.astype(np.int32), exact=None)


def rounded_rows(weight: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return integers in [-127, 127] near real rows (O, K), by the covariance (K, K) of columns.

    With covariance = L L' and z = w - q, the error's mean square is |L' z|^2. Element i of that has
    z_i and those behind it: from the last to the first, each z_i makes its own element small.
    """
    floor = DAMPING * max(covariance.trace() / len(covariance), 1.0)
    order = np.argsort(covariance.diagonal(), kind="stable")  # what varies most is rounded first
    ordered = covariance[np.ix_(order, order)]
    ordered[np.diag_indices_from(ordered)] += floor
    upper = np.ascontiguousarray(np.linalg.cholesky(ordered).T)
    exact, error = weight[:, order], np.zeros_like(weight)
    for i in reversed(range(len(order))):
        made_up = error[:, i + 1 :] @ upper[i, i + 1 :] / upper[i, i]
        nearest = np.clip(np.floor(exact[:, i] + made_up + 0.5), -127, 127)
        error[:, i] = exact[:, i] - np.where(exact[:, i] == 0, 0, nearest)
    rows = np.empty_like(weight)
    rows[:, order] = exact - error
    integers: np.ndarray = np.rint(rows)
    return integers
