"""PTB-XL in its published layout: leads, findings, folds, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lnn_edge.data import folds, ptbxl
from lnn_edge.data.lazy_records import LazyRecords
from lnn_edge.data.readers.wfdb_record import wfdb_library
from lnn_edge.data.twelve_leads import LEADS
from lnn_edge.errors import DataError
from lnn_edge.tasks.recordings import load_labelled
from tests.cli.command import call, call_json, refusal

COLUMNS = ("ecg_id", "patient_id", "scp_codes", "report", "strat_fold", "filename_hr")
CAPITALS = tuple(lead.upper() for lead in LEADS)
NORMAL = "{'NORM': 100.0, 'SR': 0.0}"


def signals(name: str = "calm") -> np.ndarray:
    """Ten seconds of an invented heart, (5000, 12) int16."""
    (record,) = load_labelled("synthetic-12lead", records=[name])
    return record.frames[:5000]


def write_signals(
    folder: Path,
    stem: str,
    adc: np.ndarray,
    leads: tuple[str, ...] = CAPITALS,
    rate: int = 500,
    gain: float = 1000.0,
) -> None:
    place = folder / stem
    place.parent.mkdir(parents=True, exist_ok=True)
    count = len(leads)
    with wfdb_library() as wfdb:
        wfdb.wrsamp(
            place.name,
            fs=rate,
            units=["mV"] * count,
            sig_name=list(leads),
            d_signal=adc.astype(np.int64),
            fmt=["16"] * count,
            adc_gain=[gain] * count,
            baseline=[0] * count,
            write_dir=str(place.parent),
        )


def stem_of(number: int) -> str:
    return f"records500/00000/{number:05d}_hr"


def row_of(number: int, patient: object, fold: object, codes: str = NORMAL) -> list[str]:
    report = 'sinus rhythm, "normal"\nsecond line; ä'
    return [str(number), str(patient), codes, report, str(fold), stem_of(number)]


def write_table(folder: Path, rows: list[list[str]]) -> Path:
    with (folder / ptbxl.TABLE).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


def write_small(folder: Path, codes: str = NORMAL, **changes: object) -> Path:
    """Write a folder of one record."""
    write_signals(folder, stem_of(1), **({"adc": signals()} | changes))  # type: ignore[arg-type]
    return write_table(folder, [row_of(1, "15709.0", 3, codes)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty records of ten patients, one patient per fold; the signals of the first three."""
    place = tmp_path_factory.mktemp("data") / "ptbxl"
    for number in (1, 2, 3):
        write_signals(place, stem_of(number), signals("fast" if number == 2 else "calm"))
    rows = [row_of(n, f"{1000 + n % 10}.0", n % 10 + 1) for n in range(1, 21)]
    return write_table(place, rows)


def test_a_record_is_as_written(tmp_path: Path) -> None:
    write_small(tmp_path, "{'STACH': 0.0, 'IRBBB': 100.0}")
    (record,) = load_labelled("ptbxl", tmp_path)
    assert (record.name, record.patient, record.duration_s) == ("00001_hr", "ptbxl-15709", 10.0)
    assert record.leads == LEADS
    assert np.array_equal(record.frames, signals())
    assert record.labels.tolist() == [0, -1, 0, 0, 0, 1]


def test_leads_are_put_in_order(tmp_path: Path) -> None:
    turned = [*range(6, 12), *range(6)]
    leads = tuple(LEADS[i].lower() for i in turned)
    write_small(tmp_path, adc=signals()[:, turned], leads=leads)
    assert np.array_equal(load_labelled("ptbxl", tmp_path)[0].frames, signals())


@pytest.mark.parametrize(
    ("codes", "findings"),
    [
        (NORMAL, [0, 0, 0, 0, 0, 0]),
        ("{'1AVB': 0.0, 'CRBBB': 100.0, 'SBRAD': 0.0}", [1, 1, 0, 1, 0, 0]),
        ("{'CLBBB': 15.0, 'AFIB': 0.0, 'STACH': 0.0}", [0, 0, 1, 0, 1, 1]),
        ("{'IRBBB': 100.0, 'ILBBB': 0.0}", [0, -1, -1, 0, 0, 0]),
        ("{'IRBBB': 100.0, 'CRBBB': 35.0, 'ILBBB': 0.0}", [0, 1, -1, 0, 0, 0]),
        ("{'AFLT': 100.0}", [0, 0, 0, 0, 0, 0]),
        ("{}", [0, 0, 0, 0, 0, 0]),
    ],
)
def test_findings_are_statements_whatever_their_likelihood(
    codes: str, findings: list[int], tmp_path: Path
) -> None:
    write_small(tmp_path, codes)
    assert load_labelled("ptbxl", tmp_path)[0].labels.tolist() == findings


def test_splits_are_the_published_folds(folder: Path) -> None:
    assert ptbxl.names_of(folder, "test") == ("00009_hr", "00019_hr")
    assert ptbxl.names_of(folder, "validation", 0) == ("00008_hr", "00018_hr")
    assert ptbxl.names_of(folder, "validation", 8) == ("00010_hr", "00020_hr")
    develop = set(ptbxl.names_of(folder, "develop"))
    assert develop | set(ptbxl.names_of(folder, "test")) == set(ptbxl.names_of(folder, "all"))
    held_out = [name for fold in folds("ptbxl", folder.parent) for name in fold]
    assert sorted(held_out) == sorted(develop)
    for fold in range(ptbxl.FOLD_COUNT):
        parts = [set(ptbxl.names_of(folder, s, fold)) for s in ("train", "validation", "test")]
        assert set.union(*parts) == set(ptbxl.names_of(folder, "all"))
        patients = [{int(name[:5]) % 10 for name in part} for part in parts]
        assert sum(map(len, patients)) == 10  # nobody is in two parts


@pytest.mark.parametrize(("split", "fold"), [("dev", 0), ("train", 9), ("train", -1)])
def test_a_split_that_is_not_there_is_named(split: str, fold: int, folder: Path) -> None:
    with pytest.raises(DataError, match=r"ptbxl has no split .* and a fold from 0 to 8"):
        load_labelled("ptbxl", folder, split, fold=fold)


def test_records_at_hand_are_loaded_and_others_left_out(folder: Path) -> None:
    records = load_labelled("ptbxl", folder.parent)
    assert [r.name for r in records] == ["00001_hr", "00002_hr", "00003_hr"]
    (record,) = load_labelled("ptbxl", folder, "develop", ["00002_hr"])
    assert np.array_equal(record.frames, signals("fast"))
    with pytest.raises(DataError, match="has no record '00004_hr' in this split"):
        load_labelled("ptbxl", folder, records=["00004_hr"])
    with pytest.raises(DataError, match="'00002_hr' is asked for twice"):
        load_labelled("ptbxl", folder, records=["00002_hr", "00002_hr"])


def test_a_damaged_record_is_found_when_it_is_reached(folder: Path, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_signals(tmp_path, stem_of(number), signals())
    write_table(tmp_path, [row_of(n, n, 1, "{" if n == 3 else NORMAL) for n in (1, 2, 3)])
    path = tmp_path / f"{stem_of(2)}.dat"
    path.write_bytes(path.read_bytes()[:-100])
    records = load_labelled("ptbxl", tmp_path)
    assert isinstance(records, LazyRecords)
    assert (len(records), records.names) == (3, ("00001_hr", "00002_hr", "00003_hr"))
    assert records[0].name == records[-3].name == "00001_hr"
    assert records[0] is not records[0]
    with pytest.raises(DataError, match=r"00002_hr.dat does not hold what its header"):
        records[1]
    with pytest.raises(DataError, match=r"scp_codes of ecg_id 3 must be .*, not '\{'"):
        records[2]
    assert [r.name for r in records[:1]] == ["00001_hr"]
    with pytest.raises(IndexError):
        records[3]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 100}, r"00001_hr must have leads .* at 500 Hz .*, not .* at 100 Hz"),
        ({"gain": 200.0}, "at 500 Hz and 200 steps"),
        ({"leads": ("MLII", *CAPITALS[1:])}, "must have leads .* not MLII, II, III"),
        (
            {"leads": CAPITALS[:2], "adc": np.ones((5000, 2), np.int16)},
            "must have leads .* not I, II at",
        ),
    ],
)
def test_signals_of_another_kind_are_refused(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    write_small(tmp_path, **changes)
    with pytest.raises(DataError, match=said):
        load_labelled("ptbxl", tmp_path)[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (row_of(7, "", 3), "patient_id of ecg_id 7 must be a whole number, not ''"),
        (row_of(7, 1, "x"), "strat_fold of ecg_id 7 must be a whole number, not 'x'"),
        (row_of(7, 1, 11), "strat_fold of ecg_id 7 must be 1 to 10, not 11"),
        (row_of(1, 1, 3), "filename_hr of ecg_id 1 must be a name of its own"),
        (["7", "1", NORMAL], "row 2 ends after 3 columns; copy it again"),
    ],
)
def test_a_damaged_row_is_named(row: list[str], said: str, tmp_path: Path) -> None:
    write_table(tmp_path, [row_of(1, 1, 1), row])
    with pytest.raises(DataError, match=said):
        load_labelled("ptbxl", tmp_path)


@pytest.mark.parametrize("codes", ["", "[1]", "['AFIB']", "nan", "{'AFIB': __import__('os')}"])
def test_codes_that_are_no_dict_are_refused(codes: str, tmp_path: Path) -> None:
    write_small(tmp_path, codes)
    with pytest.raises(DataError, match=r"scp_codes of ecg_id 1 must be such as {'NORM'"):
        load_labelled("ptbxl", tmp_path)[0]


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    table = tmp_path / ptbxl.TABLE
    table.write_text("ecg_id,patient_id,scp_codes,filename_hr\n")
    with pytest.raises(DataError, match=r"must have the columns ecg_id, .* and lacks strat_fold"):
        load_labelled("ptbxl", tmp_path)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"is missing or damaged .*; copy it again"):
        load_labelled("ptbxl", tmp_path)


def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DataError, match=r"holds ptbxl_database.csv and the folder records500; give"
    ):
        ptbxl.locate(tmp_path)
    write_table(tmp_path, [row_of(1, 1, 1)])
    with pytest.raises(DataError, match="none of its records of 500 Hz; copy the folder records50"):
        load_labelled("ptbxl", tmp_path)
    with pytest.raises(DataError, match="has no record 1; names are such as 00001_hr"):
        ptbxl.read(tmp_path, ["1"])
    monkeypatch.delenv("LNN_EDGE_DATA", raising=False)
    with pytest.raises(DataError, match="no folder given for ptbxl; give --data-dir or set"):
        load_labelled("ptbxl")


def test_the_command_line_describes_it(folder: Path, tmp_path: Path) -> None:
    infos = call_json("data", "info", "ptbxl", "--data-dir", folder.parent)
    assert [i["name"] for i in infos] == ["00001_hr", "00002_hr", "00003_hr"]
    assert infos[0]["patient"] == "ptbxl-1001"
    assert infos[0]["labels"] == dict.fromkeys(("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST"), 0)
    outcome = call("data", "info", "ptbxl", "--data-dir", folder)
    assert (outcome.code, outcome.err) == (0, "")
    assert all(i["name"] in outcome.out for i in infos)
    assert "ptbxl" in call("data", "list").out
    said = refusal(call("data", "info", "ptbxl", "--data-dir", tmp_path))
    assert said.startswith("neither ")
