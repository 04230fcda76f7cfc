"""Fetching: complete records or none, and one sentence without a network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from lnn_edge.data import fetch as fetching
from lnn_edge.data import mitdb, synthetic
from lnn_edge.errors import DataError, UsageError
from lnn_edge.tasks.recordings import load_labelled
from tests.cli.command import untouched
from tests.support.wfdb_files import write_small

Download = Callable[..., None]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Callable[[Download], None]:
    """Put a download in the place of wfdb's."""

    def put(download: Download) -> None:
        @contextmanager
        def library():  # type: ignore[no-untyped-def]
            yield SimpleNamespace(dl_database=download)

        monkeypatch.setattr(fetching, "wfdb_library", library)

    return put


def serve(_name: str, folder: str, records: list[str], annotators: list[str]) -> None:
    print("wfdb prints while it downloads")
    for record in records:
        write_small(Path(folder), record)
    assert annotators == ["atr"]


def test_mitdb_arrives_record_by_record(
    tmp_path: Path, home: Callable[[Download], None], capsys: pytest.CaptureFixture[str]
) -> None:
    home(serve)
    write_small(tmp_path / "mitdb", "101")
    kept = (tmp_path / "mitdb" / "101.dat").stat().st_mtime_ns
    seen: list[tuple[int, int]] = []
    folder = fetching.fetch("mitdb", tmp_path, lambda *at: seen.append(at))
    assert folder == tmp_path / "mitdb"
    assert seen == [(i, 44) for i in range(1, 45)]
    assert len(load_labelled("mitdb", tmp_path)) == len(mitdb.names_of("all"))
    assert (folder / "101.dat").stat().st_mtime_ns == kept
    assert len(list(folder.iterdir())) == 3 * 44
    assert capsys.readouterr().out == ""


def test_a_download_replaces_no_file(tmp_path: Path, home: Callable[[Download], None]) -> None:
    home(serve)
    folder = tmp_path / "mitdb"
    folder.mkdir()
    (folder / "101.hea").write_text("mine")
    with untouched(tmp_path), pytest.raises(UsageError) as caught:
        fetching.fetch("mitdb", tmp_path)
    assert str(caught.value) == (
        f"{folder}/101.hea is there and holds something else; move it away, or give another "
        "--data-dir"
    )
    (folder / "101.hea").unlink()
    fetching.fetch("mitdb", tmp_path)
    assert len(list(folder.iterdir())) == 3 * 44


@pytest.mark.parametrize("error", [ConnectionError("no such host\nat all"), ValueError("no list")])
def test_no_network_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, home: Callable[[Download], None], error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    home(fail)
    with pytest.raises(DataError, match=r"record 101 .* check the network, or copy") as caught:
        fetching.fetch("mitdb", tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_broken_download_leaves_no_half_record(
    tmp_path: Path, home: Callable[[Download], None]
) -> None:
    def half(_name: str, folder: str, records: list[str], annotators: list[str]) -> None:
        serve(_name, folder, records, annotators)
        if records == ["106"]:
            (Path(folder) / "106.atr").unlink()

    home(half)
    with pytest.raises(DataError, match="record 106 of MIT-BIH could not be downloaded"):
        fetching.fetch("mitdb", tmp_path)
    assert sorted(p.name for p in (tmp_path / "mitdb").iterdir()) == [
        "101.atr",
        "101.dat",
        "101.hea",
    ]


def test_synthetic_is_generated_once(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(2):
        fetching.fetch("synthetic", tmp_path, lambda done, _total: seen.append(done))
    assert seen == list(range(1, 13))
    assert synthetic.is_current(tmp_path / "synthetic")


def test_other_data_sets_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'excerpts' cannot be fetched; take one of mitdb"):
        fetching.fetch("excerpts", tmp_path)
