"""How each link compared with the simulator, and how each device came up."""

from __future__ import annotations

from typing import Any

from lnn_edge.report.facts import Report
from lnn_edge.report.words import (
    clock_words,
    cost_sentences,
    count_words,
    link_words,
    start_words,
    step_words,
    time_words,
)


def context(report: Report) -> dict[str, Any]:
    """Return a row for each link, and the sentences below."""
    links = report.links
    on_silicon = any(link.clock_source == "dwt" and not link.is_emulated for link in links)
    firsts = ((link_words(link), link.first_mismatch) for link in links if link.first_mismatch)
    return {
        "rows": [
            {
                "link": link_words(link),
                "clock": clock_words(link),
                "counted": step_words(link) if link.counts else "nothing",
                "facts": link,
                "counts": count_words(link),
                "time": time_words(link),
                "start": start_words(link),
            }
            for link in links
        ],
        "sentences": [
            *(f"First mismatch on {name}: {first}." for name, first in firsts),
            *(sentence for link in links for sentence in cost_sentences(link)),
        ],
        "on_silicon": on_silicon,
    }
