"""Data sets that their home offers as one archive: taken up where it broke off, then unpacked."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lnn_edge.data.physionet import Home
from lnn_edge.errors import DataError
from lnn_edge.files.disk import is_of_disk, raise_if_of_disk
from lnn_edge.files.lock import alone_in

MOST_BYTES = 1 << 35  # of all files unpacked
MOST_FILES = 500_000
PART = ".fetching"  # what has arrived of the archive
CHUNK = 1 << 20
_RETRIES = 2
_WAIT_S = 60
_UCI = "https://archive.ics.uci.edu/static/public/"
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class Archive(Home):
    """A data set in one file.

    Attributes:
        sha256: Of the file; "" where its home publishes none.
    """

    sha256: str = ""


def _uci(name: str, file: str, summary: str, source: str, licence: str = "CC BY 4.0") -> Archive:
    return Archive(name, _UCI + file, summary, licence, source)


ARCHIVES = {
    a.name: a
    for a in (
        Archive(
            "cinc2017",
            "https://physionet.org/files/challenge-2017/1.0.0/training2017.zip",
            "CinC Challenge 2017, 8,528 hand-held ECGs with a rhythm each",
            "ODC-By 1.0",
            "Clifford et al. 2017; Goldberger et al. 2000",
        ),
        _uci(
            "hapt",
            "341/smartphone+based+recognition+of+human+activities+and+postural+transitions.zip",
            "HAPT, the raw signals of UCI HAR, 30 people at 50 Hz",
            "Reyes-Ortiz et al. 2016",
            "no commercial use",
        ),
        _uci(
            "uci-har",
            "240/human+activity+recognition+using+smartphones.zip",
            "UCI HAR, windows of 128 samples of 30 people at 50 Hz",
            "Anguita et al. 2013",
            "no commercial use",
        ),
        _uci(
            "pamap2",
            "231/pamap2+physical+activity+monitoring.zip",
            "PAMAP2, motion sensors on 9 people at 100 Hz",
            "Reiss and Stricker 2012",
        ),
        _uci(
            "opportunity",
            "226/opportunity+activity+recognition.zip",
            "Opportunity, body-worn sensors of 4 people at 30 Hz",
            "Roggen et al. 2010",
        ),
        _uci(
            "person-activity",
            "196/localization+data+for+person+activity.zip",
            "Localization Data for Person Activity, 5 people at irregular times",
            "Kaluza et al. 2010",
        ),
        Archive(
            "speech-commands",
            "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            "Speech Commands v0.02, 105,829 spoken words at 16 kHz, 2.3 GB",
            "CC BY 4.0",
            "Warden 2018",
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
    )
}


def fetch_archive(archive: Archive, folder: Path, on_bytes: OnBytes) -> Path:
    """Download an archive and unpack it into a folder, unless there is something in it.

    A broken download is taken up at the byte where it ended. Archives inside are unpacked too.

    Args:
        archive: What.
        folder: Where it goes.
        on_bytes: Called with (bytes there, bytes in all) as they arrive.

    Raises:
        DataError: It cannot be downloaded, is not the published one, or is damaged.
        OSError: The folder cannot be written.
        UsageError: Somebody else writes to the folder.
    """
    part = folder / PART  # there until all of it is unpacked
    if not part.exists() and folder.is_dir() and any(p.name[0] != "." for p in folder.iterdir()):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with alone_in(folder):
            _download(archive, part, on_bytes)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as place:
                _unpack(archive.home, part, Path(place))
                for path in sorted(Path(place).iterdir()):
                    if not (folder / path.name).exists():  # else moved before it was interrupted
                        path.rename(folder / path.name)
            part.unlink()
    finally:
        with suppress(OSError):
            folder.rmdir()  # only when nothing is in it
    return folder


def _download(archive: Archive, part: Path, on_bytes: OnBytes) -> None:
    """Bring the whole archive, checked, into a file that may hold its beginning."""
    import requests  # takes a third of a second

    for left in range(_RETRIES, -1, -1):
        try:
            _go_on(archive.home, part, on_bytes)
            if archive.sha256 and _digest(part) != archive.sha256:
                part.unlink()
                raise ValueError("its checksum is not the published one")
            return
        except (requests.RequestException, OSError, ValueError) as error:
            raise_if_of_disk(error, part.parent)
            reason = str(error).split("\n")[0][:160]
            if not left:
                raise DataError(
                    f"{archive.home} could not be downloaded ({reason}); check the network and "
                    "give the same command again: it goes on where it ended"
                ) from None


def _go_on(url: str, part: Path, on_bytes: OnBytes) -> None:
    import requests

    there = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={there}-"} if there else {}
    with requests.get(url, headers=headers, stream=True, timeout=_WAIT_S) as answer:
        if there and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # all of it is there
        answer.raise_for_status()
        is_rest = answer.status_code == requests.codes.partial_content
        there = there if is_rest else 0
        total = there + int(answer.headers.get("Content-Length", 0))
        with part.open("ab" if is_rest else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                there += len(chunk)
                on_bytes(there, max(total, there))
        if there < total:
            raise ValueError(f"it broke off after {there:,} of {total:,} bytes")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(url: str, path: Path, place: Path) -> None:
    try:
        with path.open("rb") as file:
            _write_all(_members(file, url), place)
            for inner in sorted(place.rglob("*.zip")):
                with inner.open("rb") as packed:
                    _write_all(_members(packed, inner.name), inner.parent)
                inner.unlink()
    except (OSError, ValueError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile,
            RuntimeError, NotImplementedError) as error:  # fmt: skip
        reason = str(error).split("\n")[0][:160]
        if is_of_disk(error):
            raise DataError(
                f"{url} could not be unpacked ({reason}); make room and give the same command "
                "again: what was downloaded is kept"
            ) from None
        path.unlink()
        raise DataError(
            f"{url} is damaged ({reason}); give the same command again, which downloads it anew"
        ) from None


def _members(file: IO[bytes], name: str) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield name, size and content of each plain file in an archive."""
    if name.endswith(".tar.gz"):
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield member.name, member.size, content
        return
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as content:
                    yield info.filename, info.file_size, content


def _write_all(members: Iterator[tuple[str, int, IO[bytes]]], place: Path) -> None:
    total = count = 0
    for name, size, content in members:
        parts = PurePosixPath(name).parts
        if "__MACOSX" in parts:
            continue
        total, count = total + size, count + 1
        if total > MOST_BYTES or count > MOST_FILES:
            raise ValueError(f"it holds over {MOST_BYTES:,} bytes or {MOST_FILES:,} files")
        if not parts or any(p in ("..", "/") or "\\" in p or p[0] == "/" for p in parts):
            raise ValueError(f"it holds {name[:60]!r}, which lies outside of it")
        path = place.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(content, file, CHUNK)
