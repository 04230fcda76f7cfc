"""HDF5 is read in a process of its own: what its library does there reaches nobody else."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data.readers import apart, hdf5_file
from lnn_edge.data.readers.apart import pack, read_apart, unpack
from lnn_edge.data.readers.reader import Hints
from lnn_edge.errors import DataError

DAMAGE = (ValueError,)
HERE = __name__


def groups_of(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Do in the other process what the file says."""
    match path.read_text():
        case "hang":
            time.sleep(60)
        case "crash":
            os.abort()
        case "refuse":
            raise ValueError("it is odd\nand more")
    return {"g": {"x": np.arange(3, dtype=np.int16)}}


def test_groups_come_back_as_they_were() -> None:
    groups = {"": {"x": np.arange(6.0).reshape(3, 2), "label": np.array(["ä", "b"])}, "a/b": {}}
    groups["a/b"]["fs"] = np.asarray(250)
    file = io.BytesIO()
    pack(groups, file)
    found = unpack(file)
    assert {g: sorted(arrays) for g, arrays in found.items()} == {"": ["label", "x"], "a/b": ["fs"]}
    for group, arrays in groups.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[group][name], array)
            assert found[group][name].dtype == array.dtype


@pytest.mark.parametrize(
    ("told", "said"),
    [("hang", "does not come to an end"), ("crash", "crashes on it"), ("refuse", "^it is odd$")],
)
def test_a_library_that_fails_is_told(
    told: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told == "hang":
        monkeypatch.setattr(apart, "_SECONDS", 3.0)
    path = tmp_path / "file"
    path.write_text(told)
    with pytest.raises(ValueError, match=said):
        read_apart(HERE, path)


def test_a_file_that_its_library_never_ends_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by chance: a heap of texts whose sizes were damaged."""
    path = tmp_path / "r1.h5"
    path.write_bytes((Path(__file__).parent / "endless.h5").read_bytes())
    monkeypatch.setattr(apart, "_SECONDS", 5.0)
    with pytest.raises(DataError, match=r"r1\.h5 is damaged or no HDF5 file"):
        list(hdf5_file.read(path, "r1", Hints()))
