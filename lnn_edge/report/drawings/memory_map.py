"""The memory map: each memory of the board, what lies in it, and how much is free."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lnn_edge.build.size import STACK_SECTION
from lnn_edge.device.board import Board, Region
from lnn_edge.report.built import BuildFacts
from lnn_edge.report.markup import Html, element, join, label, path, rectangle, svg, text

SEGMENTS = {
    ".vectors": ("vectors", "vector table"),
    ".text": ("text", "code"),
    ".rodata": ("rodata", "constants"),
    ".data": ("data", "initialised variables"),
    ".bss": ("bss", "variables and the model's context"),
}
"""Linked section -> (CSS class, words for people)."""

_OTHER = ("other", "other")
_STACK = ("stack", "stack, worst case")
_RESERVE = ("reserve", "stack, reserve")
_FREE = ("free", "free")
_WIDTH = 1000.0
_BAR = 18.0
_FUNNEL = 16.0
_ENLARGE_BELOW = 0.5  # part in use under which a second bar shows it enlarged


@dataclass(frozen=True)
class Segment:
    """A part of a memory: CSS class, words for people, bytes."""

    kind: str
    words: str
    size: int


def segments(board: Board, build: BuildFacts, region: Region) -> tuple[Segment, ...]:
    """Return what lies in a memory, in order, without what is free."""
    found = [s for s in _placed(board, build, region) if s.size > 0]
    rest = build.used.get(region.name, 0) - sum(s.size for s in found)
    if rest > 0:
        found.append(Segment("other", "alignment and other", rest))
    return tuple(found)


def draw_region(board: Board, build: BuildFacts, region: Region) -> Html:
    """Return a memory as a bar to scale, and its used part enlarged where that is small."""
    parts = segments(board, build, region)
    used = sum(p.size for p in parts)
    caption = (
        f"{region.name}, 0x{region.start:08x}: {used:,} of {region.size:,} bytes in use "
        f"({100 * used / region.size:.1f} %)"
    )
    bars = [_bar(0, parts, region.size), _outline(0)]
    height = _BAR + 2
    if 0 < used < _ENLARGE_BELOW * region.size:
        top = _BAR + _FUNNEL
        edge = max(1.0, _WIDTH * used / region.size)
        funnel = f"M0 {_BAR:g}L0 {top:g}M{edge:.1f} {_BAR:g}L{_WIDTH:g} {top:g}"
        bars += [path("funnel", funnel), _bar(top, parts, used), _outline(top)]
        height = top + _BAR + 2
    drawing = svg(_WIDTH, height, f"{caption}: {_words(parts)}", *bars)
    head = element("figcaption", {}, text(caption))
    return element("figure", {}, head, drawing, _legend(parts, region.size - used))


def _placed(board: Board, build: BuildFacts, region: Region) -> Iterator[Segment]:
    layout, sections = board.layout, build.sections
    if region.name == layout.stack:
        reserved = sections.get(STACK_SECTION, 0)
        yield Segment(*_STACK, min(build.stack_bytes, reserved))
        yield Segment(*_RESERVE, reserved - min(build.stack_bytes, reserved))
    for name, size in sections.items():
        if name != STACK_SECTION and region.name in _regions_of(board, name):
            yield Segment(*SEGMENTS.get(name, _OTHER), size)


def _regions_of(board: Board, section: str) -> tuple[str, ...]:
    """Return the memories that a section takes part of: .data lies in both."""
    in_flash, in_ram = (board.layout.flash,), (board.layout.data,)
    return {".data": in_flash + in_ram, ".bss": in_ram}.get(section, in_flash)


def _bar(top: float, parts: tuple[Segment, ...], whole: int) -> Html:
    drawn = []
    x = 0.0
    for part in parts:
        width = _WIDTH * part.size / whole
        drawn.append(rectangle(f"segment-{part.kind}", x, top + 1, width, _BAR))
        if width > 12 * (len(part.words) / 2 + 1):
            drawn.append(label("inside", x + 6, top + 14, part.words))
        x += width
    return join(drawn)


def _outline(top: float) -> Html:
    return rectangle("outline", 0.5, top + 1, _WIDTH - 1, _BAR)


def _words(parts: tuple[Segment, ...]) -> str:
    return ", ".join(f"{p.words} {p.size} bytes" for p in parts) or "empty"


def _legend(parts: tuple[Segment, ...], free: int) -> Html:
    shown = (*parts, Segment(*_FREE, free))
    items = (
        element(
            "li",
            {},
            element("span", {"class": f"swatch segment-{p.kind}"}),
            text(f"{p.words} {p.size:,}"),
        )
        for p in shown
    )
    return element("ul", {"class": "legend"}, *items)
