"""One annotated recording in ADC steps, and the contract that models expect. No files here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from lnn_edge.errors import DataError

CLASSES = ("N", "S", "V", "F")
TOLERANCE_S = 0.15  # between a beat and a stamp that stands for it (ANSI/AAMI EC57)
NOT_SCORED = -1

# Beat symbols of WFDB annotations -> classes of ANSI/AAMI EC57, as de Chazal et al. 2004, table 1,
# use them: escape beats of the atria and the node (e j) count as N. B, n and r do not occur in
# MIT-BIH; they follow the symbols that they generalise (L R, e j, V).
_SYMBOLS = {"N": "NLRBejn", "S": "AaJS", "V": "VEr", "F": "F"}
_UNSCORED = "/fQ?"
LABEL_OF_SYMBOL = {s: CLASSES.index(c) for c, symbols in _SYMBOLS.items() for s in symbols} | {
    s: NOT_SCORED for s in _UNSCORED
}

RATE_HZ = 360
GAIN = 200  # ADC steps per mV
ADC_ZERO = 1024
FIRST_LEAD = "MLII"
ABSENT_LEAD = "absent"
LEADS = 2


def match_beats(
    beats: np.ndarray, stamps: np.ndarray, tolerance: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pair stamps with beats one to one: each is the nearest of the other, and near enough.

    Args:
        beats: (B,) ascending.
        stamps: (D,) ascending.
        tolerance: Largest distance in samples.

    Returns:
        Indices into stamps, and of the beats they belong to.
    """
    if not (len(beats) and len(stamps)):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    beat, stamp = _nearest(beats, stamps), _nearest(stamps, beats)
    index = np.arange(len(stamps))
    mutual = (stamp[beat] == index) & (np.abs(beats[beat] - stamps) <= tolerance)
    return index[mutual], beat[mutual]


def _nearest(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the index of the place nearest to each wanted one, the earlier of two."""
    after = np.searchsorted(places, wanted).clip(1, max(len(places) - 1, 1))
    before = after - 1
    after = after.clip(max=len(places) - 1)
    nearer: np.ndarray = np.where(
        np.abs(places[after] - wanted) < np.abs(places[before] - wanted), after, before
    )
    return nearer


def learned_lead(facts: Mapping[str, object]) -> str | None:
    """Return the first lead that a model of beats learned from; None for other models.

    Args:
        facts: Metadata of its graph.
    """
    leads = facts.get("leads") if facts.get("task") == "beats" else None
    return str(leads[0]) if isinstance(leads, list) and leads else None


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording with annotated beats; contiguous samples, no invalid ones.

    Millivolts of lead l are (adc[:, l] - adc_zero[l]) / gain[l].

    Attributes:
        name: Name of the record.
        patient: Who was recorded; two recordings of one person have the same.
        adc: Samples, (N, L) int16.
        fs_hz: Sampling rate.
        leads: L names.
        gain: L numbers of ADC steps per mV, below 0 where a lead is upside down.
        adc_zero: L sample values that mean 0 mV.
        beats: (B,) int64 sample indices of the R peaks, strictly ascending.
        labels: (B,) int8 indices into CLASSES, or NOT_SCORED.

    Raises:
        DataError: Beats do not ascend, lie outside the samples, or the shapes disagree.
    """

    name: str
    patient: str
    adc: np.ndarray
    fs_hz: float
    leads: tuple[str, ...]
    gain: tuple[float, ...]
    adc_zero: tuple[int, ...]
    beats: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        """Check the shapes, the gains and the order of the beats."""
        self._check_samples()
        self._check_beats()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.adc) / self.fs_hz

    @property
    def classes(self) -> tuple[str, ...]:
        """What the labels mean."""
        return CLASSES

    @property
    def frames(self) -> np.ndarray:
        """The samples, (N, L) int16."""
        return self.adc

    @property
    def events(self) -> np.ndarray:
        """The R peaks, (B,) int64."""
        return self.beats

    def labels_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the labels of the beats at ascending stamps, int64; NOT_SCORED between beats.

        A stamp belongs to the nearest beat within 150 ms, and to each beat its nearest stamp.
        """
        labels = np.full(len(stamps), NOT_SCORED, np.int64)
        stamp, beat = match_beats(self.beats, stamps, round(TOLERANCE_S * self.fs_hz))
        labels[stamp] = self.labels[beat]
        return labels

    def targets_at(self, stamps: np.ndarray) -> np.ndarray:
        """Return the labels to learn, which are those to be judged by."""
        return self.labels_at(stamps)

    def count(self) -> dict[str, int]:
        """Count the beats per class; Q are those not scored."""
        counts = {c: int((self.labels == i).sum()) for i, c in enumerate(CLASSES)}
        return counts | {"Q": int((self.labels == NOT_SCORED).sum())}

    def cut(self, start: int, stop: int, name: str | None = None) -> Recording:
        """Return samples start..stop-1 and the beats in them, renumbered from 0."""
        inside = (self.beats >= start) & (self.beats < stop)
        return replace(
            self,
            name=name or self.name,
            adc=self.adc[start:stop],
            beats=self.beats[inside] - start,
            labels=self.labels[inside],
        )

    def to_contract(self, lead: str = FIRST_LEAD) -> Recording:
        """Return the recording as the models expect it.

        360 Hz, two leads, `lead` first, 200 ADC steps per mV with zero at 1024. Of further leads
        the first in the file comes second; where there is none, the second lead rests at zero and
        is named "absent". Gain and zero are converted exactly:
        floor((adc - zero) * 200 / gain + 1024 + 1/2), in rational numbers.

        Args:
            lead: Name of the lead that the model learned from.

        Raises:
            DataError: Another sampling rate, no such lead or two of them, or a sample beyond 16
                bit.
        """
        if self.fs_hz != RATE_HZ:
            raise DataError(
                f"record {self.name} is sampled at {self.fs_hz:g} Hz and the model needs "
                f"{RATE_HZ} Hz; resample it first, for example with wfdb's xform or "
                f"wfdb.processing.resample_multichan"
            )
        if self.leads.count(lead) != 1:
            needed = lead if lead not in self.leads else f"one that alone is called {lead}"
            raise DataError(
                f"record {self.name} has the leads {', '.join(self.leads)} and the model needs "
                f"{needed}; name the lead to take by --lead, or leave the record out"
            )
        first = self.leads.index(lead)
        others = [i for i in range(len(self.leads)) if i != first]
        chosen = [first, *others][:LEADS]
        columns = [self._rescaled(i) for i in chosen]
        names = [self.leads[i] for i in chosen]
        if len(chosen) < LEADS:
            columns.append(np.full(len(self.adc), ADC_ZERO, np.int16))
            names.append(ABSENT_LEAD)
        return replace(
            self,
            adc=np.stack(columns, axis=1),
            leads=tuple(names),
            gain=(float(GAIN),) * LEADS,
            adc_zero=(ADC_ZERO,) * LEADS,
        )

    def _rescaled(self, lead: int) -> np.ndarray:
        """Convert one lead, (N,) int16; identity where gain and zero are right already."""
        ratio = GAIN / Fraction(repr(self.gain[lead]))
        distance = self.adc[:, lead].astype(np.int64) - self.adc_zero[lead]
        top, bottom = ratio.numerator, ratio.denominator
        largest = int(np.abs(distance).max(initial=0)) * abs(top)
        if max(largest, bottom) >= 1 << 61:
            raise DataError(
                f"record {self.name}: the gain {self.gain[lead]!r} of lead {self.leads[lead]} has "
                f"too many digits to convert exactly; write a shorter one in the header"
            )
        value = (2 * distance * top + bottom) // (2 * bottom) + ADC_ZERO
        limits = np.iinfo(np.int16)
        if value.size and (value.min() < limits.min or value.max() > limits.max):
            raise DataError(
                f"record {self.name}: lead {self.leads[lead]} at {GAIN} steps per mV does not fit "
                f"16 bit; check the gain {self.gain[lead]:g} and the zero in its header"
            )
        return value.astype(np.int16)

    def _check_samples(self) -> None:
        lead_count = len(self.leads)
        if self.adc.dtype != np.int16 or self.adc.shape[1:] != (lead_count,) or not lead_count:
            raise DataError(
                f"record {self.name}: samples must be int16 (N, {lead_count}), one column "
                f"a lead, not {self.adc.dtype} {self.adc.shape}"
            )
        if len(self.gain) != lead_count or len(self.adc_zero) != lead_count:
            raise DataError(f"record {self.name}: each lead must have a gain and a zero")
        gains = np.abs(self.gain)
        if not ((gains > 0) & (gains < np.inf)).all() or not 0 < self.fs_hz < np.inf:
            raise DataError(
                f"record {self.name}: gains {self.gain} must not be 0, and the rate, "
                f"{self.fs_hz} Hz, must be positive"
            )

    def _check_beats(self) -> None:
        beats, labels = self.beats, self.labels
        if beats.dtype != np.int64 or labels.dtype != np.int8 or beats.shape != labels.shape:
            raise DataError(f"record {self.name}: beats must be int64 (B,) and labels int8 (B,)")
        if labels.size and not ((labels >= NOT_SCORED) & (labels < len(CLASSES))).all():
            raise DataError(f"record {self.name}: labels lie between {NOT_SCORED} and 3")
        backward = np.flatnonzero(np.diff(beats) <= 0)
        if backward.size:
            raise DataError(
                f"record {self.name}: the beat at sample {beats[backward[0] + 1]} follows one at "
                f"sample {beats[backward[0]]}; beats must ascend, so correct the annotation file"
            )
        if beats.size and (beats[0] < 0 or beats[-1] >= len(self.adc)):
            raise DataError(
                f"record {self.name}: a beat is annotated at sample "
                f"{beats[0] if beats[0] < 0 else beats[-1]}, but there are {len(self.adc)} "
                f"samples; take annotation and signal of the same record"
            )
