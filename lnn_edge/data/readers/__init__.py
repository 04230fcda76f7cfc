"""Readers of other people's recordings: one file a format, one interface (reader.py)."""

from lnn_edge.data.readers import (
    csv_file,
    edf_file,
    hdf5_file,
    mat_file,
    npy_file,
    parquet_file,
    wfdb_record,
)

READERS = (
    wfdb_record.READER,
    csv_file.READER,
    parquet_file.READER,
    npy_file.READER,
    edf_file.READER,
    hdf5_file.READER,
    mat_file.READER,
)
