"""A recording in strips: signals, what is true, what is decided, and shaded rows below."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lnn_edge.report.markup import Html, element, group, join, label, path, rectangle, svg

WIDTH, LEFT, RIGHT = 1160.0, 74.0, 8.0
INNER = WIDTH - LEFT - RIGHT
WORD_ROW, AXIS, GAP = 20.0, 18.0, 12.0
LEVELS = 6  # of shaded rows, on either side of zero
_COLUMNS, _FEW_COLUMNS = 900, 600  # of an ECG and of others: of each smallest and largest sample
_POINTS_PER_PX = 10
_PX_PER_POINT = 1 / _POINTS_PER_PX
_LETTER_PX = 6.6


@dataclass(frozen=True, eq=False)
class Lane:
    """Signals over one scale.

    Attributes:
        name: Said in its corner.
        curves: (K, N), in real units; NaN where there is nothing.
        is_ecg: Whether it has the grid of ECG paper: 0.2 s, 0.5 mV.
        height: In the drawing; of an ECG, per mV.
        kinds: CSS class of each curve.
    """

    name: str
    curves: np.ndarray
    is_ecg: bool
    height: float
    kinds: tuple[str, ...] = ("trace", "trace axis1", "trace axis2")

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest value of the scale; of an ECG in half millivolts."""
        known = self.curves[np.isfinite(self.curves)]
        low, high = (float(f(known)) if known.size else 0.0 for f in (np.min, np.max))
        if self.is_ecg:
            return min(math.floor(2 * low) / 2, -0.5), max(math.ceil(2 * high) / 2, 0.5)
        return (low, high) if high > low else (low - 0.5, high + 0.5)

    @property
    def pixels(self) -> float:
        """Height in the drawing."""
        low, high = self.ends
        return self.height * (high - low) if self.is_ecg else self.height


@dataclass(frozen=True)
class Word:
    """A class over a time, or at an instant where both ends are alike."""

    start_s: float
    stop_s: float
    text: str
    is_wrong: bool = False
    is_none: bool = False


@dataclass(frozen=True, eq=False)
class Rows:
    """Shaded rows: one value for each name and decision.

    Attributes:
        title: Said beside them.
        names: Of the rows.
        values: (rows, D) from -1 or 0 to 1.
        height: Of a row.
    """

    title: str
    names: tuple[str, ...]
    values: np.ndarray
    height: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """Everything that is drawn of a recording.

    Attributes:
        name: Of the recording.
        rate: Samples in a unit of time.
        unit: "s", or "" where time counts in frames.
        length: Where it ends, in that unit.
        strip: Length of a strip.
        lanes: Of signals.
        true: Above them.
        decided: Below them.
        spans: (D, 2) the time of each decision, for the rows.
        rows: Below the decisions.
        first: Where the lanes begin, in that unit.
        signal: Names and words of rows below the decisions: what is wrong with the signal.
    """

    name: str
    rate: float
    unit: str
    length: float
    strip: float
    lanes: tuple[Lane, ...]
    true: tuple[Word, ...]
    decided: tuple[Word, ...]
    spans: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    rows: tuple[Rows, ...] = ()
    first: float = 0.0
    signal: tuple[tuple[str, tuple[Word, ...]], ...] = ()


@dataclass(frozen=True)
class Strip:
    """A part of a timeline.

    Attributes:
        title: What it shows.
        height: Of its parts, which are WIDTH wide.
        parts: Of the drawing.
        wrong: How many decisions in it are.
    """

    title: str
    height: float
    parts: tuple[Html, ...]
    wrong: int

    @property
    def drawing(self) -> Html:
        """The parts by themselves."""
        return svg(WIDTH, self.height, self.title, *self.parts)


def draw_timeline(line: Timeline) -> Iterator[Strip]:
    """Yield the strips of a timeline."""
    for index in range(max(1, math.ceil((line.length - line.first) / line.strip))):
        yield _Drawing(line, line.first + index * line.strip).whole()


def _inside(words: Sequence[Word], start: float, stop: float) -> list[Word]:
    return [w for w in words if w.start_s < stop and max(w.stop_s, w.start_s + 1e-9) > start]


class _Drawing:
    """One strip."""

    def __init__(self, line: Timeline, start: float) -> None:
        self.line, self.start, self.stop = line, start, start + line.strip
        self.scale = INNER / line.strip

    def whole(self) -> Strip:
        line, inside = self.line, _inside(self.line.decided, self.start, self.stop)
        wrong = sum(word.is_wrong for word in inside)
        top = WORD_ROW if line.true else 4.0
        parts, lane_parts = list[Html](), list[Html]()
        for lane in line.lanes:
            lane_parts.append(self._lane(lane, top))
            top += lane.pixels + GAP
        bottom = top - GAP + (WORD_ROW if line.decided else 0)
        parts += [*self._bands(bottom), *lane_parts]
        parts += self._words(line.true, 14)
        parts += self._words(line.decided, bottom - 5)
        if line.true:
            parts.append(label("tick", 0, 14, "true"))
        if line.decided:
            parts.append(label("tick", 0, bottom - 5, "model"))
        for name, words in line.signal:
            bottom += WORD_ROW
            parts.append(label("tick", 0, bottom - 5, name))
            parts += self._words(words, bottom - 5)
        for rows in line.rows:
            bottom += 8
            parts.append(self._rows(rows, bottom))
            bottom += rows.height * len(rows.names)
        parts += self._ticks(bottom + AXIS - 4)
        unit = "second" if line.unit else "frame"
        title = f"{line.name}, {unit} {self.start:g} to {min(self.stop, line.length):g}"
        said = f": {len(inside)} decisions, {wrong} wrong" if line.decided else ""
        return Strip(title + said, bottom + AXIS, tuple(parts), wrong)

    def _x(self, time: float) -> float:
        return LEFT + (min(max(time, self.start), self.stop) - self.start) * self.scale

    def _bands(self, bottom: float) -> Iterator[Html]:
        for word in _inside(self.line.decided, self.start, self.stop):
            if word.is_wrong and word.start_s == word.stop_s:
                yield rectangle("wrong-band", self._x(word.start_s) - 9, 0, 18, bottom)
            elif word.is_wrong:
                left, right = self._x(word.start_s), self._x(word.stop_s)
                yield rectangle("wrong-band", left, 0, right - left, bottom)

    def _words(self, words: Sequence[Word], y: float) -> Iterator[Html]:
        for word in _inside(words, self.start, self.stop):
            kind = "none" if word.is_none else word.text
            if word.start_s == word.stop_s:
                x = self._x(word.start_s)
                if word.is_wrong:
                    yield rectangle("wrong-box", x - 7, y - 11, 14, 15)
                yield label(f"beat {'wrong' if word.is_wrong else f'beat-{kind}'}", x, y, word.text)
                continue
            left, right = self._x(word.start_s), self._x(word.stop_s)
            yield path("edge", f"M{left:.1f} {y - 11:g}v15")
            if right - left > _LETTER_PX * len(word.text):
                kind = "beat mistaken" if word.is_wrong else "beat"
                yield label(kind, (left + right) / 2, y, word.text)

    def _lane(self, lane: Lane, top: float) -> Html:
        low, high = lane.ends
        unit = lane.pixels / (high - low)
        line = self.line
        first, stop = (round((t - line.first) * line.rate) for t in (self.start, self.stop))
        grid = self._paper(lane, top, unit) if lane.is_ecg else self._frame(lane, top, unit)
        columns = _COLUMNS if lane.is_ecg else _FEW_COLUMNS
        width = self.scale / self.line.rate
        traces = (
            _trace(curve[part], kind, (high, unit), (left, top), width, columns)
            for curve, kind in zip(lane.curves, lane.kinds, strict=False)
            for part, left in self._known(curve, first, stop)
        )
        return join([grid, *traces, label("lead", LEFT + 4, top + 11, lane.name)])

    def _known(self, curve: np.ndarray, first: int, stop: int) -> Iterator[tuple[slice, float]]:
        """Yield the stretches of a part of a curve that hold numbers, and where each begins."""
        finite = np.isfinite(curve[first:stop])
        edges = np.flatnonzero(np.diff(finite, prepend=False, append=False))
        for start, end in edges.reshape(-1, 2).tolist():
            yield slice(first + start, first + end), LEFT + start * self.scale / self.line.rate

    def _paper(self, lane: Lane, top: float, unit: float) -> Html:
        """Return lines every 0.2 s and 0.5 mV, stronger every second and millivolt."""
        low, high = lane.ends
        strong: list[str] = []
        weak: list[str] = []
        for tick in range(round(self.line.strip * 5) + 1):
            x = LEFT + INNER * tick / (self.line.strip * 5)
            (weak if tick % 5 else strong).append(f"M{x:.1f} {top:g}v{lane.pixels:g}")
        marks = []
        for half in range(round(2 * low), round(2 * high) + 1):
            y = top + (high - half / 2) * unit
            (weak if half % 2 else strong).append(f"M{LEFT:g} {y:g}h{INNER:g}")
            if half % 2 == 0:
                marks.append(label("tick end", LEFT - 5, y + 3.5, f"{half / 2:g}"))
        return join([path("grid", "".join(weak)), path("grid-strong", "".join(strong)), *marks])

    def _frame(self, lane: Lane, top: float, unit: float) -> Html:
        low, high = lane.ends
        levels = [high, low, *([0.0] if low < 0 < high else [])]
        ys = [top + (high - level) * unit for level in levels]
        lines = "".join(f"M{LEFT:g} {y:.1f}h{INNER:g}" for y in ys)
        ends = (label("tick end", LEFT - 5, y + dy, _short(v))
                for v, y, dy in zip(levels, ys, (8, 0, 3.5), strict=False)
                if v or min(abs(y - ys[0]), abs(y - ys[1])) > 16)  # fmt: skip
        return join([path("rule", lines), *ends])

    def _rows(self, rows: Rows, top: float) -> Html:
        paths: dict[int, list[str]] = {}
        spans = self.line.spans
        inside = np.flatnonzero((spans[:, 0] < self.stop) & (spans[:, 1] > self.start))
        levels = np.round(rows.values * LEVELS).astype(int)
        for row in range(len(rows.names)):
            y = top + (row + 0.5) * rows.height
            for first, last, level in _alike(levels[row, inside], spans[inside]):
                left, right = self._x(first), self._x(last)
                if level:
                    paths.setdefault(level, []).append(f"M{left:.1f} {y:g}h{right - left:.1f}")
        height = rows.height * len(rows.names)
        drawn = [rectangle("rows", LEFT, top, INNER, height)]
        drawn += [path(f"level{level}", "".join(d)) for level, d in sorted(paths.items())]
        shaded = element("g", {"class": "shades", "stroke-width": f"{rows.height:g}"}, *drawn)
        if rows.height >= 9:
            names = [
                label("tick end", LEFT - 5, top + (i + 0.5) * rows.height + 3.5, name[:11])
                for i, name in enumerate(rows.names)
            ]
        else:
            names = [label("tick", 0, top + height / 2 + 4, rows.title)]
        return group("band", shaded, *names)

    def _ticks(self, y: float) -> Iterator[Html]:
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1e9) if self.line.strip / s <= 16)
        count = int(self.line.strip / step)
        for i in range(count + 1):
            time = self.start + i * step
            kind = "tick end" if i == count else "tick middle"
            yield label(kind, self._x(time), y, f"{time:g} {self.line.unit}".rstrip())


def _short(value: float) -> str:
    """Return a number in few characters: 102 and -0.0034, not 1e+02."""
    return f"{value:.0f}" if 10 <= abs(value) < 1e5 else f"{value:.2g}"


def _alike(levels: np.ndarray, spans: np.ndarray) -> Iterator[tuple[float, float, int]]:
    """Yield start, stop and level of neighbours of one level that touch."""
    start = 0
    for i in range(1, len(levels) + 1):
        touches = i < len(levels) and abs(spans[i, 0] - spans[i - 1, 1]) < 1e-6
        if i == len(levels) or levels[i] != levels[start] or not touches:
            yield float(spans[start, 0]), float(spans[i - 1, 1]), int(levels[start])
            start = i


def _trace(
    values: np.ndarray,
    kind: str,
    scale: tuple[float, float],
    corner: tuple[float, float],
    px_per_sample: float,
    columns: int,
) -> Html:
    """Return a line through the smallest and largest sample of each column, in time order.

    Args:
        values: (N,) of a strip.
        kind: CSS class.
        scale: Highest value, and pixels per unit.
        corner: Left and top of the lane.
        px_per_sample: Along the time.
        columns: Of a whole strip; where one has more than two samples.
    """
    (high, unit), (left, top) = scale, corner
    per = max(1, round(INNER / px_per_sample / columns))
    if per > 2:
        whole = len(values) // per * per
        apart = values[:whole].reshape(-1, per)
        rises = apart.argmin(1) < apart.argmax(1)
        least, most = apart.min(1), apart.max(1)
        pair = (np.where(rises, least, most), np.where(rises, most, least))
        values, px_per_sample = np.stack(pair, 1).ravel(), px_per_sample * per / 2
    if not len(values):
        return Html("")
    y = np.round((high - values) * unit * _POINTS_PER_PX).astype(int)
    steps = " ".join(f"1{d}" if d < 0 else f"1 {d}" for d in np.diff(y).tolist())
    attributes = {
        "class": kind,
        "d": f"M0 {y[0]}l{steps}",
        "transform": f"translate({left:g} {top:g}) scale({px_per_sample:.5f} {_PX_PER_POINT:g})",
        "vector-effect": "non-scaling-stroke",
    }
    return element("path", attributes)
