"""What a graph reads, as its metadata say it, and recordings brought to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lnn_edge.data.frame import Frame, FrameChannel, to_frame
from lnn_edge.data.record import Channel, Record
from lnn_edge.errors import DataError, UsageError
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.tasks.beats.find_beats import find_beats
from lnn_edge.tasks.judged_output import judged_output
from lnn_edge.tasks.registry import task_of

_R_PEAK = "R peak"  # events that can be found
ELAPSED = "dt"  # the channel of elapsed times, where a record does not bring one


@dataclass(frozen=True, eq=False)
class Fed:
    """A recording as a model reads it.

    Attributes:
        record: In the frame of the model.
        events: Frames on which the model decides, (M,) int64; none where it finds them itself.
        own_rate_hz: Rate of the recording as it was given.
        own_length: Samples of it.
    """

    record: Record
    events: np.ndarray
    own_rate_hz: float
    own_length: int

    def own_samples(self, stamps: np.ndarray) -> np.ndarray:
        """Return the samples of the recording as given that are nearest to frames, (D,) int64."""
        ratio = self.own_rate_hz / self.record.rate_hz
        moved: np.ndarray = np.floor(stamps * ratio + 0.5).astype(np.int64)
        return moved.clip(max=self.own_length - 1)


def frame_of(graph: QGraph, record: Record) -> Frame:
    """Return the frame of a model.

    Channels that the model does not name are those of the record, in its order, and a rate that
    it does not tell is the record's. ECG that tells only its gain is in mV.

    Raises:
        DataError: The model names no channels, and the record has another number of them.
    """
    names = graph.contract.leads or tuple(c.name for c in record.channels)
    if len(names) != graph.frame.size:
        raise DataError(
            f"record {record.name} has {len(names)} channels ({', '.join(names)}) and the model "
            f"{graph.name} needs {graph.frame.size}; give a file that holds these alone"
        )
    return _frame(graph, names, record.rate_hz)


def live_frame(graph: QGraph) -> Frame:
    """Return the frame of a model for a stream; channels and rate that it does not tell are free.

    Time then counts in frames.
    """
    names = graph.contract.leads or tuple(f"channel_{i + 1}" for i in range(graph.frame.size))
    return _frame(graph, names, 1.0)


def _frame(graph: QGraph, names: tuple[str, ...], rate_hz: float) -> Frame:
    contract, count = graph.contract, graph.frame.size
    units = contract.units or ("mV" if contract.adc_gain else "",) * count
    gains = [1 / s for s in np.broadcast_to(graph.frame.scales, count).tolist()]
    zeros = np.broadcast_to(graph.frame.zero_points, count).tolist()
    if contract.adc_gain:
        gains, zeros = [contract.adc_gain] * count, [contract.adc_zero] * count
    facts = zip(names, units, gains, zeros, strict=True)
    channels = tuple(FrameChannel(*f) for f in facts)
    return Frame(contract.sample_rate_hz or rate_hz, channels)


def takes_recordings(graph: QGraph) -> bool:
    """Return whether a model is fed samples of recordings of its task, and not real values."""
    contract = graph.contract
    is_known = contract.task is not None or contract.adc_gain is not None
    return is_known and bool(judged_output(graph).classes)


def with_own_events(graph: QGraph) -> QGraph:
    """Return a model that finds its events itself; one that needs none is returned as it is.

    Raises:
        UsageError: Only beats can be found, and its events are others.
    """
    if not graph.takes_events:
        return graph
    if graph.contract.event != _R_PEAK:
        raise UsageError(
            f"{graph.name} decides on events that it cannot find itself; give recordings that mark "
            "them, and --marks"
        )
    return find_beats(graph)


def feed(
    record: Record, graph: QGraph, channels: Mapping[str, str], *, may_overwrite: bool = False
) -> Fed:
    """Bring a recording to a model.

    Args:
        record: Of any rate, channels and units.
        graph: Where it needs events from outside it takes the record's marks that are events of
            its task.
        channels: See to_frame.
        may_overwrite: See to_frame.

    Raises:
        DataError: The recording does not fit the model.
    """
    record = _with_elapsed(record, graph)
    frame = frame_of(graph, record)
    framed = to_frame(record, frame, channels=channels, may_overwrite=may_overwrite)
    events = np.zeros(0, np.int64)
    if graph.takes_events:
        events = _events(framed, graph)
    return Fed(framed, events, record.rate_hz, len(record.samples))


def _events(record: Record, graph: QGraph) -> np.ndarray:
    """Return the marks that are events of the model's task; of a model without one, all."""
    task = task_of(graph.metadata)
    stamps = [m.sample for m in record.marks if task is None or task.is_event(m.symbol)]
    if not stamps:
        raise DataError(
            f"record {record.name} marks no {graph.contract.event}; name another annotator, or let "
            "the model find them"
        )
    return np.unique(np.array(stamps, np.int64))


def _with_elapsed(record: Record, graph: QGraph) -> Record:
    """Give a model that reads elapsed times those of regular samples."""
    if graph.contract.dt != "input" or len(record.channels) != graph.frame.size - 1:
        return record
    rate = graph.contract.sample_rate_hz or record.rate_hz
    values = np.column_stack((record.values(), np.full(len(record.samples), 1 / rate)))
    plain = tuple(Channel(c.name, c.unit) for c in record.channels)
    return replace(record, samples=values, channels=(*plain, Channel(ELAPSED)))
