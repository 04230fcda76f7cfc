"""Runs an integer model over recordings of any kind; no labels, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lnn_edge.build.decide import Runner
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError, UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.model_input import Fed, feed, live_frame, with_own_events
from lnn_edge.tasks.own_data import told_source
from lnn_edge.tasks.predicted import Answer, Predicted

MOST_TOGETHER = 32  # recordings side by side, which is much faster than one by one
MOST_VALUES = 1 << 25  # of int16 in them together; a longer recording runs alone
OnRefusal = Callable[[str, DataError], None]


@dataclass(frozen=True)
class Predictor:
    """A model, and how recordings are brought to it.

    Attributes:
        graph: As it runs: with its detector where it finds events itself.
        channels: Name of the model's channel -> name of the recording's, where they differ.
    """

    graph: QGraph
    channels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, graph: QGraph, channels: Mapping[str, str] | None = None, *, marks: bool = False
    ) -> Predictor:
        """Return one.

        Args:
            graph: A model of any task, or of none.
            channels: See Predictor.
            marks: Whether a recording's marks are the events that a model decides on; else it finds
                them itself.

        Raises:
            UsageError: The model cannot find its events itself, or has no such channel.
        """
        known = graph.contract.leads
        strange = set(channels or ()).difference(known) if known else ()
        if strange:
            raise UsageError(f"the model has no channel {min(strange)}; it has {', '.join(known)}")
        return cls(graph if marks else with_own_events(graph), dict(channels or {}))

    def run(
        self,
        records: Iterable[Record],
        on_refusal: OnRefusal | None = None,
        *,
        may_overwrite: bool = False,
    ) -> Iterator[Predicted]:
        """Yield what the model says of each recording, in their order.

        Args:
            records: Taken a few at a time; each starts from a reset.
            on_refusal: Takes the name and the error of a recording that does not fit the model,
                and the others go on; None raises it.
            may_overwrite: Whether the records are not needed any more, see to_frame.

        Raises:
            DataError: A recording does not fit the model.
        """
        runner = Runner(self.graph)
        together: list[Fed] = []
        for record in records:
            try:
                fed = feed(record, self.graph, self.channels, may_overwrite=may_overwrite)
            except DataError as error:
                if on_refusal is None:
                    raise
                on_refusal(record.name, error)
                continue
            size = sum(f.record.samples.size for f in together) + fed.record.samples.size
            if together and (size > MOST_VALUES or len(together) == MOST_TOGETHER):
                yield from self._run(runner, together)
                together = []
            together.append(fed)
        if together:
            yield from self._run(runner, together)

    def _run(self, runner: Runner, together: list[Fed]) -> Iterator[Predicted]:
        answer = Answer.of(self.graph)
        runs = runner.run([(f.record.samples, f.events) for f in together])
        for fed, (stamps, steps) in zip(together, runs, strict=True):
            yield Predicted(fed, answer, stamps, steps)


def open_data(graph: QGraph, data: Any, hints: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the recordings of a path, of arrays, or that are recordings already.

    Args:
        graph: Whose channels arrays have.
        data: See lnn_edge.predict.
        hints: Those of Hints that are told; of arrays the rate, None is the model's.

    Raises:
        DataError: There are none, or one cannot be read.
    """
    if isinstance(data, str | Path):
        source = told_source(data, {}, hints)
        assert source is not None  # since there is a path
        return read_records(find_records(source.path, source.hints))
    if isinstance(data, Record):
        return iter((data,))
    if isinstance(data, np.ndarray):
        return _of_array(graph, data, hints.get("rate_hz"))
    return iter(data)


def _of_array(graph: QGraph, data: np.ndarray, rate_hz: float | None) -> Iterator[Record]:
    frame = live_frame(graph)
    if data.ndim not in (2, 3) or data.shape[-1] != len(frame.channels):
        raise DataError(
            f"data have shape {data.shape}; model {graph.name} needs (T, {len(frame.channels)}) or "
            f"(N, T, {len(frame.channels)})"
        )
    steps = data.dtype == np.int16
    samples = data if steps else data.astype(np.float64)
    channels = tuple(
        Channel(c.name, c.unit, c.steps_per_unit, c.zero) if steps else Channel(c.name, c.unit)
        for c in frame.channels
    )
    for at, sequence in enumerate(samples[None] if data.ndim == 2 else samples):
        yield Record(str(at), str(at), sequence, rate_hz or frame.rate_hz, channels)
