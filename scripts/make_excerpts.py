"""Cuts the embedded excerpts out of the MIT-BIH records: make_excerpts.py MITDB_FOLDER.

Samples and annotations are copied unchanged; sample numbers restart at 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lnn_edge.data.embedded import LENGTH_S, PIECES, folder_of_pieces, name_of_piece
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.synthetic import RATE_HZ
from lnn_edge.data.wfdb_folder import ANNOTATOR
from lnn_edge.data.wfdb_writer import WfdbRecord, write_record
from lnn_edge.files.write import write_whole


def cut_piece(source: Path, record: str, start_s: int) -> WfdbRecord:
    """Read one minute of a record with every annotation in it."""
    start, stop = start_s * RATE_HZ, (start_s + LENGTH_S) * RATE_HZ
    stem = str(source / record)
    with wfdb_library() as wfdb:
        signal = wfdb.rdrecord(stem, sampfrom=start, sampto=stop, physical=False)
        marks = wfdb.rdann(stem, ANNOTATOR, sampfrom=start, sampto=stop - 1, shift_samps=True)
    return WfdbRecord(
        name_of_piece(record, start_s),
        signal.d_signal,
        signal.fs,
        tuple(signal.sig_name),
        signal.adc_gain[0],
        signal.baseline[0],
        marks.sample,
        tuple(marks.symbol),
        tuple(note.rstrip("\0") for note in marks.aux_note),
        (f"Excerpt of MIT-BIH record {record}, from {start_s} s on; see NOTICE",),
    )


def main() -> None:
    """Write all pieces into the package."""
    target = folder_of_pieces()
    for record, start_s in PIECES:
        write_record(target, cut_piece(Path(sys.argv[1]), record, start_s))
    names = [name_of_piece(*piece) for piece in PIECES]
    write_whole(target / "RECORDS", "\n".join(names) + "\n")


if __name__ == "__main__":
    main()
