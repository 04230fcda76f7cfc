"""What the header of a generated model promises: units, classes, times and work."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lnn_edge.graph.contract import Contract
from lnn_edge.graph.flaws import FLAWS
from lnn_edge.graph.ir import QTensor
from lnn_edge.graph.ops.r_peaks import RPeaks
from lnn_edge.graph.output import Output
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.stage import Stage, event_trigger, every_trigger

_FLAWS = {
    "flat": "a channel hardly moves in the window; of the decision: any of them",
    "saturated": "a channel is at a rail of the ADC; of the decision: any of them",
    "noisy": "what stands beside the event is large against it; of the decision: in all channels",
}
MOST_FORMULAS = 4  # of a state's elements, one by one


@dataclass(frozen=True)
class Number:
    """One number of a frame or of the output vector.

    Attributes:
        name: Lead, axis, or its place.
        unit: Of its real value; "real" where it is not recorded.
        step: Real value of one step.
        zero: Integer that means 0.
        formula: Its real value, as people write it.
    """

    name: str
    unit: str
    step: float
    zero: int
    formula: str


@dataclass(frozen=True)
class ClassConstant:
    """One class: its constant in C, and whether its score means anything."""

    constant: str
    name: str
    is_learned: bool


@dataclass(frozen=True)
class Work:
    """A stage, when it runs, and what it costs each time."""

    stage: str
    when: str
    words: str


@dataclass(frozen=True)
class Header:
    """Facts of a graph.

    Attributes:
        graph: The graph.
        unlearned: Classes that the training data did not label; None if that is not recorded.
    """

    graph: QGraph
    unlearned: tuple[str, ...] | None

    @property
    def contract(self) -> Contract:
        """What the metadata say."""
        return self.graph.contract

    @property
    def channels(self) -> tuple[Number, ...]:
        """Of a frame, in order."""
        return tuple(self._channel(index) for index in range(self.graph.frame.size))

    def _channel(self, index: int) -> Number:
        contract, frame = self.contract, self.graph.frame
        is_dt = contract.dt == "input" and index == frame.size - 1
        name = contract.leads[index] if contract.leads else "dt" if is_dt else f"channel {index}"
        if contract.adc_gain is not None:
            gain, zero = contract.adc_gain, contract.adc_zero
            formula = f"{_shifted('sample', zero)} / {_shown(gain)}"
            return Number(name, "mV", 1 / gain, zero, formula)
        unit = contract.units[index] if contract.units else "s" if is_dt else "real"
        return _number_of(frame, index, name, unit, "sample")

    @property
    def has_unknown_units(self) -> bool:
        """Whether the unit of a channel is not recorded."""
        return any(channel.unit == "real" for channel in self.channels)

    @property
    def elements(self) -> tuple[Number, ...]:
        """Of the output vector, in order."""
        vector = self.graph.output
        return tuple(_number_of(vector, i, str(i), "real", "value") for i in range(vector.size))

    def formula(self, output: Output) -> str:
        """Return the real value of the elements of an output."""
        return _formula(output.kind.removesuffix("s"), 0, output.scale)

    @property
    def class_type(self) -> str:
        """Type in C of the places of the classes."""
        return f"{self.graph.name}_class{self._of_scores}_t"

    @property
    def _of_scores(self) -> str:
        """What tells the scores from other outputs in a name of C."""
        scores = self.graph.scores
        return f"_{scores.name}" if scores and self.graph.heads else ""

    @property
    def classes(self) -> tuple[ClassConstant, ...]:
        """In the order of the scores."""
        names, unlearned = self.contract.classes, self.unlearned or ()
        words = [re.sub("[^A-Za-z0-9]", "_", name).upper() for name in names]
        if len(set(words)) < len(words):
            words = [f"{word}_{index}" for index, word in enumerate(words)]
        prefix = f"{self.graph.name}_class{self._of_scores}_".upper()
        pairs = zip(words, names, strict=True)
        return tuple(ClassConstant(prefix + w, name, name not in unlearned) for w, name in pairs)

    @property
    def flaws(self) -> tuple[tuple[str, int, str], ...]:
        """What can be wrong with the signal: name, bit, and what it means of the decision."""
        return tuple((name, bit, _FLAWS[name]) for name, bit in FLAWS.items())

    @property
    def event(self) -> str:
        """What the deciding stage fires on, where it does on events."""
        return self.contract.event

    @property
    def pace(self) -> tuple[int, int]:
        """Frames up to the first decision, and from one to the next, where frames fire it."""
        return self.graph.stage_pace(self.graph.deciding_stage)

    @property
    def patience(self) -> int:
        """Frames that may be pushed before a decision is polled, and one more."""
        trigger = every_trigger(self.graph.deciding_stage)
        ring = self.graph.ring(trigger.ring)
        kept = ring.length - trigger.reach + 1
        return min(kept * self.graph.pace(ring)[1], self.pace[1])

    @property
    def zero_readers(self) -> tuple[str, ...]:
        """Stages whose windows read zeros before the record, and not the first frame."""
        rings = [ring for ring in self.graph.rings if ring.starts_at_zero]
        names = (stage.name for ring in rings for stage in self.graph.readers(ring))
        return tuple(dict.fromkeys(names))

    @property
    def event_words(self) -> str:
        """The same with its article."""
        return "an R peak" if self.event == "R peak" else "an event"

    @property
    def latest_news(self) -> int | None:
        """Longest delay, in frames, at which the model reports an event that it found."""
        trigger = event_trigger(self.graph.deciding_stage)
        if trigger.source is None:
            return None
        for op in self.graph.stages[0].ops:
            if isinstance(op, RPeaks) and trigger.source in op.outputs:
                return op.t.longest_delay
        return trigger.source.qmax - 1

    @property
    def pushing(self) -> tuple[Work, ...]:
        """What push_frame does."""
        return tuple(_work(stage, self._when(stage)) for stage in self.graph.preparing_stages)

    @property
    def polling(self) -> Work:
        """What poll does."""
        return _work(self.graph.deciding_stage, "every decision")

    def _when(self, stage: Stage) -> str:
        first, hop = self.graph.stage_pace(stage)
        if (first, hop) == (1, 1):
            return "every frame"
        return f"every {hop} frames, first with number {first}"

    def frames(self, count: int) -> str:
        """Return a number of frames in words."""
        return _counted(count, "frame")

    def time(self, frames: int) -> str:
        """Return frames as a time in brackets, where the rate is known."""
        rate = self.contract.sample_rate_hz
        return "" if rate is None else f" ({frames / rate:.4g} s)"

    @property
    def pace_words(self) -> str:
        """How often a frame comes."""
        rate, dt = self.contract.sample_rate_hz, self.contract.dt
        if rate is not None:
            return f"{_shown(rate)} a second"
        if dt == "input":
            return "as far apart as their last channel says"
        return "their rate not recorded" if dt is None else f"each standing for {dt!r} s"

    @property
    def period(self) -> tuple[str, int] | None:
        """Name and value of the constant that says the same, None where it is not known."""
        rate = self.contract.sample_rate_hz
        if rate is None:
            return None
        return ("RATE_HZ", int(rate)) if rate == int(rate) else ("PERIOD_NS", round(1e9 / rate))

    @property
    def longest_record(self) -> str:
        """Time in which the 32-bit count of frames overflows."""
        rate = self.contract.sample_rate_hz
        return "" if rate is None else f", {2**32 / rate / 86400:,.0f} days"


def _work(stage: Stage, when: str) -> Work:
    macs = sum(op.macs for op in stage.ops)
    words = _counted(len(stage.ops), "operator")
    words += f", {macs:,} multiply-accumulates in matrices and synapses" if macs else ""
    return Work(stage.name, when, words)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _number_of(tensor: QTensor, index: int, name: str, unit: str, word: str) -> Number:
    step = tensor.scales[index % len(tensor.scales)]
    zero = tensor.zero_points[index % len(tensor.zero_points)]
    return Number(name, unit, step, zero, _formula(word, zero, step))


def _formula(word: str, zero: int, step: float) -> str:
    return f"{_shifted(word, zero)} * {step!r}"


def _shown(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _shifted(word: str, zero: int) -> str:
    return word if zero == 0 else f"({word} {'-' if zero > 0 else '+'} {abs(zero)})"


def state_formula(tensor: QTensor) -> str:
    """Return the real value of the elements of a state, once if they are alike."""
    count = max(len(tensor.scales), len(tensor.zero_points))
    numbers = (_number_of(tensor, i, "", "real", "value") for i in range(count))
    formulas = dict.fromkeys(number.formula for number in numbers)
    return "real = " + (", ".join(formulas) if len(formulas) <= MOST_FORMULAS else "by the graph")
