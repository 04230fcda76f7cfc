"""Folders of PhysioNet as files, each checked by the sums that stand beside them."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lnn_edge.errors import DataError
from lnn_edge.files.disk import raise_if_of_disk
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import write_together

SUMS = "SHA256SUMS.txt"
RETRIES = 2  # of a download that broke off or has another sum
_LINE = re.compile(r"([0-9a-f]{64}) [ *]?(\S+)")


@dataclass(frozen=True)
class Home:
    """Where a data set is published.

    Attributes:
        name: Of the folder it goes to.
        home: Address of its folder, with a slash at the end, or of its archive.
        summary: One line.
        licence: Short name.
        source: Who to cite.
    """

    name: str
    home: str
    summary: str
    licence: str
    source: str


@dataclass(frozen=True)
class Published(Home):
    """A folder of PhysioNet.

    Attributes:
        wanted: Pattern of the files that are brought, by their paths in it.
    """

    wanted: str = r"\w[\w.-]*\.(hea|dat|atr)|RECORDS|ANNOTATORS"


PUBLISHED = {
    p.name: p
    for p in (
        Published(
            "svdb",
            "https://physionet.org/files/svdb/1.0.0/",
            "MIT-BIH Supraventricular Arrhythmia Database, 78 half-hour ECGs at 128 Hz",
            "ODC-By 1.0",
            "Greenwald et al. 1990; Goldberger et al. 2000; doi 10.13026/C2V30W",
        ),
        Published(
            "nstdb",
            "https://physionet.org/files/nstdb/1.0.0/",
            "MIT-BIH Noise Stress Test Database, ECGs with noise added, and the noise",
            "ODC-By 1.0",
            "Moody, Muldrow and Mark 1984; Goldberger et al. 2000; doi 10.13026/C2HS3T",
        ),
        Published(
            "ecg-arrhythmia",
            "https://physionet.org/files/ecg-arrhythmia/1.0.0/",
            "Chapman-Shaoxing and Ningbo, 45,152 12-lead ECGs of ten seconds, 5 GB",
            "CC BY 4.0",
            "Zheng et al. 2020; Goldberger et al. 2000; doi 10.13026/wgex-er52",
            r"WFDBRecords/\d\d/\d{3}/JS\d{5}\.(hea|mat)|ConditionNames_SNOMED-CT\.csv",
        ),
        Published(
            "challenge-2021",
            "https://physionet.org/files/challenge-2021/1.0.3/",
            "PhysioNet/CinC Challenge 2021, 88,253 12-lead ECGs of eight sources, 11 GB",
            "CC BY 4.0",
            "Reyna et al. 2021; Goldberger et al. 2000; doi 10.13026/34va-7q14",
            r"training/[\w-]+/g\d+/\w+\.(hea|mat)",
        ),
        Published(
            "challenge-2012",
            "https://physionet.org/files/challenge-2012/1.0.0/",
            "PhysioNet/CinC Challenge 2012, 12,000 stays in intensive care",
            "ODC-By 1.0",
            "Silva et al. 2012; Goldberger et al. 2000",
            r"set-[abc]/\d+\.txt|Outcomes-[abc]\.txt",
        ),
        Published(
            "ptbxl",
            "https://physionet.org/files/ptb-xl/1.0.3/",
            "PTB-XL, 21,799 12-lead ECGs of ten seconds at 500 Hz",
            "CC BY 4.0",
            "Wagner et al. 2020; Goldberger et al. 2000; doi 10.13026/kfzx-aw45",
            r"records500/\d{5}/\d{5}_hr\.(hea|dat)|ptbxl_database\.csv|scp_statements\.csv",
        ),
    )
}


def fetch_published(
    published: Published, folder: Path, on_file: Callable[[int, int], None]
) -> Path:
    """Download what is not in a folder yet, file by file, each when its sum is right.

    A broken download is taken up at the file where it ended.

    Args:
        published: What.
        folder: Where it goes.
        on_file: Called with (files done, files in all) after each.

    Raises:
        DataError: A file cannot be downloaded or is not the one of the list.
        OSError: The folder, or that of temporary files, cannot be written.
        UsageError: A file that is in the folder is not the published one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        sums = _sums(published, _download(published, SUMS, None))
        for done, (name, digest) in enumerate(sums.items(), start=1):
            if not _is_there(folder / name, digest):
                data = _download(published, name, digest)
                with alone_in(folder):
                    write_together(
                        folder, {name: data}, remedy="move it away, or give another --data-dir"
                    )
            on_file(done, len(sums))
    finally:
        with suppress(OSError):
            folder.rmdir()  # only when nothing is in it
    return folder


def _download(published: Published, name: str, digest: str | None) -> bytes:
    """Return a file of the set; a broken or wrong one is asked for again."""
    import pooch  # takes a third of a second

    pooch.get_logger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as place:
        known = None if digest is None else f"sha256:{digest}"
        home = pooch.create(place, published.home, registry={name: known}, retry_if_failed=RETRIES)
        try:
            return Path(home.fetch(name)).read_bytes()
        except (OSError, ValueError) as error:  # those of requests are OSErrors
            raise_if_of_disk(error, Path(place))
            reason = str(error).split("\n")[0][:160]
            raise DataError(
                f"{published.home}{name} could not be downloaded ({reason}); check the network and "
                "give the same command again: it goes on with this file"
            ) from None


def _sums(published: Published, text: bytes) -> dict[str, str]:
    """Return the sums of the files that are wanted, by name."""
    rows = (_LINE.fullmatch(line) for line in text.decode("utf-8", "replace").splitlines())
    sums = {row[2]: row[1] for row in rows if row is not None}
    wanted = {name: digest for name, digest in sums.items() if re.fullmatch(published.wanted, name)}
    if not wanted:
        raise DataError(f"{published.home}{SUMS} lists no recording; try again later")
    return wanted


def _is_there(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest
