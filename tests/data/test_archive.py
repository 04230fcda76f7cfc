"""Archives from a local server that breaks off, goes on, and sends what was not published."""

from __future__ import annotations

import errno
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lnn_edge.data import archive
from lnn_edge.data import fetch as fetching
from lnn_edge.data.archive import ARCHIVES, PART
from lnn_edge.data.open_records import find_records
from lnn_edge.errors import DataError
from tests.cli.command import call_json

WORDS = {
    "bed/aa_nohash_0.wav": b"bed" * 4000,
    "yes/bb_nohash_0.wav": b"yes" * 4000,
    "validation_list.txt": b"bed/aa_nohash_0.wav\n",
    "testing_list.txt": b"yes/bb_nohash_0.wav\n",
}


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


WORDS_TAR = tar_of(WORDS)


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return buffer.getvalue()


@dataclass
class Server:
    """What is sent, what was asked for, and how often it breaks off."""

    data: bytes = b""
    breaks: int = 0
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    monkeypatch.setattr(archive, "CHUNK", 1)  # else nothing of a small file is kept

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            found.asked.append(wanted)
            first = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
            rest = found.data[first:]
            self.send_response(416 if wanted and not rest else 206 if wanted else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if found.breaks:
                found.breaks -= 1
                rest = rest[: len(rest) // 2]
            self.wfile.write(rest)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{http.server_address[1]}/"
    speech, har = ARCHIVES["speech-commands"], ARCHIVES["uci-har"]
    monkeypatch.setitem(ARCHIVES, "uci-har", replace(har, home=home + "har.zip"))
    whole = replace(speech, home=home + "words.tar.gz",
                    sha256=hashlib.sha256(WORDS_TAR).hexdigest())  # fmt: skip
    monkeypatch.setitem(ARCHIVES, "speech-commands", whole)
    yield found
    http.shutdown()
    http.server_close()


def files_in(folder: Path) -> dict[str, bytes]:
    paths = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def test_what_breaks_off_goes_on_at_its_byte(server: Server, tmp_path: Path) -> None:
    server.data, server.breaks = WORDS_TAR, 2
    seen: list[tuple[int, int]] = []
    folder = fetching.fetch("speech-commands", tmp_path, lambda *at: seen.append(at))
    assert files_in(folder) == WORDS
    half = len(server.data) // 2
    assert server.asked == ["", f"bytes={half}-", f"bytes={half + (len(server.data) - half) // 2}-"]
    assert seen[-1] == (len(server.data),) * 2
    assert [e.name for e in find_records(folder).entries] == ["bed/aa_nohash_0", "yes/bb_nohash_0"]
    fetching.fetch("speech-commands", tmp_path)
    assert len(server.asked) == 3  # what is there is kept


def test_what_stays_broken_is_taken_up_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.data, server.breaks = WORDS_TAR, 3
    with pytest.raises(
        DataError, match=r"could not be downloaded .* goes on where it ended"
    ) as said:
        fetching.fetch("speech-commands", tmp_path)
    assert "\n" not in str(said.value)
    assert 0 < (tmp_path / "speech-commands" / PART).stat().st_size < len(server.data)
    assert files_in(fetching.fetch("speech-commands", tmp_path)) == WORDS


def test_a_full_disk_keeps_what_was_downloaded(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.data = WORDS_TAR

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive.shutil, "copyfileobj", full)
        with pytest.raises(DataError, match=r"could not be unpacked .*what was downloaded is kept"):
            fetching.fetch("speech-commands", tmp_path)
    assert (tmp_path / "speech-commands" / PART).read_bytes() == WORDS_TAR
    assert files_in(fetching.fetch("speech-commands", tmp_path)) == WORDS


def test_an_interrupted_unpacking_is_taken_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.data, whole, moved = WORDS_TAR, Path.rename, []

    def one_only(path: Path, to: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(to)
        return whole(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", one_only)
        with pytest.raises(KeyboardInterrupt):
            fetching.fetch("speech-commands", tmp_path)
    assert files_in(fetching.fetch("speech-commands", tmp_path)) == WORDS


def test_another_checksum_is_refused_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.data = tar_of({"bed/x.wav": b"other"})
    with pytest.raises(DataError, match="its checksum is not the published one"):
        fetching.fetch("speech-commands", tmp_path)
    assert not (tmp_path / "speech-commands").exists()
    assert len(server.asked) == 3


def test_archives_inside_are_unpacked_and_a_folder_of_everything_is_found(
    server: Server, tmp_path: Path
) -> None:
    inner = {f"UCI HAR Dataset/{p}/Inertial Signals/a.txt": b"1" for p in ("train", "test")}
    inner["__MACOSX/._x"] = b"mac"
    server.data = zip_of({"UCI HAR Dataset.zip": zip_of(inner), "UCI HAR Dataset.names": b"n"})
    found = call_json("data", "fetch", "uci-har", "--data-dir", tmp_path)
    assert (found["licence"], found["source"]) == ("no commercial use", "Anguita et al. 2013")
    folder = tmp_path / "uci-har"
    assert set(files_in(folder)) == {*list(inner)[:2], "UCI HAR Dataset.names"}
    assert find_records(folder).format == "UCI HAR, Inertial Signals"


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_names_outside_the_folder_are_refused(name: str, server: Server, tmp_path: Path) -> None:
    server.data = zip_of({"good": b"1", name: b"2"})
    with pytest.raises(DataError, match="which lies outside of it"):
        fetching.fetch("uci-har", tmp_path / "data")
    assert list(tmp_path.rglob("*evil*")) == []
    assert not (tmp_path / "data" / "uci-har").exists()


def test_a_damaged_archive_is_one_sentence(server: Server, tmp_path: Path) -> None:
    server.data = zip_of({"a": bytes(1000)})[:-30]
    with pytest.raises(DataError, match=r"is damaged .* downloads it anew") as said:
        fetching.fetch("uci-har", tmp_path)
    assert "\n" not in str(said.value)
