"""A task file in TOML, proposed from what was found in recordings. Nothing is read here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import tomli_w

from lnn_edge.data.aami import CLASS_OF, CLASSES, UNSCORED
from lnn_edge.data.inspection import ChannelFacts, Inspection
from lnn_edge.data.readers.words import split_unit

WINDOW_S = 2.56  # of a decision on frames, as in UCI HAR
MOST_CLASSES = 64
MOST_NUMBERS = 20  # different ones that may be numbers of classes
HALF_SCALE = 16384
_MARKED = (
    'Numbers at samples hold since the one before; with on = "events" a model decides at each.'
)
_NO_LABELS = "No labels were found: name their column or file, then complete [labels]."


@dataclass(frozen=True)
class Proposal:
    """A task file and what a person should know of it.

    Attributes:
        document: What the file says.
        remarks: Sentences, which stand in the file as comments.
    """

    document: dict[str, object]
    remarks: tuple[str, ...]

    def text(self) -> str:
        """Return the TOML text."""
        lines = "".join(f"# {' '.join(remark.split())}\n" for remark in self.remarks)
        return lines + tomli_w.dumps(self.document)


def propose(found: Inspection, value: str = "value", *, has_subjects: bool = False) -> Proposal:
    """Propose a task: frame, decisions on events or frames, classes, kind of labels, split.

    Beats, where marks have their symbols, are events of the AAMI classes; other marks are events
    of their symbols; intervals are labels of samples; a label or several of a record are its own.
    Labels that are numbers, of a fraction or of more than MOST_NUMBERS kinds, are a value. The rate
    is that of most records, the channels those that most records have.

    Args:
        found: See inspect.
        value: What values would be called, "a,b (mmHg)" two of them.
        has_subjects: Whether a user told where it stands who was recorded.
    """
    rate = next(iter(found.rates))
    remarks = [f"Proposed from {found.path} ({found.format}); check it, above all the classes."]
    if len(found.rates) > 1:
        remarks.append(
            "Records of other rates are resampled: "
            + ", ".join(f"{r:g} Hz ({n})" for r, n in found.rates.items() if r != rate)
            + "."
        )
    if not has_subjects and all(r.subject == r.name for r in found.records):
        remarks.append("Nothing says who was recorded: each record counts as a subject.")
    most = max(c.records for c in found.channels)
    channels = [c for c in found.channels if c.records == most]
    if most < len(found.records):
        remarks.append(f"{len(found.records) - most} records lack channels of this frame.")
    labels, decision, said = _labels(found, rate, value)
    document: dict[str, object] = {
        "format": 1,
        "frame": {
            "rate_hz": rate,
            "channels": [_channel(c) for c in channels],
        },
        "decide": decision,
        "labels": labels,
        "split": {"by": "part" if found.parts else "subject"},
    }
    return Proposal(document, tuple(remarks + said))


def _channel(found: ChannelFacts) -> dict[str, object]:
    """Return a channel whose largest value takes about half of the range of int16."""
    peak = max(abs(found.low), abs(found.high))
    steps = HALF_SCALE / peak if 0 < peak < math.inf else 1.0
    digits = 10.0 ** (math.floor(math.log10(steps)) - 1)
    rounded = float(f"{math.floor(steps / digits) * digits:.6g}")  # two of them
    return {"name": found.name, "unit": found.unit, "steps_per_unit": rounded}


def _labels(
    found: Inspection, rate: float, value: str
) -> tuple[dict[str, object], dict[str, object], list[str]]:
    """Return [labels], [decide] and remarks."""
    window = max(2, round(WINDOW_S * rate))
    frames: dict[str, object] = {"on": "frames", "window": window, "hop": max(1, window // 2)}
    spoken = [*found.symbols, *found.intervals]
    count = values_in(spoken or list(found.labels))
    if count:
        names = [name.strip() for name in value.split(",")]
        if len(names) != count:
            names = [value] if count == 1 else [f"value_{i + 1}" for i in range(count)]
        told = [split_unit(name) for name in names]
        labels: dict[str, object] = {
            "kind": "value",
            "classes": [name for name, _ in told],
            "units": [unit for _, unit in told],
        }
        said = [_MARKED] if found.symbols else []
        return labels, frames if spoken else {"on": "record"}, said
    beats = [s for s in found.symbols if s in CLASS_OF or s in UNSCORED]
    more = []
    if found.symbols:
        if found.intervals:
            more.append("There are intervals too: a task of kind sample can be made of them.")
        if beats:
            scored = {s: CLASS_OF[s] for s in beats if s in CLASS_OF}
            left = [s for s in found.symbols if s not in scored]
            if left:
                more.append(f"Marks of no class: {' '.join(left)}.")
            classes = [c for c in CLASSES if c in scored.values()]
            unscored = [s for s in beats if s in UNSCORED]
            labels = {
                "kind": "event",
                "classes": classes,
                "map": scored,
                "unscored": unscored,
            }
            return labels, {"on": "events"}, more
        return _plain("event", list(found.symbols)), {"on": "events"}, more + _many(found.symbols)
    if found.intervals:
        return _plain("sample", list(found.intervals)), frames, _many(found.intervals)
    if found.labels:
        kind = "multi-label" if found.most_labels > 1 else "record"
        return _plain(kind, sorted(found.labels)), {"on": "record"}, _many(found.labels)
    return {"kind": "", "classes": []}, {"on": "frames"}, [_NO_LABELS]


def values_in(labels: Iterable[str]) -> int:
    """Return how many numbers each label is, where they are measured and no numbers of classes."""
    try:
        numbers = [tuple(float(word) for word in label.split()) for label in labels]
    except ValueError:
        return 0
    if not numbers or len({len(several) for several in numbers}) > 1:
        return 0
    whole = all(n.is_integer() for several in numbers for n in several if not math.isnan(n))
    several = len(numbers[0]) > 1
    return len(numbers[0]) if several or len(numbers) > MOST_NUMBERS or not whole else 0


def _plain(kind: str, names: list[str]) -> dict[str, object]:
    return {"kind": kind, "classes": names[:MOST_CLASSES]}


def _many(names: dict[str, int] | dict[str, tuple[int, float]]) -> list[str]:
    if len(names) <= MOST_CLASSES:
        return []
    return [f"{len(names)} different labels were found; only the first {MOST_CLASSES} stand here."]
