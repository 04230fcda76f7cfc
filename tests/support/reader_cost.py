"""What a reader takes for a file, in a process of its own: ``python -m tests.support.reader_cost``.

Arguments: kind ("records", "fed", "frames", "graph", "import", "toml") and a file. Prints a line of
JSON: what came of it, seconds of the processor and megabytes beyond those of its libraries.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.errors import LnnEdgeError

LIBRARIES = (
    "numpy", "pandas", "scipy.io", "h5py", "pyarrow.parquet", "pyedflib", "wfdb", "soundfile",
    "torch", "safetensors.torch", "pandas.core.computation.api", "pyarrow.pandas_compat",
)  # fmt: skip

# What a file of 10 MB may take. Memory is the same on every machine. Two seconds are what an idle
# processor of today needs at the most; what grows with the square of a file's size takes minutes.
MEGABYTES = 200.0
ENDLESS_S = 30.0


@dataclass(frozen=True)
class Cost:
    """Of reading a file.

    Attributes:
        outcome: "read", or the error in words.
        seconds: Of the processor.
        megabytes: At the most, beyond what was taken before.
    """

    outcome: str
    seconds: float
    megabytes: float


def cost_of(kind: str, path: Path) -> Cost:
    """Read a file in a process of its own."""
    command = [sys.executable, "-m", "tests.support.reader_cost", kind, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _records(path: Path) -> object:
    from lnn_edge.data.open_records import find_records, read_records
    from lnn_edge.data.readers.reader import Hints

    return [len(r.samples) for r in read_records(find_records(path, Hints(rate_hz=100.0)))]


def _fed(path: Path) -> object:
    """Read a record of two leads and bring it to a model's frame."""
    from lnn_edge.data.frame import Frame, FrameChannel, to_frame
    from lnn_edge.data.open_records import find_records, read_records
    from lnn_edge.data.readers.reader import Hints

    frame = Frame(100.0, tuple(FrameChannel(f"channel_{i}", "mV", 200.0) for i in (1, 2)))
    hints = Hints(rate_hz=100.0, time_column="time_s" if path.name.startswith("timed") else None)
    (record,) = read_records(find_records(path, hints))
    return to_frame(record, frame, may_overwrite=True).samples.shape


def _frames(path: Path) -> object:
    from lnn_edge.data.npy import load_sequences

    return load_sequences(path, 2).shape


def _graph(path: Path) -> object:
    from lnn_edge.graph.file import load_graph

    return load_graph(path).name


def _import(path: Path) -> object:
    from lnn_edge.nn.importer import ImportOptions, import_model

    return import_model(path, ImportOptions())


def _toml(path: Path) -> object:
    from lnn_edge.train.recipe import load_recipe

    return load_recipe(str(path))


READERS: dict[str, Callable[[Path], object]] = {
    "records": _records,
    "fed": _fed,
    "frames": _frames,
    "graph": _graph,
    "import": _import,
    "toml": _toml,
}


def main(kind: str, path: str) -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    _warm()
    Path("/proc/self/clear_refs").write_text("5")  # forget the most so far
    before, began = _kilobytes("VmRSS"), time.process_time()
    try:
        READERS[kind](Path(path))
        outcome = "read"
    except LnnEdgeError as error:
        outcome = str(error)
    seconds = time.process_time() - began
    megabytes = (_kilobytes("VmHWM") - before) / 1024
    print(json.dumps({"outcome": outcome, "seconds": seconds, "megabytes": megabytes}))


def _kilobytes(name: str) -> int:
    """Of this process, as Linux counts them: what it takes now (VmRSS), and at the most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _warm() -> None:
    """Load what the readers import on first use."""
    for module in ("data.open_records", "data.npy", "graph.file", "nn.importer", "train.recipe"):
        importlib.import_module(f"lnn_edge.{module}")


if __name__ == "__main__":
    main(*sys.argv[1:])
