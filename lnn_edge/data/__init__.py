"""Recordings: data sets by name, and files and folders of any format that is read."""

from lnn_edge.data.record import Record
from lnn_edge.data.registry import DATASETS, folds, load_records

__all__ = ["DATASETS", "Record", "folds", "load_records"]
