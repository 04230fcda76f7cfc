"""Writes WFDB records with annotations; no data set is known here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.wfdb_folder import ANNOTATOR
from lnn_edge.errors import DataError
from lnn_edge.files.write import write_whole

FORMAT = "212"
_FORMAT_LIMIT = 2047  # format 212 has 12 bits, and -2048 means "no sample"
_RESOLUTION_BITS = 11
_END = b"\0\0"  # of an annotation file
NOTE = '"'  # symbol of an annotation that is told by its note


@dataclass(frozen=True, eq=False)
class WfdbRecord:
    """What one record holds on disk.

    Attributes:
        name: Letters, digits and underscores.
        adc: Samples, (N, L) integer, -2047..2047.
        fs_hz: Sampling rate.
        leads: L names.
        gain: ADC steps per mV, all leads.
        adc_zero: Sample value that means 0 mV, all leads.
        marks: (M,) sample indices of the annotations, ascending.
        symbols: M annotation symbols of WFDB.
        notes: M auxiliary notes, empty where there is none.
        comments: Lines of the header.
    """

    name: str
    adc: np.ndarray
    fs_hz: float
    leads: tuple[str, ...]
    gain: float
    adc_zero: int
    marks: np.ndarray
    symbols: tuple[str, ...]
    notes: tuple[str, ...]
    comments: tuple[str, ...] = ()


def write_record(folder: Path, record: WfdbRecord) -> None:
    """Write NAME.dat, NAME.atr and NAME.hea, the header last.

    Raises:
        DataError: See record_files.
    """
    files = record_files(record)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_whole(folder / name, data)


def record_files(record: WfdbRecord) -> dict[str, bytes]:
    """Return NAME.dat (format 212), NAME.atr and NAME.hea.

    Raises:
        DataError: A sample does not fit format 212.
    """
    if np.abs(record.adc).max(initial=0) > _FORMAT_LIMIT:
        raise DataError(
            f"record {record.name} has samples beyond {_FORMAT_LIMIT}, the limit of format "
            f"{FORMAT}; lower its gain"
        )
    names = (f"{record.name}.{suffix}" for suffix in ("dat", ANNOTATOR, "hea"))
    with tempfile.TemporaryDirectory() as place:
        _write_signal(Path(place), record)
        _write_marks(Path(place), record)
        return {name: (Path(place) / name).read_bytes() for name in names}


def _write_signal(folder: Path, record: WfdbRecord) -> None:
    count = len(record.leads)
    with wfdb_library() as wfdb:
        out = wfdb.Record(
            record_name=record.name,
            n_sig=count,
            fs=record.fs_hz,
            sig_len=len(record.adc),
            file_name=[f"{record.name}.dat"] * count,
            fmt=[FORMAT] * count,
            adc_gain=[record.gain] * count,
            baseline=[record.adc_zero] * count,
            units=["mV"] * count,
            adc_res=[_RESOLUTION_BITS] * count,
            adc_zero=[record.adc_zero] * count,
            block_size=[0] * count,
            sig_name=list(record.leads),
            d_signal=record.adc.astype(np.int64),
            comments=list(record.comments),
        )
        out.set_d_features()
        out.set_defaults()
        out.wrsamp(write_dir=str(folder))


def _write_marks(folder: Path, record: WfdbRecord) -> None:
    data = annotation_bytes(record.marks, record.symbols, record.notes, record.fs_hz)
    (folder / f"{record.name}.{ANNOTATOR}").write_bytes(data)


def annotation_bytes(
    marks: np.ndarray, symbols: Sequence[str], notes: Sequence[str], rate_hz: float
) -> bytes:
    """Return an annotation file.

    Args:
        marks: (M,) samples, ascending.
        symbols: M symbols of WFDB.
        notes: M auxiliary notes, empty where there is none.
        rate_hz: Samples per second.
    """
    if not len(marks):
        return _END  # which wfdb does not write
    with tempfile.TemporaryDirectory() as place, wfdb_library() as wfdb:
        wfdb.wrann(
            "r",
            ANNOTATOR,
            np.asarray(marks, np.int64),
            symbol=list(symbols),
            aux_note=list(notes),
            fs=rate_hz,
            write_dir=place,
        )
        return (Path(place) / f"r.{ANNOTATOR}").read_bytes()
