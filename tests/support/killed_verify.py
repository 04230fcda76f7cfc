"""A verification that kills its own process: ``python -m tests.support.killed_verify ...``.

Arguments: address of a board that runs the toy, journal, number of frames, step to die at (0: not).
Prints verify.json.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from lnn_edge.device.link import Link
from lnn_edge.verify.exchange import Signal
from lnn_edge.verify.journal import Journal
from lnn_edge.verify.verify import verify
from tests.support.toy import motion, toy_every_graph


def run_killed(address: str, journal: Path, frames: int, kills: list[int]) -> dict[str, Any]:
    """Let a verification be killed after so many steps each time; return what the last one says."""
    for kill in [*kills, 0]:
        arguments = [address, str(journal), str(frames), str(kill)]
        command = [sys.executable, "-m", "tests.support.killed_verify", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == (-signal.SIGKILL if kill else 0), done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main(address: str, journal: str, frames: str, kill: str) -> None:
    steps = [0]

    def on_frames(_: int) -> None:
        steps[0] += 1
        if steps[0] == int(kill):
            os.kill(os.getpid(), signal.SIGKILL)

    signals = [Signal("a", motion(3, int(frames))), Signal("b", motion(4, 500))]
    with closing(Journal(Path(journal), "the toy")) as kept, Link(address) as link:
        result = verify(
            toy_every_graph(), signals, link, name="host", on_frames=on_frames, journal=kept
        )
        sys.stdout.write(json.dumps(result.to_json()))


if __name__ == "__main__":
    main(*sys.argv[1:])
