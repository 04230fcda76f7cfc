"""Compiles generated models for the host and replays records through them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from lnn_edge.codegen.kernels import HOST, Core
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.files import resources
from lnn_edge.graph.qgraph import QGraph
from lnn_edge.graph.sim.stream import Stream
from tests.support.once import once

WARNINGS = (
    "-std=c11 -O1 -g1 -Wall -Wextra -Werror -pedantic -Wconversion -Wsign-conversion -Wshadow "
    "-Wundef -Wdouble-promotion -Wcast-align -Wvla -Wswitch-enum"
).split()
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
REPLAY = Path(__file__).parent / "c" / "replay.c"


def compile_model(
    graph: QGraph, folder: Path, core: Core = HOST, options: Sequence[str] = SANITIZERS
) -> Path:
    """Generate C with the kernels of a core, compile it with the replay driver."""
    for name, text in render_model(generate(graph, core)).items():
        (folder / name).write_text(text)
    program = folder / "replay"
    sources = [*folder.glob("*.c"), REPLAY, *_runtime(options)]
    _compile([*options, f"-I{folder}", *map(str, sources), "-o", str(program)])
    return program


def _runtime(options: Sequence[str]) -> list[Path]:
    """Return the objects of the runtime, which are the same for every model."""
    sources = sorted(_home().glob("*.[ch]"))
    digest = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()

    def make(folder: Path) -> list[Path]:
        found = [
            (source, folder / f"{source.stem}.o") for source in sources if source.suffix == ".c"
        ]
        for source, made in found:
            _compile([*options, "-c", str(source), "-o", str(made)])
        return [made for _, made in found]

    return once("_".join(("runtime", digest[:12], *options)).replace("/", "_"), make)


def _home() -> Path:
    """Where the runtime is, which a test may have exchanged."""
    return resources.path("firmware") / "runtime"


def _compile(arguments: Sequence[str]) -> None:
    command = ["gcc", *WARNINGS, f"-I{_home()}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


Item = tuple[str, object]


def record_items(frames: np.ndarray, events: np.ndarray) -> list[Item]:
    """Interleave a record: event t follows frame t."""
    items: list[Item] = []
    queue = [int(t) for t in events]
    for index, frame in enumerate(frames):
        items.append(("F", frame))
        while queue and queue[0] <= index:
            items.append(("E", queue.pop(0)))
    return items


def pack(items: list[Item]) -> bytes:
    """Return items as the programs read them."""
    parts = []
    for kind, value in items:
        raw = np.asarray(value, "<i2").tobytes() if kind in "FN" else b""
        raw = int(value).to_bytes(4, "little") if kind in "ES" else raw  # type: ignore[call-overload]
        raw = bytes(value) if kind == "P" else raw  # type: ignore[call-overload]
        parts.append(kind.encode() + raw)
    return b"".join(parts)


def run_c(program: Path, items: list[Item]) -> bytes:
    """Feed items to the program and return what it printed."""
    done = subprocess.run([program], input=pack(items), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def run_reference(graph: QGraph, items: list[Item]) -> bytes:
    """Feed the same items to the simulator and return the same bytes."""
    stream, out = Stream(graph), []
    for kind, value in items:
        if kind in "FN":
            stream.push_frame(np.asarray(value))
            if kind == "N":
                continue
        elif kind == "E":
            stream.push_event(int(value))  # type: ignore[call-overload]
        elif kind == "S":
            stream.skip_frames(int(value))  # type: ignore[call-overload]
        elif kind == "R":
            stream.reset()
        else:
            out.append(b"B" + stream.state_blob())
        for d in stream.decisions():
            outputs = d.outputs.astype("<i2").tobytes()
            out.append(b"D" + d.stamp.to_bytes(4, "little") + outputs + d.probes + d.state)
    return b"".join(out)
