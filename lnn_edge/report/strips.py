"""One recording and what a model says of it, as one SVG: strips of signal with decisions below."""

from __future__ import annotations

from lnn_edge.report.drawings.timeline import WIDTH, draw_timeline
from lnn_edge.report.markup import Html, element, label, svg
from lnn_edge.report.timelines import timeline_of_predicted
from lnn_edge.tasks.predicted import Predicted

MOST_STRIPS = 40
_HEAD, _GAP = 24.0, 14.0
_STYLE = """
svg { background: #ffffff; font: 11px system-ui, "Liberation Sans", sans-serif; }
text { fill: #5b6675; } .lead, .caption, .beat { fill: #1c2430; font-weight: 600; }
.lead { paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
.end { text-anchor: end; } .middle { text-anchor: middle; } .caption { font-size: 14px; }
.beat { text-anchor: middle; font-weight: 700; font-size: 12px; }
path { fill: none; } .trace { stroke: #1c2430; } .axis1 { opacity: 0.55; } .axis2 { opacity: 0.3; }
.grid { stroke: #f6e4e4; } .grid-strong { stroke: #e9c5c5; } .rule { stroke: #e3e7ec; }
.edge { stroke: #5b6675; } .value { stroke: #1f5fa8; stroke-width: 1.5; }
"""


def draw_predicted(predicted: Predicted, *, events: bool, start_s: float = 0.0) -> str:
    """Return an SVG document of at most MOST_STRIPS strips.

    Args:
        predicted: Of one recording.
        events: Whether decisions stand for instants, as beats, not for the time up to the next.
        start_s: Where to begin.
    """
    line = timeline_of_predicted(predicted, start_s, MOST_STRIPS, events=events)
    caption = f"Record {line.name}, second {start_s:g} to {line.length:g}"
    parts, top = [element("style", {}, Html(_STYLE)), label("caption", 0, 14, caption)], _HEAD
    for strip in draw_timeline(line):
        parts.append(element("g", {"transform": f"translate(0 {top:g})"}, *strip.parts))
        top += strip.height + _GAP
    drawing = svg(WIDTH, top, caption, *parts)
    size = f'<svg width="{WIDTH:g}" height="{top:g}"'  # a browser would fit it to its window
    return f'<?xml version="1.0" encoding="utf-8"?>\n{str(drawing).replace("<svg", size, 1)}\n'
