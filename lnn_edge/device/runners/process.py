"""A program that stands in for a board: started, watched, ended. Knows no protocol."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from typing import IO

from lnn_edge.errors import LinkError
from lnn_edge.files.undisturbed import undisturbed

_SETTLE_S = 0.5  # a program that closed its port may need this long to end
_POLITE_S = 2.0  # between asking it to end and ending it
# What tells more than the last line: sanitizers and QEMU print a report below it.
_TELLING = ("runtime error:", "AddressSanitizer:", "qemu: fatal:")


class BoardProcess:
    """A running program. It ends with this object, and with the interpreter at the latest.

    Args:
        name: Of the runner, for errors.
        command: Program and arguments.
        pass_fds: Open files it inherits.
        explain: Makes one line of what it wrote to stderr.

    Raises:
        LinkError: It cannot be started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        explain: Callable[[str], str] | None = None,
    ) -> None:
        self._name = name
        self._explain = explain or telling_line
        self._stderr = tempfile.TemporaryFile()
        try:
            with undisturbed():  # else a program that has just started were lost
                # A session of its own: Ctrl-C ends this program, which then ends that one in order.
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=self._stderr,
                    pass_fds=pass_fds,
                    start_new_session=True,
                )
                self._end = weakref.finalize(self, _end, self._process, self._stderr)
        except OSError as error:
            self._stderr.close()
            raise LinkError(
                f"{name}: {command[0]} cannot be started ({error.strerror}); build it first"
            ) from error

    def first_line(self, timeout_s: float) -> str:
        """Wait for the first line on stdout and return it.

        Raises:
            LinkError: The program ended before, or the time is over.
        """
        assert self._process.stdout is not None  # opened as a pipe above
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        line = b""
        while not line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], left)[0]:
                raise LinkError(
                    f"{self._name}: did not start within {timeout_s:g} s; is the machine busy?"
                    " try again"
                )
            chunk = os.read(descriptor, 4096)
            if not chunk:
                raise LinkError(f"{self._name}: did not start: {self.diagnosis()}")
            line += chunk
        return line.decode(errors="replace").splitlines()[0]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        self._process.send_signal(number)

    def diagnosis(self) -> str | None:
        """Why it ended, in one line; None while it runs."""
        try:
            code = self._process.wait(_SETTLE_S)
        except subprocess.TimeoutExpired:
            return None
        self._stderr.seek(0)
        line = self._explain(self._stderr.read().decode(errors="replace"))
        return line or f"{self._name} ended with {_name_code(code)} and said nothing"

    def close(self) -> None:
        """End it; more than once does no harm."""
        self._end()


def telling_line(text: str) -> str:
    """The line of a report that says most: a sanitizer's or QEMU's finding, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = (line for line in lines if any(mark in line for mark in _TELLING))
    return next(telling, lines[-1] if lines else "")


def _name_code(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _end(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_POLITE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
    stderr.close()
