"""The virtual board as a process: ``python -m lnn_edge.device.virtual ELF --tcp PORT | --pty``.

The first line on stdout is the URL of its serial port. Exit codes: 0 ended on request, 2 bad input,
3 the board stopped (one line on stderr says why).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lnn_edge.device.elf import read_elf
from lnn_edge.device.virtual.config import MachineConfig
from lnn_edge.device.virtual.faults import BoardStoppedError, Fault
from lnn_edge.device.virtual.machine import Machine
from lnn_edge.device.virtual.ports import AbstractPort, PtyPort, TcpPort
from lnn_edge.device.virtual.profile import write_faults, write_profile
from lnn_edge.device.virtual.server import Server
from lnn_edge.errors import LnnEdgeError

EXIT_STOPPED = 3


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lnn_edge.device.virtual",
        description="Run a target ELF on a virtual STM32F746 and serve its UART.",
        epilog="example: python -m lnn_edge.device.virtual build/firmware.elf --tcp 0",
    )
    parser.add_argument("elf", type=Path, help="linked firmware")
    port = parser.add_mutually_exclusive_group(required=True)
    port.add_argument("--tcp", type=int, metavar="PORT", help="serve on 127.0.0.1; 0: a free port")
    port.add_argument("--pty", action="store_true", help="serve on a pseudo-terminal")
    parser.add_argument("--machine", type=Path, metavar="JSON", help="machine description")
    parser.add_argument("--json-faults", type=Path, metavar="FILE", help="write faults as JSON")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="write instructions per function as JSON, at the end and on SIGUSR1",
    )
    parser.add_argument("--no-compile", action="store_true", help="count in Python, slower")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the board; returns the exit code."""
    arguments = _arguments(argv)
    try:
        return _run(arguments)
    except LnnEdgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _run(arguments: argparse.Namespace) -> int:
    config = (
        MachineConfig() if arguments.machine is None else MachineConfig.from_file(arguments.machine)
    )
    faults: list[Fault] = []

    def note(fault: Fault) -> None:
        faults.append(fault)
        if arguments.json_faults is not None and len(faults) <= 100:
            write_faults(faults, None, arguments.json_faults)

    machine = Machine(
        config,
        read_elf(arguments.elf),
        use_compiler=not arguments.no_compile,
        on_fault=note,
    )
    port: AbstractPort = PtyPort() if arguments.pty else TcpPort(arguments.tcp)
    server = Server(machine, port)
    sys.stdout.write(port.url + "\n")
    sys.stdout.flush()
    try:
        while server.run():
            _write_profile(machine, arguments.profile)
    except BoardStoppedError as stopped:
        sys.stderr.write(f"{stopped}\n")
        if arguments.json_faults is not None:
            write_faults(faults, str(stopped), arguments.json_faults)
        return EXIT_STOPPED
    finally:
        _write_profile(machine, arguments.profile)
        port.close()
    return 0


def _write_profile(machine: Machine, path: Path | None) -> None:
    if path is not None:
        write_profile(machine, path)


if __name__ == "__main__":
    sys.exit(main())
