"""Float against integer: the error of each tensor, the worst first."""

from __future__ import annotations

from typing import Any

from lnn_edge.graph.ir import AbstractOp
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.reference import TensorFacts
from lnn_edge.report.facts import Report


def context(report: Report) -> dict[str, Any]:
    """Return a row for each tensor that was compared with forward; none where none was."""
    graph = report.project.graph
    known = graph.reference.tensors if graph.reference is not None else {}
    rows = [_row(op, known[op.outputs[0].name]) for op in graph.ops if op.outputs[0].name in known]
    rows.sort(key=lambda row: (-row["share"], row["name"]))
    return {
        "rows": rows,
        "largest": max((row["share"] for row in rows), default=0.0),
        "others": len(graph.ops) - len(rows),
        "sequences": len(graph.reference.frames) if graph.reference is not None else 0,
        "summary": graph.summary(),
        "against": _against(graph),
    }


def _against(graph: QGraph) -> str:
    """Say what the integers are compared with."""
    told = graph.reference.against if graph.reference is not None else ""
    return told or "the float model, on calibration data"


def _row(op: AbstractOp, facts: TensorFacts) -> dict[str, Any]:
    y = op.outputs[0]
    return {
        "name": op.name,
        "format": f"{y.dtype} {'x'.join(map(str, y.shape))}",
        "facts": facts,
        "share": facts.rmse / facts.span if facts.span else 0.0,
    }
