"""Where the board's UART meets the host: a TCP port on this machine, or a pseudo-terminal."""

from __future__ import annotations

import abc
import os
import select
import socket

from lnn_edge.errors import LinkError, MissingToolError

_CHUNK = 65536
_KEPT = 1 << 20  # newest bytes, kept until a client connects


class AbstractPort(abc.ABC):
    """One serial port as the host sees it.

    Args:
        url: What a serial library opens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._unsent = bytearray()

    @abc.abstractmethod
    def _readable(self) -> list[int]:
        """Descriptors that may have something for the board."""

    @abc.abstractmethod
    def _writable(self) -> list[int]:
        """Descriptors to wait for while bytes are unsent."""

    @abc.abstractmethod
    def _receive(self, descriptor: int) -> bytes:
        """Bytes from the host; empty when there are none after all."""

    @abc.abstractmethod
    def _transmit(self, data: bytes) -> int:
        """Send what can be sent without waiting; returns how many bytes."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release the port."""

    def send(self, data: bytes) -> None:
        """Pass on what the board sent; the host takes it when it can."""
        self._unsent += data
        if len(self._unsent) > _KEPT:
            del self._unsent[: len(self._unsent) - _KEPT]
        self._flush()

    def wait(self, seconds: float, extra: int) -> bytes:
        """Wait at most so long for bytes from the host.

        Args:
            seconds: Zero looks without waiting.
            extra: One more descriptor that ends the wait.
        """
        out = self._writable() if self._unsent else []
        ready, _, _ = select.select([*self._readable(), extra], out, [], seconds)
        self._flush()
        return b"".join(self._receive(d) for d in ready if d != extra)

    def _flush(self) -> None:
        while self._unsent:
            count = self._transmit(bytes(self._unsent[:_CHUNK]))
            if not count:
                return
            del self._unsent[:count]


class TcpPort(AbstractPort):
    """A TCP port on 127.0.0.1, one host at a time; the newest connection wins.

    Args:
        port: 0 takes a free one.

    Raises:
        LinkError: The port is taken.
    """

    def __init__(self, port: int) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            self._listener.close()
            raise LinkError(f"TCP port {port} cannot be used ({error}); try --tcp 0") from error
        self._listener.listen(1)
        self._host: socket.socket | None = None
        super().__init__(f"socket://127.0.0.1:{self._listener.getsockname()[1]}")

    def _readable(self) -> list[int]:
        hosts = [] if self._host is None else [self._host.fileno()]
        return [*hosts, self._listener.fileno()]  # what a host sent last counts, then the next one

    def _writable(self) -> list[int]:
        return [] if self._host is None else [self._host.fileno()]

    def _receive(self, descriptor: int) -> bytes:
        if descriptor == self._listener.fileno():
            self._accept()
            return b""
        if self._host is None or self._host.fileno() != descriptor:
            return b""
        try:
            data = self._host.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._drop()
        return data

    def _accept(self) -> None:
        self._drop()
        self._host, _ = self._listener.accept()
        self._host.setblocking(False)
        self._host.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flush()

    def _transmit(self, data: bytes) -> int:
        if self._host is None:
            return 0
        try:
            return self._host.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._drop()
            return 0

    def _drop(self) -> None:
        if self._host is not None:
            self._host.close()
            self._host = None

    def close(self) -> None:
        """Close the connection and the listener."""
        self._drop()
        self._listener.close()


class PtyPort(AbstractPort):
    """A pseudo-terminal, raw; its slave side is what the host opens.

    Raises:
        MissingToolError: The system has none.
    """

    def __init__(self) -> None:
        try:
            import pty
            import tty
        except ImportError as error:
            raise MissingToolError("this system has no pseudo-terminals; use --tcp 0") from error
        self._master, self._slave = pty.openpty()  # the slave stays open: no hang-up between hosts
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        super().__init__(os.ttyname(self._slave))

    def _readable(self) -> list[int]:
        return [self._master]

    def _writable(self) -> list[int]:
        return [self._master]

    def _receive(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return b""

    def _transmit(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close both ends."""
        os.close(self._master)
        os.close(self._slave)
