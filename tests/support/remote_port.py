"""A serial port of another machine: a server of RFC 2217 by pyserial, in front of a board here."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import serial
from serial.rfc2217 import PortManager


class RemotePort:
    """Serves one client after the other.

    Args:
        device: Port of the board: what `serial.serial_for_url` takes.

    Attributes:
        url: Where a client connects.
        rates: That clients have set, bit/s.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self.rates: list[int] = []
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        """Serve no more, as a machine that is switched off."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._client = self._listener.accept()[0]
                with serial.serial_for_url(self._device, timeout=0.02) as port:
                    self._join(port, self._client)

    def _join(self, port: serial.SerialBase, client: socket.socket) -> None:
        """Pass bytes on both ways until the client leaves."""
        ends = threading.Event()
        guard = threading.Lock()

        class Connection:
            def write(self, data: bytes) -> None:
                with guard, contextlib.suppress(OSError):
                    client.sendall(data)

        connection = Connection()
        manager = PortManager(port, connection)

        def to_client() -> None:
            while not ends.is_set():
                data = port.read(port.in_waiting or 1)
                connection.write(b"".join(manager.escape(data)))

        reader = threading.Thread(target=to_client, daemon=True)
        reader.start()
        with client, contextlib.suppress(OSError):
            while data := client.recv(4096):
                port.write(b"".join(manager.filter(data)))
                self.rates.append(port.baudrate)
        ends.set()
        reader.join()


@contextlib.contextmanager
def remote_port(device: str) -> Iterator[RemotePort]:
    port = RemotePort(device)
    try:
        yield port
    finally:
        port.hang_up()
