"""What a board says of itself: the INFO message of the wire protocol."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import Any

from lnn_edge.device.protocol import PROTOCOL_VERSION, RecordLayout, malformed
from lnn_edge.errors import LinkError

_ARM_JEP106 = 0x43B
_FLAG_COUNTER_RUNS, _FLAG_IMAGE_GOOD, _FLAG_IMAGE_DAMAGED = 1 << 4, 1 << 5, 1 << 6
_RESET_CAUSES = ("power", "pin", "software", "watchdog", "window watchdog", "low power")
IMAGE_WORDS = {True: "as built", False: "damaged", None: "not sealed"}  # of Info.is_image_good
_CLOCK_WARNINGS = (
    (1 << 0, "the oscillator that feeds the PLL did not start"),
    (1 << 1, "the PLL did not lock"),
    (1 << 2, "the over-drive or the core voltage did not become ready"),
    (1 << 3, "the clock switch failed"),
)
_INFO = "<B3sIIIIHHBBHHHH8s32s32s32s"


@dataclass(frozen=True)
class Info:
    """INFO reply: what the board is, runs and can do. Field meanings: docs/protocol.md."""

    protocol: int
    firmware: tuple[int, int, int]
    flags: int
    core_clock_hz: int
    baud: int
    reset_cause: int
    channels: int
    outputs: int
    detail_supported: bool
    trace: bool
    state_bytes: int
    state_prefix_bytes: int
    probe_bytes: int
    max_payload: int
    dwt_pidr: bytes
    model_sha256: bytes
    model_name: str
    board_name: str

    def encode(self) -> bytes:
        """Return the payload."""
        values = [getattr(self, field.name) for field in fields(self)]
        values[1] = bytes(self.firmware)
        values[16:] = [name.encode("ascii") for name in values[16:]]
        return struct.pack(_INFO, *values)

    @classmethod
    def decode(cls, payload: bytes) -> Info:
        """Read a payload.

        Raises:
            LinkError: The board speaks another version of the protocol, or the size differs.
        """
        if payload and payload[0] != PROTOCOL_VERSION:
            raise LinkError(
                f"the board speaks protocol version {payload[0]}, this tool version"
                f" {PROTOCOL_VERSION}: run `lnn-edge flash` with firmware built by this tool"
            )
        if len(payload) != struct.calcsize(_INFO):
            raise malformed("INFO", payload, f"{struct.calcsize(_INFO)}")
        values: list[Any] = list(struct.unpack(_INFO, payload))
        values[1] = tuple(values[1])
        values[8:10] = (bool(flag) for flag in values[8:10])
        values[16:] = (
            name.rstrip(b"\0").decode("ascii", "backslashreplace") for name in values[16:]
        )
        return cls(*values)

    @property
    def clock_source(self) -> str:
        """What `cycles` counts: "dwt" core cycles, "instructions" retired, or "none".

        The PIDR bytes of a CoreSight block hold its designer: JEP106 identity in PIDR1[7:4] and
        PIDR2[2:0], continuation code in PIDR4[3:0]; Arm is 0x3B with continuation 4 (0x43B).
        """
        if not self.flags & _FLAG_COUNTER_RUNS or not any(self.dwt_pidr):
            return "none"
        _, pidr1, pidr2, _, pidr4, *_ = self.dwt_pidr
        identity = (pidr4 & 0xF) << 8 | (pidr2 & 0x7) << 4 | pidr1 >> 4
        return "dwt" if identity == _ARM_JEP106 else "instructions"

    @property
    def clock_warnings(self) -> tuple[str, ...]:
        """What went wrong while the board set its clock up; with any it runs on its slow clock."""
        return tuple(text for bit, text in _CLOCK_WARNINGS if self.flags & bit)

    @property
    def is_image_good(self) -> bool | None:
        """Whether code and constants in flash are those that were built; None if unknown."""
        if not self.flags & (_FLAG_IMAGE_GOOD | _FLAG_IMAGE_DAMAGED):
            return None
        return not self.flags & _FLAG_IMAGE_DAMAGED

    @property
    def reset_causes(self) -> tuple[str, ...]:
        """Why the board started last; every reset of an STM32 pulls its pin too."""
        return tuple(name for bit, name in enumerate(_RESET_CAUSES) if self.reset_cause >> bit & 1)

    def record_layout(self, detail: bool) -> RecordLayout:
        """Layout of the result records, with or without detail."""
        if not detail:
            return RecordLayout(self.outputs)
        return RecordLayout(self.outputs, self.probe_bytes, self.state_prefix_bytes)
