"""A recording of any kind: samples with units, marks, intervals, labels. No files here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from lnn_edge.data.changes import Changes
from lnn_edge.errors import DataError

# Keeps one record within 2 GiB in float64; twelve leads at 500 Hz for 12 h, say, fit.
MOST_VALUES = 1 << 28


@dataclass(frozen=True)
class Channel:
    """One column of the samples: value = (sample - zero) / gain, in `unit`.

    Attributes:
        name: Unique within its record.
        unit: "mV", "g", "rad/s"; "" where the file does not tell.
        gain: Steps per unit, 1 where samples are values; below 0 where a lead is upside down.
        zero: Sample that means 0.
    """

    name: str
    unit: str = ""
    gain: float = 1.0
    zero: float = 0.0


@dataclass(frozen=True, order=True, slots=True)
class Mark:
    """Something at one sample.

    Attributes:
        sample: Its index.
        symbol: What it is: a symbol of WFDB, a word.
    """

    sample: int
    symbol: str


@dataclass(frozen=True, order=True, slots=True)
class Interval:
    """Something from one sample to another.

    Attributes:
        first: Index of the first sample in it.
        last: Index of the last sample in it.
        label: What it is.
    """

    first: int
    last: int
    label: str


@dataclass(frozen=True, eq=False)
class Record:
    """One recording at one rate.

    Attributes:
        name: Of the record, unique in its set.
        subject: Who was recorded; records of one subject have the same.
        samples: (N, C) int16 steps, or float32 or float64, NaN where a value is absent.
        rate_hz: Samples per second of every channel.
        channels: C of them.
        marks: In ascending order.
        intervals: In ascending order; they may overlap.
        labels: Of the record as a whole.
        unknown: Labels of which nothing says whether the record has them.
        part: Of a set that was published in parts: "train", "test"; "" elsewhere.
        changes: What was done to it since it was in its file.

    Raises:
        DataError: Shapes, order, names or numbers do not fit.
    """

    name: str
    subject: str
    samples: np.ndarray
    rate_hz: float
    channels: tuple[Channel, ...]
    marks: tuple[Mark, ...] = ()
    intervals: tuple[Interval, ...] = ()
    labels: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    part: str = ""
    changes: Changes = field(default_factory=Changes)

    def __post_init__(self) -> None:
        """Check what all users of a record rely on."""
        self._check_samples()
        self._check_channels()
        self._check_places()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    @property
    def is_steps(self) -> bool:
        """Whether samples are steps of a converter, not values."""
        return self.samples.dtype == np.int16

    def values(self, first: int = 0, stop: int | None = None) -> np.ndarray:
        """Return samples [first, stop) in the channels' units, (N, C) float64."""
        zeros = np.array([c.zero for c in self.channels])
        gains = np.array([c.gain for c in self.channels])
        values: np.ndarray = (self.samples[first:stop] - zeros) / gains
        return values

    def take(self, names: tuple[str, ...]) -> Record:
        """Return the record with these channels, in this order; others are listed as dropped.

        Raises:
            DataError: A channel is absent.
        """
        mine = [c.name for c in self.channels]
        absent = [name for name in names if name not in mine]
        if absent:
            raise DataError(
                f"record {self.name} has no channel {absent[0]}; it has {', '.join(mine)}"
            )
        left = [name for name in mine if name not in names]
        places = [mine.index(name) for name in names]
        return replace(
            self,
            samples=self.samples[:, places],
            channels=tuple(self.channels[p] for p in places),
            changes=self.changes.also(
                "dropped", f"channels {', '.join(left)}", len(left), "channels", self.name
            ),
        )

    def _check_samples(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype not in (np.int16, np.float32, np.float64):
            raise DataError(
                f"record {self.name}: samples are {self.samples.dtype} {self.samples.shape} and "
                "must be (N, C) int16, float32 or float64"
            )
        if not self.samples.size:
            raise DataError(f"record {self.name} holds no sample; leave it out")
        if self.samples.size > MOST_VALUES:
            raise DataError(
                f"record {self.name} has {self.samples.size:,} values and must have at most "
                f"{MOST_VALUES:,}; cut it into shorter ones"
            )
        if not 0 < self.rate_hz < np.inf:
            raise DataError(
                f"record {self.name}: the rate is {self.rate_hz} Hz and must be above 0; give it"
            )

    def _check_channels(self) -> None:
        names = [c.name for c in self.channels]
        if len(names) != self.samples.shape[1] or len(set(names)) != len(names):
            raise DataError(
                f"record {self.name} has {self.samples.shape[1]} columns and the channels "
                f"{', '.join(names)}; each column must have a name of its own"
            )
        for channel in self.channels:
            if not (0 < abs(channel.gain) < np.inf and abs(channel.zero) < np.inf):
                raise DataError(
                    f"record {self.name}: channel {channel.name} has gain {channel.gain} and zero "
                    f"{channel.zero}; both must be finite and the gain not 0"
                )

    def _check_places(self) -> None:
        count = len(self.samples)
        ends = [(m.sample, m.sample, m.symbol) for m in self.marks]
        ends += [(i.first, i.last, i.label) for i in self.intervals]
        for first, last, label in ends:
            if not 0 <= first <= last < count:
                raise DataError(
                    f"record {self.name}: {label!r} lies at samples {first} to {last} and there "
                    f"are {count}; take labels and signal of the same record"
                )
        for kind in (self.marks, self.intervals):
            starts = [place.sample if isinstance(place, Mark) else place.first for place in kind]
            if any(a > b for a, b in pairwise(starts)):
                raise DataError(f"record {self.name}: marks and intervals must ascend; sort them")
