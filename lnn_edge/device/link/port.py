"""One serial port: open, write, read with a deadline, and what its failures mean.

The only file that imports pyserial. Real port, pseudo-terminal and TCP are the same code.
"""

from __future__ import annotations

import errno
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import serial
from serial.tools import list_ports

from lnn_edge.errors import LinkError

_ERRORS = (serial.SerialException, OSError)
_READ_BYTES = 4096
_MOST_BAUD = 100_000_000
_WRITE_TIMEOUT_S = 1.0
_PROTOCOLS = ("socket", "rfc2217")
_REMOTE, _REMOTE_READ_S = "rfc2217://", 0.02
_REASON = re.compile(r".*(?:\[Errno -?\d+\] |\(\d+, ')([^:')]+)", re.DOTALL)  # behind its number
_PROBE_VENDORS = {0x0483: "ST-LINK", 0x0D28: "DAPLink", 0x1366: "J-Link"}  # USB vendor identifiers


@dataclass(frozen=True)
class Port:
    """A serial port of this machine; `probe` names the debug probe it belongs to, or is empty."""

    device: str
    description: str
    probe: str


def find_ports() -> tuple[Port, ...]:
    """Return the USB serial ports, those of debug probes first."""
    found = (
        Port(port.device, port.description or "", _PROBE_VENDORS.get(port.vid, ""))
        for port in list_ports.comports()
        if port.vid is not None
    )
    return tuple(sorted(found, key=lambda port: (not port.probe, port.device)))


def name_ports() -> str:
    """Say which USB serial ports are there."""
    names = [f"{port.device} ({port.probe or port.description})" for port in find_ports()]
    return f"USB ports here: {', '.join(names)}" if names else "no USB serial port is here"


class PortLostError(LinkError):
    """The port failed while it was open: unplugged, or the process behind it ended."""


class SerialPort:
    """An open port.

    Args:
        url: Serial device, pseudo-terminal, ``socket://HOST:PORT`` or, of a port on another
            machine, ``rfc2217://HOST:PORT``.
        baud: Rate of a serial device, bit/s.

    Attributes:
        received_bytes: Bytes received since it was opened.

    Raises:
        LinkError: No such port, busy, or not permitted.
    """

    def __init__(self, url: str, baud: int) -> None:
        """Open the port and forget what lies in its buffer."""
        self.url = url
        self.received_bytes = 0
        self._serial = _open(url, baud)

    def reopen(self) -> None:
        """Open the port anew, at the same rate.

        Raises:
            LinkError: It is not there (yet).
        """
        self.close()
        self._serial = _open(self.url, self.baud)

    @property
    def baud(self) -> int:
        """Rate in bit/s."""
        return int(self._serial.baudrate)

    def set_baud(self, baud: int) -> None:
        """Change the rate after everything written has left; drop what was received."""
        try:
            self._serial.flush()
            self._serial.baudrate = baud
            self._serial.reset_input_buffer()
        except (*_ERRORS, ValueError) as error:
            raise PortLostError(f"{self.url}: cannot change to {baud} baud ({error})") from None

    def write(self, data: bytes) -> None:
        """Write everything; a reader that does not read counts as silent, not as an error."""
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            return
        except _ERRORS as error:
            raise self._lost(error) from None

    def read(self, timeout_s: float) -> bytes:
        """Wait for bytes and return all that are there; empty when the time is over."""
        try:
            received = self._read_remote(timeout_s) if self._is_remote else self._read(timeout_s)
        except _ERRORS as error:
            raise self._lost(error) from None
        self.received_bytes += len(received)
        return received

    @property
    def _is_remote(self) -> bool:
        return self.url.startswith(_REMOTE)

    def _read(self, timeout_s: float) -> bytes:
        self._serial.timeout = timeout_s
        first: bytes = self._serial.read(1)
        self._serial.timeout = 0
        rest: bytes = self._serial.read(_READ_BYTES) if first else b""
        return first + rest

    def _read_remote(self, timeout_s: float) -> bytes:
        """Leave the timeout as it is: pyserial sets the whole port anew with each change of it."""
        deadline = time.monotonic() + timeout_s
        while True:
            received: bytes = self._serial.read(max(1, self._serial.in_waiting))
            if received or time.monotonic() >= deadline:
                return received

    def close(self) -> None:
        """Close the port; more than once does no harm."""
        connection = vars(self._serial).get("_socket")
        self._serial.close()
        if connection is not None:  # pyserial 3.5 leaves it open if the other side has gone
            connection.close()

    def _lost(self, error: Exception) -> PortLostError:
        return PortLostError(f"{self.url}: the connection was lost ({error}); connect again")


def _open(url: str, baud: int) -> Any:
    is_remote = url.startswith(_REMOTE)
    if not 0 < baud <= _MOST_BAUD:
        raise LinkError(f"{url}: {baud} baud is no rate of a serial port; give 1 to {_MOST_BAUD}")
    if "://" in url and not _is_address(url):
        raise LinkError(
            f"{url}: no such address; give a serial port, socket://HOST:PORT or {_REMOTE}HOST:PORT"
        )
    try:
        port = serial.serial_for_url(
            url,
            baudrate=baud,
            timeout=_REMOTE_READ_S if is_remote else 0,
            write_timeout=None if is_remote else _WRITE_TIMEOUT_S,  # it has none
            exclusive=True,
        )
        port.reset_input_buffer()
    except (*_ERRORS, ValueError, KeyError) as error:  # of an option's value
        raise LinkError(f"{url}: {_open_failure(url, error)}") from None
    return port


def _is_address(url: str) -> bool:
    """Whether it names a host and a port by a protocol that a board is reached by."""
    try:
        found = urlsplit(url)
        return found.scheme in _PROTOCOLS and bool(found.hostname and found.port)
    except ValueError:
        return False


def _open_failure(url: str, error: Exception) -> str:
    """Why a port did not open and what to do."""
    said = _REASON.match(str(error))
    reason = said[1] if said else str(error)
    if "://" in url:
        return f"nothing answers there ({reason}); start the process of the board first"
    number = error.errno if isinstance(error, OSError) else None
    is_denied = "PermissionError" in str(error)  # Windows: somebody else has it
    is_port = Path(url).is_char_device() and reason != os.strerror(errno.ENOTTY)
    if Path(url).exists() and not (is_denied or is_port):
        return f"it is no serial port; {name_ports()}: name the board's port"
    if number == errno.ENOENT or not (is_denied or Path(url).exists()):
        return f"no such port; {name_ports()}: plug the board in or name its port"
    if number == errno.EACCES:
        return "permission denied: add your user to the group dialout and log in again"
    return f"the port is busy ({reason}); {name_ports()}: close what uses it"
