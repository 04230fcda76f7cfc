"""Names in the C of a model: what its interface is called, and that no two are alike."""

from __future__ import annotations

from collections.abc import Sequence

from lnn_edge.errors import GraphError
from lnn_edge.graph.qgraph import QGraph

VERBS = (
    "reset",
    "push_frame",
    "push_event",
    "skip_frames",
    "poll",
    "get_state",
    "set_state",
    "is_loading",
    "get_probes",
    "frames",
    "get_counters",
)  # of the interface, behind the name of the model


def check_distinct(graph: QGraph, symbols: Sequence[str]) -> None:
    """Refuse names that are different in the graph and alike in C."""
    own = {f"{graph.name}_{verb}" for verb in (*VERBS, "trace", "sha256")}
    scope = [*symbols, *own, *(f"run_{stage.name}" for stage in graph.stages)]
    access = ("output", "dequantize_output")
    scope += [f"{graph.name}_{what}_{head.name}" for head in graph.heads for what in access]
    rings = (f"{ring.name}_{what}" for ring in graph.rings for what in ("ring", "frames"))
    states = (state.tensor.name for state in graph.states)
    members = [*states, *rings, "padding", "events", "due", "counters", "stamps"]
    for names in (scope, members):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise GraphError(
                f"{twice[0]} would be two things in the C of {graph.name}; rename the model or one "
                "of its stages, rings, operators, states or outputs"
            )
