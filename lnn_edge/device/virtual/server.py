"""The loop of the board's process: run the core, pass bytes, wait in real time when it is idle."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from lnn_edge.device.virtual.faults import BoardStoppedError
from lnn_edge.device.virtual.machine import Idle, Machine
from lnn_edge.device.virtual.ports import AbstractPort

_LOOK_S = 0.2  # how often an idle board looks whether its parent still lives
_BUSY_SLICES = 64  # how often a busy one looks at its port: looking costs as much as an interrupt


class Server:
    """Serves one machine on one port until it is told to end.

    Ends on SIGTERM, SIGINT, or when the process that started it has gone. SIGUSR1 asks for a
    profile while running.

    Args:
        machine: The board.
        port: Its serial port.
    """

    def __init__(self, machine: Machine, port: AbstractPort) -> None:
        self._machine, self._port = machine, port
        self._parent = os.getppid()
        self._ends = False
        self._busy = 0  # slices since the last look
        self.wants_profile = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)):
            signal.signal(number, self._end)
        signal.signal(signal.SIGUSR1, self._ask_profile)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ends = True

    def _ask_profile(self, _number: int, _frame: FrameType | None) -> None:
        self.wants_profile = True

    def run(self) -> bool:
        """Run until the end or until a profile is wanted.

        Returns:
            True when a profile is wanted, False at the end.

        Raises:
            BoardStoppedError: The board cannot go on; what it sent before has been passed on.
        """
        self.wants_profile = False
        while not self._ends and not self.wants_profile:
            try:
                idle = self._machine.run_slice()
            except BoardStoppedError:
                self._port.send(self._machine.take_output())
                raise
            self._busy = self._busy + 1 if idle is None else 0
            if self._busy % _BUSY_SLICES == 0:
                self._exchange(idle)
        return self.wants_profile

    def _exchange(self, idle: Idle | None) -> None:
        """Pass bytes both ways; an idle board waits here, as long as its next timer allows."""
        if self._machine.line.outgoing:
            self._port.send(self._machine.take_output())
        if os.getppid() != self._parent:
            self._ends = True
        seconds = 0.0
        if idle is not None:
            seconds = _LOOK_S if idle.seconds is None else min(idle.seconds, _LOOK_S)
        began = time.monotonic()
        data = self._port.wait(seconds, self._wake_read)
        if idle is not None and idle.seconds is not None:
            waited = time.monotonic() - began
            whole = not data and waited >= seconds
            self._machine.let_time_pass(seconds if whole else waited)
        self._drain_wakes()
        if data:
            self._machine.send(data)

    def _drain_wakes(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
