"""HTML and SVG as escaped strings. What is not Html is text, and is escaped on its way in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NewType

Html = NewType("Html", str)
"""Text that is markup already."""

INVERTED_IN_THE_DARK = (
    "@media (prefers-color-scheme: dark) { svg { filter: invert(1) hue-rotate(180deg); } }"
)
"""Style of a picture for a page that may be dark: it has the scheme of its page."""

_NONE: Mapping[str, object] = {}


def text(value: object) -> Html:
    """Return a value as escaped text."""
    return Html(escape(str(value)))


def join(parts: Iterable[Html]) -> Html:
    """Return parts one after another."""
    return Html("".join(parts))


def element(name: str, attributes: Mapping[str, object], *children: Html) -> Html:
    """Return an element; the values of its attributes are escaped."""
    inside = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{inside}>{''.join(children)}</{name}>")


def prose(sentence: str) -> Html:
    """Return text in which what stands between back quotes is code."""
    parts = sentence.split("`")
    return join(element("code", _NONE, text(p)) if i % 2 else text(p) for i, p in enumerate(parts))


def paragraph(sentence: str, kind: str = "") -> Html:
    """Return a paragraph of prose, of a CSS class if one is given."""
    return element("p", {"class": kind} if kind else _NONE, prose(sentence))


def figure(caption: str, *children: Html) -> Html:
    """Return drawings with a caption above them."""
    return element("figure", _NONE, element("figcaption", _NONE, text(caption)), *children)


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[Html]], words: int = 1
) -> Html:
    """Return a table; the first cell of each row names it.

    Args:
        caption: Said above it.
        columns: Heads.
        rows: Cells, each a whole `td` element (see `cell`), but for the first, which is text.
        words: How many columns from the first on hold words; the others hold numbers.
    """
    heads = join(
        element("th", {"scope": "col", "class": "word" if i < words else "number"}, text(c))
        for i, c in enumerate(columns)
    )
    body = join(
        element("tr", _NONE, element("th", {"scope": "row"}, row[0]), *row[1:]) for row in rows
    )
    content = element(
        "table",
        _NONE,
        element("caption", _NONE, text(caption)),
        element("thead", _NONE, element("tr", _NONE, heads)),
        element("tbody", _NONE, body),
    )
    return element("div", {"class": "wide"}, content)


def cell(value: object, kind: str = "number") -> Html:
    """Return a table cell of plain text."""
    return element("td", {"class": kind}, text(value))


def heat(value: int, part: float, kind: str = "heat") -> Html:
    """Return a table cell that is darker the larger its part, 0 to 1, is."""
    return element("td", {"class": kind, "style": f"--part:{part:.3f}"}, text(f"{value:,}"))


def bar(value: float, largest: float) -> Html:
    """Return a table cell with a bar behind its number."""
    part = value / largest if largest else 0.0
    shown = f"{value:,.0f}"
    return element("td", {"class": "bar", "style": f"--part:{part:.3f}"}, text(shown))


def svg(width: float, height: float, title: str, *children: Html) -> Html:
    """Return a drawing that grows with the page, with a name for those who do not see it."""
    attributes = {
        "viewBox": f"0 0 {width:g} {height:g}",
        "role": "img",
        "aria-label": title,
        "xmlns": "http://www.w3.org/2000/svg",
    }
    return element("svg", attributes, *children)


def rectangle(kind: str, x: float, y: float, width: float, height: float) -> Html:
    """Return a rectangle of a CSS class."""
    sizes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    return element("rect", {"class": kind, **sizes})


def label(kind: str, x: float, y: float, content: str) -> Html:
    """Return text in a drawing, of a CSS class."""
    return element("text", {"class": kind, "x": f"{x:.1f}", "y": f"{y:.1f}"}, text(content))


def path(kind: str, commands: str) -> Html:
    """Return a line in a drawing, of a CSS class."""
    return element("path", {"class": kind, "d": commands})
