"""Brings data sets into a folder: each from its home, or generated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

from lnn_edge.data import mitdb, synthetic
from lnn_edge.data.archive import ARCHIVES, fetch_archive
from lnn_edge.data.physionet import PUBLISHED, Home, fetch_published
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.wfdb_folder import ANNOTATOR, read_record
from lnn_edge.errors import DataError
from lnn_edge.files.disk import raise_if_of_disk
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import write_together

HOME = "https://physionet.org/content/mitdb/1.0.0/"
_SUFFIXES = ("dat", ANNOTATOR, "hea")
FETCHABLE = (mitdb.NAME, *PUBLISHED, *ARCHIVES, synthetic.NAME)
OnRecord = Callable[[int, int], None]


def fetch(name: str, data_dir: Path, on_record: OnRecord = lambda done, total: None) -> Path:
    """Bring a data set into DIR/NAME and return that folder; what is there already is kept.

    Args:
        name: One of FETCHABLE.
        data_dir: Where the folder NAME is made.
        on_record: Called with (records, files or bytes done, those in all) after each.

    Raises:
        DataError: There is nothing to fetch of that name, or no network.
        OSError: The folder cannot be written.
    """
    if name == synthetic.NAME:
        return _fetch_synthetic(data_dir, on_record)
    if name == mitdb.NAME:
        return fetch_mitdb(data_dir / mitdb.NAME, on_record)
    if name in PUBLISHED:
        return fetch_published(PUBLISHED[name], data_dir / name, on_record)
    if name in ARCHIVES:
        return fetch_archive(ARCHIVES[name], data_dir / name, on_record)
    raise DataError(f"{name!r} cannot be fetched; take one of {', '.join(FETCHABLE)}")


def home_of(name: str) -> Home | None:
    """Return where a data set is published and under which terms; None where that is not told."""
    return PUBLISHED.get(name) or ARCHIVES.get(name)


def fetch_mitdb(folder: Path, on_record: OnRecord = lambda done, total: None) -> Path:
    """Download the records of DS1 and DS2 that are not in the folder, one by one.

    Each record is moved into the folder when its three files are complete, so a broken download is
    taken up where it ended.

    Raises:
        DataError: A record cannot be downloaded.
        OSError: The folder cannot be written.
        UsageError: A file that is in the folder is not the one of MIT-BIH.
    """
    names = mitdb.names_of("all")
    for index, name in enumerate(names):
        if not all((folder / f"{name}.{suffix}").is_file() for suffix in _SUFFIXES):
            _download_or_explain(folder, name)
        on_record(index + 1, len(names))
    return folder


def _download_or_explain(folder: Path, name: str) -> None:
    try:
        _download(folder, name)
    except (OSError, ValueError, DataError) as error:  # errors of requests are OSErrors
        with suppress(OSError):
            folder.rmdir()  # only when nothing is in it
        raise_if_of_disk(error, folder)
        reason = str(error).split("\n")[0][:160]
        raise DataError(
            f"record {name} of MIT-BIH could not be downloaded to {folder} ({reason}); check the "
            f"network, or copy the records from {HOME} and give their folder with --data-dir"
        ) from error


def _download(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as place:
        with wfdb_library() as wfdb, redirect_stdout(StringIO()):  # dl_database prints
            wfdb.dl_database(mitdb.NAME, place, records=[name], annotators=[ANNOTATOR])
        read_record(Path(place), name)  # complete and undamaged, or an error
        paths = [Path(place) / f"{name}.{suffix}" for suffix in _SUFFIXES]
        files = {path.name: path.read_bytes() for path in paths}
    with alone_in(folder):
        write_together(folder, files, remedy="move it away, or give another --data-dir")


def _fetch_synthetic(data_dir: Path, on_record: OnRecord) -> Path:
    folder = synthetic.find_folder(data_dir)
    if not synthetic.is_current(folder):
        synthetic.write_dataset(folder, on_record=on_record)
    return folder
