"""The frame that a model reads, int16 steps at one rate, and how any record is brought to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.data.gaps import OverGaps
from lnn_edge.data.on_disk import parts
from lnn_edge.data.record import Channel, Record
from lnn_edge.data.resample import Resampling
from lnn_edge.data.units import factor
from lnn_edge.errors import DataError

ANY = "any"
"""A channel of this name takes the first one that is left; it rests at zero where none is."""

ABSENT = "absent"
"""What a channel ANY that rests at zero is called in a record."""

MOST_CLIPPED = 0.01  # of a channel's samples; where more lie beyond 16 bit, the unit is wrong
_LIMITS = np.iinfo(np.int16)
_FAR = 1 << 62  # beyond 16 bit, within 64
_NAMELESS = re.compile(r"channel_\d+")  # as readers call what has no name


@dataclass(frozen=True)
class FrameChannel:
    """One channel: step = value * steps_per_unit + zero.

    Attributes:
        name: Unique in its frame, or ANY.
        unit: "mV", "g", "rad/s"; "" for numbers without one.
        steps_per_unit: Above 0.
        zero: Step that means 0.
    """

    name: str
    unit: str = ""
    steps_per_unit: float = 1.0
    zero: int = 0


@dataclass(frozen=True)
class Frame:
    """One sample of every channel in int16 steps, `rate_hz` times a second.

    Attributes:
        rate_hz: Frames a second.
        channels: In the order of the frame.

    Raises:
        DataError: A rate, a scale or a zero is out of its range, or two names are alike.
    """

    rate_hz: float
    channels: tuple[FrameChannel, ...]

    def __post_init__(self) -> None:
        """Check numbers and names."""
        if not 0 < self.rate_hz < np.inf:
            raise DataError(f"a frame's rate is {self.rate_hz} Hz and must be above 0")
        names = [c.name for c in self.channels]
        if not names or len(set(names)) != len(names):
            raise DataError(
                f"a frame has the channels {', '.join(names) or 'none'}; it must have at least one "
                "and their names must differ"
            )
        for c in self.channels:
            if not 0 < c.steps_per_unit < np.inf or not _LIMITS.min <= c.zero <= _LIMITS.max:
                raise DataError(
                    f"channel {c.name} of a frame has {c.steps_per_unit} steps per unit and zero "
                    f"at {c.zero}; steps must be above 0 and zero must fit 16 bit"
                )


def to_frame(
    record: Record,
    frame: Frame,
    *,
    channels: Mapping[str, str] | None = None,
    may_overwrite: bool = False,
) -> Record:
    """Return a record as a model reads it: int16, the frame's rate, channels, units and scales.

    Channels are taken by name, in either case; by position where one side has no names. The rate is
    changed by a polyphase filter on unrounded values, gaps are filled by straight lines, and
    step = floor(value * steps_per_unit + zero + 1/2): in rational numbers where the record holds
    steps at the rate of the frame, else in float64. Steps beyond 16 bit saturate. A channel
    without a unit is taken in that of the frame; if it holds int16 without gain and zero too, in
    the steps of the frame. Marks and intervals move along.

    Args:
        record: In any units, at any rate.
        frame: What the model reads.
        channels: Name of the frame's channel -> name of the record's, where they differ.
        may_overwrite: Whether the record is not needed any more: its memory is then that of the
            result where it fits, as a day of samples should not lie there twice.

    Returns:
        The record; `changes` lists all that was done.

    Raises:
        DataError: A channel is absent, of another kind of unit, without any value, or mostly
            beyond 16 bit; or the rates are too far apart.
    """
    places = _choose(record, frame, channels or {})
    changes = _listed(record, frame, places)
    record, assumed = _with_units(record, frame, places)
    changes += assumed
    taken = _columns(record, sorted({p for p in places if p is not None}))
    moving = Resampling.of(taken, frame.rate_hz)
    taken_names = [c.name for c in taken.channels]
    chosen = [record.channels[p].name for p in places if p is not None]
    is_in_steps = moving.ratio == 1 and _is_in_steps(taken, frame, chosen)
    is_place_by_place = taken_names == chosen and len(chosen) == len(frame.channels)
    can_overwrite = may_overwrite and taken.is_steps and taken.samples.flags.writeable
    stays = is_in_steps or (can_overwrite and is_place_by_place and moving.ratio == 1)
    shape = (moving.length, len(frame.channels))
    steps = taken.samples if stays else np.empty(shape, np.int16)
    names: list[str] = []
    for at, (place, wanted) in enumerate(zip(places, frame.channels, strict=True)):
        if place is None:
            steps[:, at] = wanted.zero
            names.append(ABSENT)
            continue
        found = record.channels[place].name
        if not is_in_steps:
            changes += _to_steps(taken, taken_names.index(found), wanted, moving, steps[:, at])
        is_spare = wanted.name == ANY and all(found != c.name for c in frame.channels)
        names.append(found if is_spare else wanted.name)
    own = tuple(
        Channel(name, c.unit, c.steps_per_unit, c.zero)
        for name, c in zip(names, frame.channels, strict=True)
    )
    return replace(
        taken,
        samples=steps,
        rate_hz=frame.rate_hz,
        channels=own,
        marks=moving.marks(taken.marks),
        intervals=moving.intervals(taken.intervals),
        changes=taken.changes + moving.changes(taken, frame.rate_hz) + changes,
    )


def _is_in_steps(record: Record, frame: Frame, names: list[str]) -> bool:
    """Return whether samples are the frame's steps as they lie there: a day of them needs no copy.

    Args:
        record: With the chosen channels alone.
        frame: What is wanted.
        names: Of the channels, in the order of the frame.
    """
    mine = [(c.name, c.unit, c.gain, c.zero) for c in record.channels]
    wanted = zip(names, frame.channels, strict=False)
    return (
        record.is_steps
        and mine == [(n, c.unit, c.steps_per_unit, c.zero) for n, c in wanted]
        and len(names) == len(frame.channels)
    )


def _choose(record: Record, frame: Frame, told: Mapping[str, str]) -> list[int | None]:
    """Return the place in the record of each channel of the frame; None rests at zero."""
    mine, wanted = [c.name for c in record.channels], [c.name for c in frame.channels]
    for name in told:
        if name not in wanted:
            raise DataError(f"the model has no channel {name}; it has {', '.join(wanted)}")
    nameless = any(all(_NAMELESS.fullmatch(n) for n in names) for names in (mine, wanted))
    if nameless and len(mine) == len(wanted) and not told:
        return list(range(len(mine)))
    places: list[int | None] = [
        None if name == ANY and ANY not in told else _place(record, name, told.get(name, name))
        for name in wanted
    ]
    taken = [p for p in places if p is not None]
    if len(set(taken)) != len(taken):
        twice = next(p for p in taken if taken.count(p) > 1)
        raise DataError(
            f"record {record.name}: two channels of the model take {mine[twice]}; give each its own"
        )
    if ANY in wanted and ANY not in told:
        at = wanted.index(ANY)
        unit = frame.channels[at].unit
        left = (p for p in range(len(mine)) if p not in taken)
        places[at] = next((p for p in left if _ratio(record.channels[p].unit, unit)), None)
    return places


def _place(record: Record, wanted: str, name: str) -> int:
    mine = [c.name for c in record.channels]
    alike = [name] if name in mine else [n for n in mine if n.casefold() == name.casefold()]
    if len(alike) != 1:
        raise DataError(
            f"record {record.name} has the channels {', '.join(mine)} and the model needs "
            f"{wanted if name == wanted else name}; name the one to take, as in --channel "
            f"{wanted}={mine[0]}, or leave the record out"
        )
    return mine.index(alike[0])


def _listed(record: Record, frame: Frame, places: list[int | None]) -> Changes:
    """List which channels are left out, renamed and absent."""
    mine = [c.name for c in record.channels]
    left = [name for place, name in enumerate(mine) if place not in places]
    changes = Changes().also(
        "dropped", f"channels {', '.join(left)}", len(left), "channels", record.name
    )
    for place, wanted in zip(places, frame.channels, strict=True):
        if place is None:
            changes = changes.also(
                "filled", f"channel {wanted.name} with zeros", 1, "channels", record.name
            )
        elif wanted.name not in (ANY, mine[place]):
            changes = changes.also(
                "renamed", f"{mine[place]} to {wanted.name}", 1, "channels", record.name
            )
    return changes


def _with_units(record: Record, frame: Frame, places: list[int | None]) -> tuple[Record, Changes]:
    """Give channels without a unit that of the frame; plain int16 its gain and zero too."""
    channels, changes = list(record.channels), Changes()
    for place, wanted in zip(places, frame.channels, strict=True):
        if place is None or channels[place].unit or not wanted.unit:
            continue
        c = channels[place]
        plain = record.is_steps and (c.gain, c.zero) == (1, 0)
        gain, zero = (wanted.steps_per_unit, wanted.zero) if plain else (c.gain, c.zero)
        channels[place] = Channel(c.name, wanted.unit, gain, zero)
        detail = f"{'steps of the model' if plain else wanted.unit} where no unit is told"
        changes = changes.also("assumed", detail, 1, "channels", record.name)
    return replace(record, channels=tuple(channels)), changes


def _columns(record: Record, places: list[int]) -> Record:
    """Return a record with channels at ascending places; of values side by side without a copy."""
    if len(places) == len(record.channels):
        return record
    channels = tuple(record.channels[p] for p in places)
    is_row = places and not record.is_steps and places[-1] - places[0] + 1 == len(places)
    chosen = slice(places[0], places[-1] + 1) if is_row else places
    return replace(record, samples=record.samples[:, chosen], channels=channels)


def _ratio(unit: str, wanted: str) -> Fraction | None:
    """Return the factor between two units; 1 where one of them is not told."""
    return factor(unit, wanted) if unit and wanted else Fraction(1)


def _to_steps(
    record: Record, place: int, wanted: FrameChannel, moving: Resampling, steps: np.ndarray
) -> Changes:
    """Bring one column to steps of the frame; return what was done to it.

    Args:
        record: The columns.
        place: Which of them.
        wanted: What it becomes.
        moving: To the rate of the frame.
        steps: Takes them, (N,) int16; may be the column itself where that holds steps.
    """
    channel, samples = record.channels[place], record.samples[:, place]
    ratio = _ratio(channel.unit, wanted.unit)
    if ratio is None:
        raise DataError(
            f"record {record.name}: channel {channel.name} is in {channel.unit} and the model "
            f"needs {wanted.unit}; correct the unit in the file, or take another channel"
        )
    changes = Changes()
    if ratio != 1:
        detail = f"from {channel.unit} to {wanted.unit}"
        changes = changes.also("converted", detail, 1, "channels", record.name)
    zero = Fraction(repr(float(channel.zero)))
    scale = Fraction(repr(float(wanted.steps_per_unit))) * ratio
    scale /= Fraction(repr(float(channel.gain)))
    if record.is_steps and moving.ratio == 1:
        clipped = _exact(samples, zero, scale, wanted.zero, steps)
    else:
        filled = OverGaps(moving.spans(samples))
        at = clipped = 0
        for values in filled:
            real = np.floor((values - float(zero)) * float(scale) + (wanted.zero + 0.5))
            steps[at : at + len(values)], beyond = _saturated(real)
            at += len(values)
            clipped += beyond
        if not filled.there:
            raise DataError(
                f"record {record.name}: channel {channel.name} holds no value; take another "
                "channel, or leave the record out"
            )
        detail = f"gaps of {channel.name} by lines"
        changes = changes.also("filled", detail, filled.absent, "samples", record.name)
    if clipped > MOST_CLIPPED * len(steps):
        raise DataError(
            f"record {record.name}: {clipped / len(steps):.0%} of channel {channel.name} lie "
            f"beyond 16 bit at {wanted.steps_per_unit:g} steps per {wanted.unit or 'unit'}; check "
            f"its unit ({channel.unit or 'not told'}), gain and zero"
        )
    detail = f"{channel.name} beyond 16 bit to the nearest step"
    return changes.also("converted", detail, clipped, "samples", record.name)


def _saturated(steps: np.ndarray) -> tuple[np.ndarray, int]:
    """Return steps as int16, and how many of them lay beyond."""
    beyond = (steps < _LIMITS.min) | (steps > _LIMITS.max)
    return steps.clip(_LIMITS.min, _LIMITS.max).astype(np.int16), int(beyond.sum())


def _exact(
    samples: np.ndarray, old_zero: Fraction, scale: Fraction, zero: int, steps: np.ndarray
) -> int:
    """Write floor((s - old_zero) * scale + zero + 1/2) of int16 s, in rational numbers, saturated.

    A day of samples passes in spans, since int64 takes four times the memory.

    Returns:
        How many of them lay beyond.
    """
    low = min(int(part.min()) for part in parts(samples))
    high = max(int(part.max()) for part in parts(samples))
    offset = zero + Fraction(1, 2) - old_zero * scale
    bottom = scale.denominator * offset.denominator
    top, shift = scale.numerator * offset.denominator, offset.numerator * scale.denominator
    every = [(s * top + shift) // bottom for s in range(low, high + 1)]
    table = np.array([max(-_FAR, min(_FAR, step)) for step in every], np.int64)
    is_beyond = (table < _LIMITS.min) | (table > _LIMITS.max)
    near, _ = _saturated(table)
    clipped = 0
    at = clipped = 0
    for part in parts(samples):
        places = part.astype(np.int64) - low
        steps[at : at + len(part)] = near[places]
        clipped += int(is_beyond[places].sum())
        at += len(part)
    return clipped
