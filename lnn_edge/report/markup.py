"""HTML and SVG as escaped strings. What is not Html is text, and is escaped on its way in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from markupsafe import Markup

Html = Markup
"""Text that is markup already; templates leave it as it is."""

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


def group(kind: str, *children: Html) -> Html:
    """Return drawings under one CSS class."""
    return element("g", {"class": kind}, *children)


def circle(kind: str, x: float, y: float, radius: float, *children: Html) -> Html:
    """Return a circle of a CSS class; a `title` among the children is shown on hovering."""
    return element(
        "circle", {"class": kind, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:g}"}, *children
    )
