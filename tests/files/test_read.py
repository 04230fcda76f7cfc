"""No file of a stranger's hangs a reader, fills the memory or ends in a traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lnn_edge.build.size import Limits, read_size
from lnn_edge.codegen.kernels import HOST
from lnn_edge.codegen.plan import generate
from lnn_edge.codegen.render import render_model
from lnn_edge.data.annotation_file import read_beat_marks
from lnn_edge.data.npy import load_sequences
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.wfdb_folder import read_signals
from lnn_edge.device.board import load_board, read_board
from lnn_edge.device.elf import read_elf
from lnn_edge.errors import LnnEdgeError
from lnn_edge.files.archives import members_of
from lnn_edge.files.arrays import array_of
from lnn_edge.files.read import LARGEST_TEXT, read_json, read_toml, read_whole
from lnn_edge.graph.file import LARGEST_BYTES, graph_bytes, load_graph
from lnn_edge.graph.reference import Reference, read_reference
from lnn_edge.nn.cells.wirings import read_wiring
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from lnn_edge.train.recipe import load_recipe
from lnn_edge.verify.journal import Journal
from tests.support.places import ROOT
from tests.support.projects import SIZES
from tests.support.toy import toy_graph

MIB = 1 << 20
BOARD = load_board("stm32f746")


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def text_of(path: str) -> bytes:
    return (ROOT / path).read_bytes()


def state_dict() -> bytes:
    buffer = io.BytesIO()
    torch.save(torch.nn.LSTM(2, 3).state_dict(), buffer)
    return buffer.getvalue()


FRAMES = np.arange(24.0).reshape(2, 4, 3)
REFERENCE = Reference((np.ones((3, 2)),), (np.ones((2, 3)),)).to_bytes("00")
WIRING = b'{"adjacency_matrix": [[1]], "sensory_adjacency_matrix": [[1]], "output_dim": 1}'
READERS: dict[str, tuple[str, Callable[[Path], object], bytes]] = {
    "graph": ("a.qgraph", load_graph, graph_bytes(toy_graph())),
    "reference": ("a.npz", lambda path: read_reference(path, "00", 2, 3), REFERENCE),
    "npy": ("a.npy", lambda path: load_sequences(path, 3), npy_bytes(FRAMES)),
    "recipe": (
        "a.toml",
        lambda p: load_recipe(str(p)),
        text_of("lnn_edge/train/recipes/har-cfc.toml"),
    ),
    "board": ("a.toml", read_board, text_of("boards/stm32f405.toml")),
    "wiring": ("a.json", read_wiring, WIRING),
    "elf": ("a.elf", read_elf, b"\x7fELF\x01\x01\x01" + bytes(60)),
    "model": ("a.pt", lambda path: import_model(path, ImportOptions()), state_dict()),
    "keras": (
        "a.keras",
        lambda path: import_model(path, ImportOptions()),
        text_of("tests/support/keras/nogate.keras"),
    ),
    "recordings": (
        "a.csv",
        lambda path: list(read_records(find_records(path))),
        b"t,x\n0,1\n1,2\n",
    ),
    "sizes": (
        "size.json",
        lambda path: read_size(path, BOARD, Limits()),
        json.dumps(SIZES.to_json()).encode(),
    ),
    "marks": ("a.atr", read_beat_marks, b"\x01\x04\x00\x00"),
    "header": ("a.hea", lambda path: read_signals(path.parent, "a"), b"a 1 360 4\na.dat 212 200\n"),
}
FUZZED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
TEXTS = st.sampled_from(
    [b"", b"0", b"-1", b"9" * 30, b"1e999", b"[", b"{", b"(", b"'", b"nan", b"\n", b"\0"]
)


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Return good bytes with a few places replaced, by shorter or longer ones."""
    data = good
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.integers(0, 8))
        data = data[:at] + draw(TEXTS | st.binary(max_size=8)) + data[end:]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@pytest.mark.parametrize("kind", READERS)
@FUZZED
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_name(
    kind: str, data: st.DataObject, tmp_path: Path
) -> None:
    name, read, good = READERS[kind]
    (tmp_path / name).write_bytes(data.draw(damaged(good) | st.binary(max_size=64)))
    with suppress(LnnEdgeError):
        read(tmp_path / name)


@pytest.mark.parametrize("kind", READERS)
def test_a_pipe_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    name, read, _ = READERS[kind]
    os.mkfifo(tmp_path / name)
    with pytest.raises(LnnEdgeError):
        read(tmp_path / name)


@pytest.mark.parametrize("path", ["/dev/zero", "/"])
def test_what_is_no_file_says_so(path: str) -> None:
    with pytest.raises(OSError, match=r"it is no file|Is a directory") as caught:
        read_whole(Path(path))
    assert caught.value.filename == path


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # a hole: it takes no disk
    with pytest.raises(OSError, match=f"{1 << 40} bytes, more than {LARGEST_TEXT}"):
        read_whole(path)


def test_a_disk_that_fails_is_told_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    (tmp_path / "a").write_bytes(b"")
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        read_whole(tmp_path / "a")
    assert caught.value.filename == str(tmp_path / "a")


@pytest.mark.parametrize(("read", "text"), [(read_toml, "a = "), (read_json, "")])
def test_a_text_nested_without_end_is_no_text(
    read: Callable[[Path], object], text: str, tmp_path: Path
) -> None:
    (tmp_path / "deep").write_text(text + "[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read(tmp_path / "deep")


@FUZZED
@given(
    dtype=st.sampled_from(["<f4", ">f8", "<f2", "|i1", "<u2", ">i4", "<i8"]),
    shape=st.lists(st.integers(0, 4), max_size=4).map(tuple),
    in_columns=st.booleans(),
)
def test_an_array_is_the_one_that_numpy_reads(
    dtype: str, shape: tuple[int, ...], in_columns: bool
) -> None:
    made = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
    data = npy_bytes(np.asfortranarray(made) if in_columns else made)
    np.testing.assert_array_equal(array_of(data), np.load(io.BytesIO(data)), strict=True)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1 + 1j]), np.array([True])])
def test_what_holds_no_real_numbers_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must hold real numbers"):
        array_of(npy_bytes(array))


def bomb(size: int, name: str = "graph.json") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(size))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (bomb(LARGEST_BYTES + 1, "a"), f"more than {LARGEST_BYTES} bytes"),
        (bomb(LARGEST_TEXT + 1), f"graph.json has more than {LARGEST_TEXT} bytes"),
    ],
)
def test_a_bomb_is_refused_before_it_is_unpacked(data: bytes, sentence: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=sentence):
            members_of(data, LARGEST_BYTES, {"graph.json": LARGEST_TEXT})
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(
    "classes task sample_rate_hz leads units adc_gain adc_zero dt unlearned calibration_records"
    " dataset weights_sha256 preprocessing".split()
)


@FUZZED
@given(metadata=st.dictionaries(KEYS, VALUES | st.sampled_from(["", "input", "beats", [], ["a"]])))
def test_odd_metadata_is_refused_or_said_in_c(metadata: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "odd.qgraph"
    with suppress(LnnEdgeError):
        path.write_bytes(graph_bytes(replace(toy_graph(), metadata=metadata)))
        render_model(generate(load_graph(path), HOST))


def test_a_damaged_journal_is_begun_anew(tmp_path: Path) -> None:
    """Lines of the same key that are no tables, and bytes that are no text."""
    path = tmp_path / "part"
    for line in (b"3", b"[]", b"null", b"\xff", b"{", b""):
        path.write_bytes(b'{"key": "k"}\n' + line + b"\n")
        assert Journal(path, "k").steps == 0
    os.unlink(path)
    os.mkfifo(path)
    with pytest.raises(OSError, match="it is no file"):
        Journal(path, "k")


@pytest.mark.parametrize("name", [b"\xff", b"\xc3"])
def test_an_archive_with_a_name_that_is_no_text_is_refused(name: bytes, tmp_path: Path) -> None:
    """A bit of the directory says that names are UTF-8; zipfile raises a UnicodeDecodeError."""
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\N{LATIN SMALL LETTER E WITH ACUTE}", b"")
    path.write_bytes(
        path.read_bytes().replace("\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), name * 2)
    )
    with pytest.raises(LnnEdgeError, match="is damaged"):
        import_model(path, ImportOptions())
