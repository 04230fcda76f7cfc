"""Messages of the wire protocol, version 3, as values and bytes.

Pure: no port, no clock. The contract is docs/protocol.md; the other side is
firmware/src/protocol.c.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass, fields, replace
from enum import IntEnum

from lnn_edge.errors import LinkError

PROTOCOL_VERSION = 3
DATA_HEAD_BYTES = 8
STAMP_BYTES = 4
RESULTS_HEAD_BYTES = 4
STATE_HEAD_BYTES = 2


class Kind(IntEnum):
    """Type byte of a frame."""

    HELLO = 0x01
    RESET = 0x02
    DATA = 0x03
    GET_STATE = 0x04
    SET_STATE = 0x05
    TRACE = 0x06
    STATS = 0x07
    BAUD = 0x08
    ACK = 0x80
    INFO = 0x81
    RESULTS = 0x83
    STATE = 0x84
    TRACED = 0x86
    STATS_REPLY = 0x87
    ERROR = 0x8E
    FAULT = 0x8F


class ErrorCode(IntEnum):
    """Why the board refused a request."""

    UNKNOWN_TYPE = 1
    BAD_LENGTH = 2
    BAD_SEQUENCE = 3
    BAD_ARGUMENT = 4
    UNSUPPORTED = 5
    NO_SESSION = 6


def _unpack(layout: str, payload: bytes, what: str) -> tuple[int, ...]:
    """Unpack a payload that must have exactly the size of `layout`."""
    if len(payload) != struct.calcsize(layout):
        raise malformed(what, payload, f"{struct.calcsize(layout)}")
    return struct.unpack(layout, payload)


def _unpack_head(layout: str, payload: bytes, what: str) -> tuple[tuple[int, ...], bytes]:
    """Unpack the start of a payload and return the rest."""
    size = struct.calcsize(layout)
    if len(payload) < size:
        raise malformed(what, payload, f"at least {size}")
    return struct.unpack(layout, payload[:size]), payload[size:]


def malformed(what: str, payload: bytes, needed: str) -> LinkError:
    """Return the error of a payload that has another size."""
    return LinkError(
        f"{what} must have {needed} bytes, not {len(payload)}: firmware and tool differ; "
        "flash the firmware again"
    )


@dataclass(frozen=True)
class Data:
    """DATA request: consecutive frames of samples with the events that fall due in them.

    Args:
        first: Index of the first frame since RESET, uint32.
        frames: Number of frames, uint16; 0 only asks for results that are left over.
        stamps: Events as sample indices, not descending, uint32 each.
        samples: int16[frames][channels], little-endian.
    """

    first: int
    frames: int
    stamps: tuple[int, ...]
    samples: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        head = struct.pack("<IHBx", self.first, self.frames, len(self.stamps))
        return head + struct.pack(f"<{len(self.stamps)}I", *self.stamps) + self.samples

    @classmethod
    def decode(cls, payload: bytes) -> Data:
        """Read a payload."""
        (first, frames, events), rest = _unpack_head("<IHBx", payload, "DATA")
        if len(rest) < 4 * events:
            raise malformed("DATA", payload, f"at least {8 + 4 * events}")
        stamps = struct.unpack(f"<{events}I", rest[: 4 * events])
        return cls(first, frames, stamps, rest[4 * events :])


@dataclass(frozen=True)
class RecordLayout:
    """Sizes that make up one result record.

    Args:
        outputs: Number of int16 outputs.
        probe_bytes: Bytes of diagnostic stage outputs; 0 without detail.
        state_bytes: Bytes of the state prefix; 0 without detail.
    """

    outputs: int
    probe_bytes: int = 0
    state_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes of one record."""
        return 8 + 2 * self.outputs + self.probe_bytes + self.state_bytes


@dataclass(frozen=True)
class ResultRecord:
    """One decision of the model.

    Args:
        stamp: Sample index of the event that was decided.
        cycles: Difference of the board's cycle counter around the step, uint32.
        outputs: int16 outputs of the model.
        probes: Diagnostic stage outputs; empty without detail.
        state: Leading part of the state after the step; empty without detail.
    """

    stamp: int
    cycles: int
    outputs: tuple[int, ...]
    probes: bytes = b""
    state: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes of the record."""
        head = struct.pack(f"<II{len(self.outputs)}h", self.stamp, self.cycles, *self.outputs)
        return head + self.probes + self.state

    @classmethod
    def decode(cls, data: bytes, layout: RecordLayout) -> ResultRecord:
        """Read a record of exactly `layout.size` bytes."""
        head = f"<II{layout.outputs}h"
        (stamp, cycles, *outputs), rest = _unpack_head(head, data, "a result record")
        probes, state = rest[: layout.probe_bytes], rest[layout.probe_bytes :]
        return cls(stamp, cycles, tuple(outputs), probes, state)


@dataclass(frozen=True)
class Results:
    """RESULTS reply: how many frames were processed, and the decisions they led to.

    Args:
        consumed: Frames processed, uint16.
        records: Decisions, oldest first.
        more: The reply is full and further decisions may be ready.
    """

    consumed: int
    records: tuple[ResultRecord, ...] = ()
    more: bool = False

    def encode(self) -> bytes:
        """Return the payload."""
        head = struct.pack("<HBB", self.consumed, len(self.records), self.more)
        return head + b"".join(record.encode() for record in self.records)

    @classmethod
    def decode(cls, payload: bytes, layout: RecordLayout) -> Results:
        """Read a payload whose records have the given layout."""
        (consumed, count, more), rest = _unpack_head("<HBB", payload, "RESULTS")
        if len(rest) != count * layout.size:
            raise malformed("RESULTS", payload, f"{RESULTS_HEAD_BYTES + count * layout.size}")
        starts = range(0, len(rest), layout.size)
        records = (ResultRecord.decode(rest[i : i + layout.size], layout) for i in starts)
        return cls(consumed, tuple(records), bool(more))


@dataclass(frozen=True)
class State:
    """STATE reply and SET_STATE request: bytes of the state blob from an offset on."""

    offset: int
    data: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<H", self.offset) + self.data

    @classmethod
    def decode(cls, payload: bytes) -> State:
        """Read a payload."""
        (offset,), data = _unpack_head("<H", payload, "STATE")
        return cls(offset, data)


@dataclass(frozen=True)
class Trace:
    """TRACE reply: size of the operator's output, and its bytes from the offset asked for."""

    total: int
    data: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<H", self.total) + self.data

    @classmethod
    def decode(cls, payload: bytes) -> Trace:
        """Read a payload."""
        (total,), data = _unpack_head("<H", payload, "TRACE")
        return cls(total, data)


_STATS = "<16I2Q"
_LARGEST = ("largest_push", "largest_poll", "largest_frame")
_OF_BOARD = (  # counted since its start
    "rx_bytes",
    "rx_frames",
    "bad_frames",
    "uart_overruns",
    "rx_ring_overflows",
    "duplicates",
    "sequence_errors",
    "steps",
)


@dataclass(frozen=True)
class Stats:
    """STATS reply: since the start of the board up to `steps`, then since RESET.

    What the calls took is in the unit of the cycle counter (Info.clock_source), 0 without one.

    Args:
        largest_push: Of one frame given to the model, uint32 as all above.
        largest_poll: Of one question for a decision, be there one or not.
        largest_frame: Of all that one frame made the model compute: the frame itself, its events
            and every poll until the model was idle.
        frames_cost: All frames added up, uint64.
        decisions_cost: The part of it that the polls with a decision took, uint64.
    """

    rx_bytes: int
    rx_frames: int
    bad_frames: int
    uart_overruns: int
    rx_ring_overflows: int
    duplicates: int
    sequence_errors: int
    steps: int
    event_overflows: int
    events_rejected: int
    frames_skipped: int
    dt_saturations: int
    stack_free_bytes: int
    largest_push: int
    largest_poll: int
    largest_frame: int
    frames_cost: int
    decisions_cost: int

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack(_STATS, *(getattr(self, field.name) for field in fields(self)))

    @classmethod
    def decode(cls, payload: bytes) -> Stats:
        """Read a payload."""
        return cls(*_unpack(_STATS, payload, "STATS"))

    def of_model(self) -> Stats:
        """What is counted since RESET: the rest is of the board, which others may have used."""
        return replace(self, **dict.fromkeys(_OF_BOARD, 0))

    def after(self, earlier: Stats) -> Stats:
        """Counters of a run that was taken up again after a RESET, `earlier` those until then."""
        is_restarted = self.rx_bytes < earlier.rx_bytes
        values = {}
        for name, now in asdict(self).items():
            before = getattr(earlier, name)
            if name in _LARGEST:
                values[name] = max(now, before)
            elif name == "stack_free_bytes":
                values[name] = min(now, before)
            else:
                is_gone = is_restarted or name not in _OF_BOARD
                values[name] = now + before if is_gone else now
        return Stats(**values)


@dataclass(frozen=True)
class Error:
    """ERROR reply: the board refused a request. `code` is an ErrorCode, or one unknown here."""

    code: int
    expected_seq: int
    text: str

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<BB", self.code, self.expected_seq) + self.text.encode("ascii")

    @classmethod
    def decode(cls, payload: bytes) -> Error:
        """Read a payload; bytes that are not ASCII are shown escaped."""
        (code, expected_seq), text = _unpack_head("<BB", payload, "ERROR")
        return cls(code, expected_seq, text.decode("ascii", "backslashreplace"))

    def describe(self) -> str:
        """Name of the code with the board's text, for example ``BAD_ARGUMENT: first``."""
        known = self.code in ErrorCode.__members__.values()
        name = ErrorCode(self.code).name if known else f"error {self.code}"
        return f"{name}: {self.text}" if self.text else name


@dataclass(frozen=True)
class Fault:
    """FAULT frame: registers of a Cortex-M exception that ended the firmware, uint32 each.

    `sp` is the stack pointer at the handler, `stack_limit` the lowest address of the stack.
    """

    exception: int
    pc: int
    lr: int
    xpsr: int
    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    sp: int
    stack_limit: int

    def encode(self) -> bytes:
        """Return the payload."""
        return struct.pack("<10I", *(getattr(self, field.name) for field in fields(self)))

    @classmethod
    def decode(cls, payload: bytes) -> Fault:
        """Read a payload."""
        return cls(*_unpack("<10I", payload, "FAULT"))
