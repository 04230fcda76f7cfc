"""Calls a reader's library in a process of its own, which may hang or crash on a damaged file."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from lnn_edge.errors import DataError

_SECONDS, _PER_BYTE = 20.0, 4e-7  # 20 s, and 4 s more for 10 MB
_TOLD = 3  # exit code: a whole sentence is on stdout
Groups = dict[str, dict[str, np.ndarray]]
"""Arrays by name, by the group that they are in; numbers and texts, no objects."""


def read_apart(module: str, path: Path, *arguments: str) -> Groups:
    """Return what the `groups_of` of a module returns for a file and more arguments.

    Raises:
        ValueError: Its library refuses the file, crashes on it, or does not return.
        DataError: What it says itself, in a sentence.
    """
    command = [sys.executable, "-m", "lnn_edge.data.readers.apart", module, str(path), *arguments]
    size = path.stat().st_size if path.is_file() else 0
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS + _PER_BYTE * size,
        )
    except subprocess.TimeoutExpired:
        raise ValueError("its library does not come to an end with it") from None
    if done.returncode == _TOLD:
        raise DataError(done.stdout.decode("utf-8", "replace"))
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        is_told = done.returncode == 1 and said
        raise ValueError(said[-1] if is_told else "its library crashes on it")
    return unpack(done.stdout)


def pack(groups: Groups) -> memoryview:
    """Return the bytes that `unpack` reads."""
    places = [(group, name) for group, arrays in groups.items() for name in arrays]
    file = io.BytesIO()
    values = [groups[group][name] for group, name in places]
    np.savez(file, np.array(json.dumps(places)), *values)
    return file.getbuffer()


def unpack(data: bytes | memoryview) -> Groups:
    """Return what was packed."""
    groups: Groups = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        places = json.loads(str(file["arr_0"]))
        for number, (group, name) in enumerate(places, start=1):
            groups.setdefault(group, {})[name] = file[f"arr_{number}"]
    return groups


def _main(module: str, path: str, *arguments: str) -> None:
    import importlib

    reader = importlib.import_module(module)
    try:
        groups = reader.groups_of(Path(path), *arguments)
    except DataError as error:
        sys.stdout.buffer.write(str(error).encode())
        raise SystemExit(_TOLD) from None
    except reader.DAMAGE as error:
        sys.stderr.write(str(error).split("\n")[0].strip()[:160] or type(error).__name__)
        raise SystemExit(1) from None
    sys.stdout.buffer.write(pack(groups))


if __name__ == "__main__":
    _main(*sys.argv[1:])
