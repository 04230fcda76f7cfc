"""A graph as a table: every operator's format, and what its integers are worth if it is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lnn_edge.graph.ir import AbstractOp, QTensor
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.reference import TensorFacts
from lnn_edge.graph.stage import EventTrigger, Stage

HEAD = ("operator", "kind", "format", "scale", "range", "saturated", "RMSE", "of span")


def summary(graph: QGraph) -> str:
    """Return stages, operators and outputs as text.

    Saturation and RMSE are those of calibration data against the module's own values: of what a
    layer computes, not of the steps inside it. A reference may say what else it compares with.
    """
    facts = {} if graph.reference is None else graph.reference.tensors
    tables = [
        (_when(graph, stage), [_row(op, facts) for op in stage.ops]) for stage in graph.stages
    ]
    rows = [HEAD, *(row for _, table in tables for row in table)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = [
        f"{graph.name}: {len(graph.ops)} operators, {sum(op.macs for op in graph.ops)} "
        "multiply-accumulates",
        _line(HEAD, widths),
    ]
    for head, table in tables:
        lines += [head, *(_line(row, widths) for row in table)]
    against = graph.reference.against if graph.reference is not None else ""
    told = [f"RMSE is against {against}"] if against else []
    return "\n".join([*lines, *_outputs(graph, facts), *told])


def worst(graph: QGraph, most: int = 5) -> str:
    """Return the operators whose integers are furthest from the module's values, worst first.

    Args:
        graph: With a reference; without one there is nothing to tell, "".
        most: How many.
    """
    facts = {} if graph.reference is None else graph.reference.tensors
    known = [op for op in graph.ops if op.outputs[0].name in facts]
    known = [op for op in known if facts[op.outputs[0].name].span]
    order = sorted(known, key=lambda op: -_share(facts[op.outputs[0].name]))
    rows = [HEAD, *(_row(op, facts) for op in order[:most])]
    if len(rows) == 1:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    return "\n".join(_line(row, widths) for row in rows)


def _share(facts: TensorFacts) -> float:
    return facts.rmse / facts.span


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return ("  " + "  ".join(cells)).rstrip()


def _when(graph: QGraph, stage: Stage) -> str:
    if isinstance(stage.trigger, EventTrigger):
        return f"{stage.name}: at every event"
    first, hop = graph.stage_pace(stage)
    rate = graph.contract.sample_rate_hz
    often = "every frame" if hop == 1 else f"every {hop} frames"
    often += f", {rate / hop:g} Hz" if rate else ""
    return f"{stage.name}: {often}; the first after {first} frame{'s' * (first > 1)}"


def _row(op: AbstractOp, facts: Mapping[str, TensorFacts]) -> tuple[str, ...]:
    y = op.outputs[0]
    shape = "x".join(map(str, y.shape))
    return (op.name, op.kind, f"{y.dtype} {shape}", _scale(y), _range(y), *_worth(y.name, facts))


def _scale(tensor: QTensor) -> str:
    low, high = min(tensor.scales), max(tensor.scales)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _range(tensor: QTensor) -> str:
    ends = [tensor.dequantize(q) for q in (tensor.qmin, tensor.qmax)]
    return f"{ends[0].min():.4g} to {ends[1].max():.4g}"


def _worth(name: str, facts: Mapping[str, TensorFacts]) -> tuple[str, str, str]:
    known = facts.get(name)
    if known is None:
        return "", "", ""
    share = f"{known.rmse / known.span:.2%}" if known.span else ""
    return f"{known.saturated:.2%}", f"{known.rmse:.3g}", share


def _outputs(graph: QGraph, facts: Mapping[str, TensorFacts]) -> Iterator[str]:
    for output in graph.outputs:
        text = f"output {output.name}: {output.size} {output.kind}, scale {output.scale:.3g}"
        known = facts.get(output.name)
        if known is not None:
            share = f" ({known.rmse / known.span:.2%})" if known.span else ""
            text += f"; RMSE {known.rmse:.3g} of a span of {known.span:.3g}{share}"
        yield text
