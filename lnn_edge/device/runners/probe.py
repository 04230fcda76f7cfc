"""What the runners of real boards with a debug probe have in common."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lnn_edge.device.link import find_ports, name_ports
from lnn_edge.device.runners.runner import AbstractRunner
from lnn_edge.errors import LinkError

_TOOL_S = 120.0  # writing 1 MB of flash takes half a minute


class AbstractProbe(AbstractRunner):
    """A runner whose board hangs on this machine by USB."""

    def serial_url(self) -> str:
        """Return the one serial port that belongs to a debug probe.

        Raises:
            LinkError: There is none, or more than one.
        """
        probes = [port for port in find_ports() if port.probe]
        if len(probes) == 1:
            return probes[0].device
        found = "several debug probes are connected" if probes else "no debug probe is connected"
        raise LinkError(
            f"{self.name}: {found} ({name_ports()});"
            f" plug one {self.board.title} in or name its port as serial:PORT"
        )

    def diagnosis(self) -> str | None:
        """A real board says why it stopped in a FAULT frame; nothing is known beyond."""
        return None

    def close(self) -> None:
        """Nothing was started."""

    def _need(self, path: Path | None) -> Path:
        """Return the file to write to flash, which must be there."""
        if path is None or not path.is_file():
            raise LinkError(
                f"{self.name}: no firmware {path or 'image'}; run `lnn-edge build` first"
            )
        return path

    def _run(self, command: Sequence[str], marks: Sequence[str]) -> None:
        """Run a tool to its end.

        Args:
            command: Program and arguments.
            marks: What a line of its output contains that reports a failure.

        Raises:
            LinkError: It failed or did not end.
        """
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_TOOL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._failure(command, f"no end within {_TOOL_S:g} s") from None
        output = done.stdout.decode(errors="replace").splitlines()
        telling = [line.strip() for line in output if any(mark in line for mark in marks)]
        if done.returncode != 0 or telling:
            last = output[-1].strip() if output else f"exit code {done.returncode}"
            raise self._failure(command, telling[0] if telling else last)

    def _failure(self, command: Sequence[str], reason: str) -> LinkError:
        return LinkError(
            f"{self.name} did not reach {self.board.title}: {reason}; connect the board by USB and"
            f" run `{shlex.join(command)}` to see more"
        )
