"""HAPT as it is published, packed once: RawData, 40 MB of text, becomes hapt_raw.npz beside it.

acc = round(g * 720) and gyro = round(rad/s / 0.00030543), the steps of the phone's sensors.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from lnn_edge.data import uci_har
from lnn_edge.data.layouts import uci_har_text
from lnn_edge.data.published import find_folder
from lnn_edge.data.readers.reader import Hints
from lnn_edge.data.record import Record
from lnn_edge.errors import DataError
from lnn_edge.files.lock import alone_in
from lnn_edge.files.write import write_together

_SUBFOLDERS = ("uci_har", "hapt")  # the second is where `data fetch hapt` puts it


def locate(data_dir: Path | None) -> Path:
    """Find the folder of the packed runs; pack them where only the published texts are.

    Raises:
        DataError: There is neither, the texts are damaged, or the folder cannot be written.
    """
    folder = find_folder(
        uci_har.NAME,
        data_dir,
        lambda f: _is_packed(f) or uci_har_text.RAW.is_it(f),
        f"{uci_har.FILE} or RawData",
        _SUBFOLDERS,
    )
    if not _is_packed(folder):
        _pack(folder)
    return folder


def _is_packed(folder: Path) -> bool:
    return (folder / uci_har.FILE).is_file()


def _pack(folder: Path) -> None:
    entries = uci_har_text.RAW.entries(folder, Hints())
    records = [record for entry in entries for record in entry.read()]
    numbers = {name: i for i, name in uci_har_text.read_names(folder).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **_arrays(records, numbers))
    try:
        with alone_in(folder):
            write_together(folder, {uci_har.FILE: buffer.getvalue()})
    except OSError as error:
        raise DataError(
            f"{folder / uci_har.FILE} cannot be written ({error.strerror}); give a --data-dir that "
            "can be written to"
        ) from None


def _arrays(records: list[Record], numbers: dict[str, int]) -> dict[str, np.ndarray]:
    ends = np.cumsum([0, *(len(r.samples) for r in records)])
    runs = [int(r.name.removeprefix("exp")) for r in records]
    users = [int(r.subject.removeprefix("subject")) for r in records]
    segments = [
        (run, user, numbers[i.label], begin + i.first, begin + i.last + 1)
        for run, user, begin, record in zip(runs, users, ends.tolist(), records, strict=False)
        for i in record.intervals
    ]
    steps = np.concatenate([r.samples for r in records]) * uci_har.STEPS
    limits = np.iinfo(np.int16)
    if not ((steps >= limits.min) & (steps <= limits.max)).all():
        raise DataError("RawData holds values beyond those of the sensors; unpack it again")
    frames = np.rint(steps).astype(np.int16)
    return {
        "acc": frames[:, :3],
        "gyro": frames[:, 3:],
        "exp_id": np.array(runs),
        "exp_user": np.array(users),
        "exp_offset": ends,
        "segments": np.array(segments),
    }
