"""Recordings with annotated beats, from WFDB folders, MIT-BIH, excerpts or the synthetic set."""

from lnn_edge.data.recording import CLASSES, NOT_SCORED, Recording
from lnn_edge.data.registry import DATASETS, describe, folds, load_dataset

__all__ = [
    "CLASSES",
    "DATASETS",
    "NOT_SCORED",
    "Recording",
    "describe",
    "folds",
    "load_dataset",
]
