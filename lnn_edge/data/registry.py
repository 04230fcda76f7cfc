"""Data sets by name: where they lie, which records a split holds. No file format is known here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lnn_edge.data import (
    cpsc2018,
    embedded,
    hapt_cache,
    mitdb,
    ptbxl,
    svdb,
    synthetic,
    synthetic_activity,
    synthetic_leads,
    synthetic_one_lead,
    tnmg,
    uci_har,
)
from lnn_edge.data.published import DATA_VARIABLE
from lnn_edge.data.record import Record
from lnn_edge.data.wfdb_folder import list_records, read_record
from lnn_edge.errors import DataError
from lnn_edge.files.plugins import load_plugin, plugin_names

GROUP = "lnn_edge.datasets"  # of entry points, each a DataSet
EVERYTHING = "all"
MOST_NAMES = 60  # in a message
Locate = Callable[[], Path]
NamesOf = Callable[[Locate, str, int], tuple[str, ...]]


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        name: What the user types.
        summary: One line.
        splits: Names of its splits, "all" among them.
        fold_count: Number of folds between "train" and "validation".
        names_of: Names of the records of a split in a fold, present or not; a large data set says
            in a table of its folder, only then looked for, who belongs where.
        locate: Folder of the records, from the user's data folder if one was given.
        read: Reads records of the folder by name, all at once or each when it is asked for.
        list_names: Names of the records in the folder.
        task: Name of the task of its labels; "" where nothing tells it.
        part_of: Name of the data set that its recordings are cut from, "" where they are whole.
        is_generated: Whether it is synthetic.
        has_seen_it: Whether its reader was run on the set as published, not on a small folder made
            after its listing alone.
    """

    name: str
    summary: str
    splits: tuple[str, ...]
    fold_count: int
    names_of: NamesOf
    locate: Callable[[Path | None], Path]
    read: Callable[[Path, Sequence[str]], Sequence[Record]]
    list_names: Callable[[Path], tuple[str, ...]]
    task: str = ""
    part_of: str = ""
    is_generated: bool = False
    has_seen_it: bool = True

    @property
    def training_split(self) -> str:
        """The split that a model learns from: all but the test set where there is one."""
        return "develop" if "develop" in self.splits else EVERYTHING


def load_records(
    name: str,
    data_dir: str | Path | None = None,
    split: str = EVERYTHING,
    records: Iterable[str] | None = None,
    fold: int = 0,
) -> Sequence[Record]:
    """Load recordings as they are in their files; see tasks.recordings.load_labelled.

    Raises:
        DataError: The data set, split, or a record is missing or damaged.
        MissingToolError: A package that reads the data set's files is not installed.
    """
    dataset = find_dataset(name)
    locate = partial(_locate, dataset, data_dir)
    members = dataset.names_of(locate, split, fold)
    folder = locate()
    return dataset.read(folder, _select(dataset, folder, members, records))


def folds(name: str, data_dir: str | Path | None = None) -> tuple[tuple[str, ...], ...]:
    """Return the names of the validation records of every fold of a data set.

    Args:
        name: As for load_labelled.
        data_dir: As for load_labelled.

    Raises:
        DataError: There is no such data set, or it is not in the folder.
    """
    dataset = find_dataset(name)
    locate = partial(_locate, dataset, data_dir)
    return tuple(dataset.names_of(locate, "validation", fold) for fold in range(dataset.fold_count))


def find_dataset(name: str) -> DataSet:
    """Return a data set by name, of this or another package, or the folder of that path as one.

    Raises:
        DataError: The name is neither.
        UsageError: The other package is broken.
    """
    if name in DATASETS:
        return DATASETS[name]
    added = load_plugin(GROUP, name, DataSet)
    if isinstance(added, DataSet):
        return added
    if Path(name).is_dir():
        return _folder_dataset(Path(name))
    known = ", ".join((*DATASETS, *plugin_names(GROUP)))
    raise DataError(
        f"there is no data set {name!r}; take one of {known} "
        f"or the path of a folder with WFDB records"
    )


def _locate(dataset: DataSet, data_dir: str | Path | None) -> Path:
    return dataset.locate(Path(data_dir) if data_dir is not None else None)


def _select(
    dataset: DataSet, folder: Path, members: tuple[str, ...], records: Iterable[str] | None
) -> tuple[str, ...]:
    """Name the wanted records that are there."""
    at_hand = set(dataset.list_names(folder))
    names = tuple(name for name in members if name in at_hand)
    if not names:
        raise DataError(
            f"{folder} holds none of the wanted records of {dataset.name} "
            f"({_listed(members)}); give the right folder with --data-dir"
        )
    if records is None:
        return names
    wanted, known, seen = tuple(records), set(names), set()
    for name in wanted:
        if name in seen:
            raise DataError(f"record {name!r} is asked for twice; name each record once")
        if name not in known:
            raise DataError(
                f"{dataset.name} has no record {name!r} in this split; "
                f"{folder} holds {_listed(names)}"
            )
        seen.add(name)
    return wanted


def _listed(names: Sequence[str]) -> str:
    """Return names for a message, the middle left out of a long list."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMES - 1])} ... {names[-1]}"


def _mitdb_folder(data_dir: Path | None) -> Path:
    """Find the folder of MIT-BIH: DIR/mitdb, or DIR itself."""
    place = data_dir or os.environ.get(DATA_VARIABLE)
    if not place:
        raise DataError(
            f"no folder given for mitdb; give --data-dir or set {DATA_VARIABLE}, "
            f"or get the records with `lnn-edge data fetch mitdb --data-dir DIR`"
        )
    given = Path(place)
    for folder in (given / mitdb.NAME, given):
        if any(folder.glob("*.hea")):
            return folder
    raise DataError(
        f"{given} holds no WFDB record, nor does {given / mitdb.NAME}; "
        f"get them with `lnn-edge data fetch mitdb --data-dir {given}`"
    )


def _folder_dataset(folder: Path) -> DataSet:
    return DataSet(
        str(folder),
        "a folder with WFDB records",
        (EVERYTHING,),
        0,
        lambda locate, split, fold: _folder_names(locate(), split),
        lambda data_dir: folder,
        _read_ecg,
        list_records,
    )


def _in_any_folder(names_of: Callable[[str, int], tuple[str, ...]]) -> NamesOf:
    """Return the names of a data set that are known without its folder, which is not looked for."""
    return lambda _locate, split, fold: names_of(split, fold)


def _by_table(names_of: Callable[[Path, str, int], tuple[str, ...]]) -> NamesOf:
    """Return the names of a data set whose folder holds a table of them."""
    return lambda locate, split, fold: names_of(locate(), split, fold)


def _read_ecg(folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    return tuple(read_record(folder, name) for name in names)


def _read_mitdb(folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    return tuple(mitdb.read(folder, name) for name in names)


def _read_pieces(folder: Path, names: Sequence[str]) -> tuple[Record, ...]:
    patients = [mitdb.patient_of(name.split("_")[0]) for name in names]
    pairs = zip(names, patients, strict=True)
    return tuple(read_record(folder, name, who) for name, who in pairs)


def _folder_names(folder: Path, split: str) -> tuple[str, ...]:
    if split != EVERYTHING:
        raise DataError(f"the folder {folder} has no split {split!r}; take {EVERYTHING!r}")
    return list_records(folder)


DATASETS = {
    mitdb.NAME: DataSet(
        mitdb.NAME,
        "MIT-BIH Arrhythmia Database, 48 half-hour ECGs of 47 patients, ODC-By",
        mitdb.SPLITS,
        len(mitdb.FOLDS),
        _in_any_folder(mitdb.names_of),
        _mitdb_folder,
        _read_mitdb,
        list_records,
        task="beats",
    ),
    svdb.NAME: DataSet(
        svdb.NAME,
        "MIT-BIH Supraventricular Arrhythmia Database, 78 half-hour ECGs at 360 Hz, ODC-By",
        svdb.SPLITS,
        svdb.FOLD_COUNT,
        _in_any_folder(svdb.names_of),
        svdb.locate,
        svdb.read,
        list_records,
        task="beats",
    ),
    cpsc2018.NAME: DataSet(
        cpsc2018.NAME,
        "China Physiological Signal Challenge 2018, 12-lead ECGs with nine findings, CC BY",
        cpsc2018.SPLITS,
        cpsc2018.FOLD_COUNT,
        _in_any_folder(cpsc2018.names_of),
        cpsc2018.locate,
        cpsc2018.read,
        cpsc2018.list_names,
        task="findings",
    ),
    ptbxl.NAME: DataSet(
        ptbxl.NAME,
        "PTB-XL, 21,799 12-lead ECGs of ten seconds with their findings, CC BY",
        ptbxl.SPLITS,
        ptbxl.FOLD_COUNT,
        _by_table(ptbxl.names_of),
        ptbxl.locate,
        ptbxl.read,
        ptbxl.list_names,
        task="findings",
        has_seen_it=False,
    ),
    tnmg.NAME: DataSet(
        tnmg.NAME,
        "Telehealth Network of Minas Gerais, 12-lead ECGs with six findings, as CODE-15 %",
        tnmg.SPLITS,
        tnmg.FOLD_COUNT,
        _by_table(tnmg.names_of),
        tnmg.locate,
        tnmg.read,
        tnmg.list_names,
        task="findings",
        has_seen_it=False,
    ),
    synthetic.NAME: DataSet(
        synthetic.NAME,
        "generated ECG of 12 invented patients, 5 minutes each, after McSharry et al. 2003",
        synthetic.SPLITS,
        1,
        _in_any_folder(synthetic.names_of),
        synthetic.ensure_dataset,
        _read_ecg,
        list_records,
        is_generated=True,
        task="beats",
    ),
    embedded.NAME: DataSet(
        embedded.NAME,
        "six one-minute pieces of MIT-BIH test records, part of the package, ODC-By",
        embedded.SPLITS,
        0,
        _in_any_folder(embedded.names_of),
        lambda data_dir: embedded.folder_of_pieces(),
        _read_pieces,
        list_records,
        part_of=mitdb.NAME,
        task="beats",
    ),
    uci_har.NAME: DataSet(
        uci_har.NAME,
        "HAPT, the raw signals of UCI HAR: a phone at the waist of 30 persons, no commercial use",
        uci_har.SPLITS,
        uci_har.FOLD_COUNT,
        _in_any_folder(uci_har.names_of),
        hapt_cache.locate,
        uci_har.read,
        uci_har.list_names,
        task="activity",
    ),
    synthetic_activity.NAME: DataSet(
        synthetic_activity.NAME,
        "generated motion of 12 invented persons, 5 minutes each: no data of anybody",
        synthetic_activity.SPLITS,
        1,
        _in_any_folder(synthetic_activity.names_of),
        lambda data_dir: Path(),
        synthetic_activity.read,
        lambda folder: synthetic_activity.names_of("all"),
        is_generated=True,
        task="activity",
    ),
    synthetic_leads.NAME: DataSet(
        synthetic_leads.NAME,
        "generated 12-lead ECGs of 4 invented hearts, 13 s each: no data of anybody",
        ("all",),
        0,
        _in_any_folder(synthetic_leads.names_of),
        lambda data_dir: Path(),
        synthetic_leads.read,
        lambda folder: synthetic_leads.names_of("all"),
        is_generated=True,
        task="findings",
    ),
    synthetic_one_lead.NAME: DataSet(
        synthetic_one_lead.NAME,
        "generated single-lead ECGs of 4 invented hearts, 30 s each: no data of anybody",
        ("all",),
        0,
        _in_any_folder(synthetic_one_lead.names_of),
        lambda data_dir: Path(),
        synthetic_one_lead.read,
        lambda folder: synthetic_one_lead.names_of("all"),
        is_generated=True,
        task="rhythm",
    ),
}
