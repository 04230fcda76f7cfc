"""What the report is made from."""

from __future__ import annotations

from typing import Any

from lnn_edge.files.names import listed
from lnn_edge.files.version import VERSION
from lnn_edge.report.facts import Report

MOST_NAMED = 40  # records in a row


def context(report: Report) -> dict[str, Any]:
    """Return hashes, and names of versions and records."""
    export, graph, build = report.project.export, report.project.graph, report.build
    calibration = graph.contract.calibration_records
    verified = sorted({r for link in report.links for r in link.records})
    judged = [p.recording.name for p in report.predictions]
    return {
        "hashes": (
            ("model.qgraph, sha256 of the graph", report.model_sha256),
            ("float weights, sha256", graph.metadata.get("weights_sha256", "not recorded")),
            ("firmware.elf, sha256", (build.elf_sha256 if build else "") or "not built"),
            ("board description, sha256", export.get("board_sha256", "not recorded")),
        ),
        "items": (
            ("board", f"{report.project.board.name}: {report.project.board.mcu.source}"),
            ("exported by lnn-edge", export.get("lnn_edge", "not recorded")),
            ("reported by lnn-edge", VERSION),
            ("compiler", (build.compiler if build else "") or "not built"),
            ("trained on data set", graph.metadata.get("dataset", "not recorded")),
            ("calibration records", listed(calibration, MOST_NAMED) or "not recorded"),
            ("records verified", listed(verified, MOST_NAMED) or "none"),
            ("records judged here", listed(judged, MOST_NAMED) or "none"),
        ),
    }
