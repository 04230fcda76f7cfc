"""SavedModels of Keras 2: equal to the library, and bad folders are said in one sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.errors import DataError, LnnEdgeError
from lnn_edge.nn.from_keras import saved_model
from lnn_edge.nn.from_keras.checkpoint import Checkpoint
from lnn_edge.nn.from_keras.saved_model import DATA, INDEX, METADATA
from lnn_edge.nn.importer import import_model
from lnn_edge.nn.ncps import ImportOptions
from tests.support.keras.saved_model import make

FOLDERS = {"window": 40, "stream": None}
PLACE = Path(make.__file__).parent
NEAR = 1e-5


def distance(folder: Path, hop: int | None) -> float:
    """Return the largest difference from what Keras gave."""
    model = import_model(folder, ImportOptions(hop=hop))
    with np.load(folder / "outputs.npz") as stored:
        x, wanted = stored["x"].astype(float), stored["y"]
    return float(np.abs(model.run(x).reshape(wanted.shape) - wanted).max())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_gives_what_keras_gave(name: str) -> None:
    assert distance(PLACE / name, FOLDERS[name]) < NEAR


def test_variables_in_another_order_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = saved_model._keys

    def swapped(*arguments: object) -> list[str]:
        found = keys(*arguments)  # type: ignore[arg-type]
        return [found[1], found[0], *found[2:]] if len(found) == 4 else found

    monkeypatch.setattr(saved_model, "_keys", swapped)
    assert distance(PLACE / "window", 40) > NEAR


@pytest.mark.slow
def test_what_is_saved_now_is_read_as_well(tmp_path: Path) -> None:
    keras = pytest.importorskip("tf_keras", reason="tf_keras, which needs TensorFlow, is missing")
    for build, hop in ((make.window, 40), (make.stream, None)):
        folder = tmp_path / build.__name__
        make.save(*build(keras), folder)
        assert distance(folder, hop) < NEAR


# --- bad folders --------------------------------------------------------------------------------


def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PLACE / "window", tmp_path / "model"))


@pytest.mark.parametrize("file", [METADATA, INDEX, DATA])
def test_a_file_that_is_missing_is_named(file: str, tmp_path: Path) -> None:
    folder = copy(tmp_path)
    (folder / file).unlink()
    named = rf"no SavedModel of Keras 2 \({Path(file).name}: No such file"
    with pytest.raises(DataError, match=named):
        import_model(folder, ImportOptions(hop=40))


DAMAGE: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "cut metadata": (METADATA, lambda raw: raw[:-100], "a field is cut off"),
    "no metadata": (METADATA, lambda raw: b"", "names no model"),
    "cut index": (INDEX, lambda raw: raw[:-20], "does not end as an index does"),
    "cut data": (DATA, lambda raw: raw[: len(raw) // 2], "variables.data is cut off"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_said(case: str, tmp_path: Path) -> None:
    file, damage, message = DAMAGE[case]
    folder = copy(tmp_path)
    (folder / file).write_bytes(damage((folder / file).read_bytes()))
    with pytest.raises(DataError, match=rf"model is damaged \(.*{message}\); save the model again"):
        import_model(folder, ImportOptions(hop=40))


def number(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + number(high) if high else bytes([low])


def index_of(inner: bytes, times: int) -> bytes:
    """Return an index that leads to one block so many times."""
    first = inner + bytes(4)
    place = number(0) + number(len(first))
    entries = (number(0) + number(1) + number(len(place)) + b"k" + place) * times + bytes(4)
    footer = number(0) * 2 + number(len(first) + 5) + number(len(entries))
    magic = bytes.fromhex("57fb808b247547db")
    return first + bytes(5) + entries + bytes(5) + footer.ljust(40, b"\0") + magic


def test_an_index_cannot_hold_more_than_its_bytes() -> None:
    inner = (number(0) + number(1) + number(0) + b"a") * 100
    assert list(Checkpoint(index_of(inner, 1), b"").entries) == ["a"]
    with pytest.raises(ValueError, match="lie in each other"):
        Checkpoint(index_of(inner, 100), b"")
    key = number(0) + number(4096) + number(0) + b"a" * 4096
    assert len(Checkpoint(index_of(key, 1), b"").entries) == 1
    longer = key + number(4096) + number(1) + number(0) + b"a"
    with pytest.raises(ValueError, match="more than 4096 bytes"):
        Checkpoint(index_of(longer, 1), b"")


@pytest.mark.parametrize("file", [METADATA, INDEX, DATA])
def test_no_byte_leads_to_anything_but_a_sentence(file: str, tmp_path: Path) -> None:
    folder, rng = copy(tmp_path), np.random.default_rng(0)
    raw, said = (folder / file).read_bytes(), list[str]()
    for _ in range(60):
        bad = bytearray(raw)
        for place in rng.integers(0, len(raw), 3):
            bad[place] = rng.integers(256)
        (folder / file).write_bytes(bad)
        try:
            import_model(folder, ImportOptions(hop=40))
        except LnnEdgeError as error:
            said.append(str(error))
    assert said or file == DATA
    assert all(0 < len(sentence) < 500 for sentence in said)
