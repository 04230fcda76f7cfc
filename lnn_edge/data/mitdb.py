"""The MIT-BIH Arrhythmia Database and its split by patient. No folder is searched here.

Source: Moody and Mark 2001, IEEE EMB Magazine 20(3):45-50; doi 10.13026/C2F305. Split DS1/DS2:
de Chazal, O'Dwyer and Reilly 2004, IEEE Trans Biomed Eng 51(7):1196-1206.
"""

from __future__ import annotations

from pathlib import Path

from lnn_edge.data.record import Record
from lnn_edge.data.wfdb_folder import read_record
from lnn_edge.errors import DataError

NAME = "mitdb"
# fmt: off
DS1 = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
)
DS2 = (
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
)
# fmt: on
PACED = ("102", "104", "107", "217")
SPLITS = ("develop", "train", "validation", "test", "all")

# Validation sets of the cross-validation inside DS1. Five patients (209, 201, 207, 118, 220) hold
# 86 % of its S beats and six (208, 106, 223, 119, 203, 207) 81 % of its V beats. Each fold gets at
# least one of both sorts, so that a score per class means something in every fold:
#   fold    N     S     V    F   beats of
#   1   10,740   397   565    4   5 records
#   2   11,392   205 1,132   18   6 records
#   3   12,892   209   817    3   6 records
#   4   10,842   133 1,274  390   5 records
FOLDS = (
    ("209", "106", "112", "230", "114"),
    ("201", "223", "115", "119", "122", "108"),
    ("207", "118", "116", "203", "101", "109"),
    ("220", "208", "124", "205", "215"),
)
_SAME_PERSON = {"201": "201-202", "202": "201-202"}


def names_of(split: str, fold: int = 0) -> tuple[str, ...]:
    """Name the records of a split, present or not.

    Args:
        split: "develop" is DS1; "train" and "validation" are its two parts in a fold; "test" is
            DS2, "all" is both. The paced records 102, 104, 107 and 217 are in none.
        fold: Index into FOLDS, for "train" and "validation".

    Raises:
        DataError: There is no such split or fold.
    """
    if split not in SPLITS or not 0 <= fold < len(FOLDS):
        raise DataError(
            f"MIT-BIH has no split {split!r} with fold {fold}; take one of {', '.join(SPLITS)} "
            f"and a fold from 0 to {len(FOLDS) - 1}"
        )
    whole = {"develop": DS1, "test": DS2, "all": DS1 + DS2}
    if split in whole:
        return whole[split]
    return tuple(name for name in DS1 if (name in FOLDS[fold]) == (split == "validation"))


def patient_of(name: str) -> str:
    """Name the patient of a record: 201 and 202 are one person."""
    return _SAME_PERSON.get(name, name)


def read(data_dir: Path, name: str) -> Record:
    """Read one record.

    Raises:
        DataError: The record is missing or damaged.
    """
    return read_record(data_dir, name, patient_of(name))
