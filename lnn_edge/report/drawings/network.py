"""A liquid network: nodes in columns, connections by their share; nodes take a decision's activity.

The page's script steps through the decisions; without it the drawing shows one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lnn_edge.report.markup import Html, circle, element, group, join, label, svg, text

WIDTH, _TOP, _MARGIN = 760.0, 44.0, 96.0
_LEAST, _MOST = 13.0, 26.0  # pixels from a node to the next
_TALLEST = 460.0
MOST_EDGES = 260  # those of the largest shares


@dataclass(frozen=True)
class Node:
    """One number of the network.

    Attributes:
        name: For people.
        shown: Beside it, "" for nothing.
    """

    name: str
    shown: str = ""


@dataclass(frozen=True)
class Column:
    """Nodes below one another.

    Attributes:
        head: Above them.
        nodes: In order.
    """

    head: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Edge:
    """A connection from one node to another, by their places in the row of all nodes."""

    source: int
    target: int
    share: float


def strongest(edges: Sequence[Edge]) -> list[Edge]:
    """Return the connections that are drawn, weakest first."""
    return sorted(edges, key=lambda e: abs(e.share))[-MOST_EDGES:]


def draw_network(
    columns: Sequence[Column], edges: Sequence[Edge], activity: np.ndarray, title: str
) -> Html:
    """Return the drawing.

    Args:
        columns: From inputs to outputs.
        edges: Between their nodes, those that are drawn.
        activity: (nodes,) from -1 to 1, of the decision that is shown.
        title: For those who do not see it.
    """
    places = list(_places(columns))
    count = max(len(c.nodes) for c in columns)
    height = _TOP + min(_TALLEST, count * _MOST) + 8
    most: dict[int, float] = {}  # the strongest connection into each column: others compare with it
    for edge in edges:
        column = places[edge.target][2]
        most[column] = max(most.get(column, 0.0), abs(edge.share))
    lines = [_edge(e, places, most[places[e.target][2]]) for e in edges]
    nodes = [n for c in columns for n in c.nodes]
    dots = [
        _node(node, place, float(a)) for node, place, a in zip(nodes, places, activity, strict=True)
    ]
    heads = (
        label("head middle", _column_x(i, len(columns)), 16, column.head)
        for i, column in enumerate(columns)
    )
    parts = [group("edges", *lines), group("nodes", *dots), join(heads)]
    return svg(WIDTH, height, title, *parts)


def _column_x(index: int, count: int) -> float:
    return _MARGIN + (WIDTH - 2 * _MARGIN) * index / max(count - 1, 1)


def _places(columns: Sequence[Column]) -> Iterator[tuple[float, float, int]]:
    """Yield x, y and column of each node."""
    count = max(len(c.nodes) for c in columns)
    whole = min(_TALLEST, count * _MOST)
    for index, column in enumerate(columns):
        step = min(_MOST, whole / max(len(column.nodes), 1))
        first = _TOP + (whole - step * (len(column.nodes) - 1)) / 2
        for i in range(len(column.nodes)):
            yield _column_x(index, len(columns)), first + i * step, index


def _edge(edge: Edge, places: Sequence[tuple[float, float, int]], most: float) -> Html:
    (x0, y0, here), (x1, y1, there) = places[edge.source], places[edge.target]
    strength = abs(edge.share) / most
    kind = "edge-down" if edge.share < 0 else "edge-up"
    if here == there:
        bow = 14 + 0.28 * abs(y1 - y0)
        way = (
            f"M{x0:.1f} {y0:.1f}C{x0 + bow:.1f} {y0:.1f} {x1 + bow:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        )
        if edge.source == edge.target:
            way = f"M{x0:.1f} {y0 - 4:.1f}c16 -9 16 17 0 8"
    else:
        middle = (x0 + x1) / 2
        way = f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    attributes = {
        "class": kind,
        "d": way,
        "data-from": edge.source,
        "data-share": f"{strength:.2f}",
        "stroke-width": f"{0.4 + 2.2 * strength:.2f}",
        "style": f"stroke-opacity:{0.12 + 0.5 * strength:.2f}",
    }
    return element("path", attributes)


def _node(node: Node, place: tuple[float, float, int], activity: float) -> Html:
    x, y, column = place
    kind = "node down" if activity < 0 else "node up"
    inside = element("title", {}, text(node.name))
    dot = element(
        "circle",
        {"class": kind, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": 5.5,
         "style": f"fill-opacity:{abs(activity):.2f}"},
        inside,
    )  # fmt: skip
    parts = [circle("node-back", x, y, 5.5), dot]
    if node.shown:
        side, kind = (-10, "tick end") if column == 0 else (10, "tick")
        parts.append(label(kind, x + side, y + 4, node.shown))
    return join(parts)
