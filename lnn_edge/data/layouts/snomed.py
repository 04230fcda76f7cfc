"""12-lead ECGs of PhysioNet whose headers say SNOMED CT codes: CPSC-2018, Chapman, Challenge 2021.

CPSC-2018: cpsc_2018/g1/A0001.hea. Challenge 2021: training/SOURCE/g1/A0001.hea of eight sources;
https://physionet.org/content/challenge-2021/1.0.3/. Chapman-Shaoxing and Ningbo:
WFDBRecords/01/010/JS00001.hea; https://physionet.org/content/ecg-arrhythmia/1.0.0/. All headers are

    A0001 12 500 7500 05-Feb-2020 11:39:16
    A0001.mat 16+24 1000/mV 16 0 28 -1716 0 I
    #Age: 74
    #Sex: Male
    #Dx: 426783006,164889003

Codes and names after dx_mapping_scored.csv of the Challenge (Reyna et al. 2021), which scores
complete and plain bundle branch blocks, and both names of premature beats, as one; findings that
models of this package know have their names. An incomplete block, or one of an unsaid side, leaves
the finding unknown. No split and no patients were published for any of them: every record
counts as a subject, though PTB and PTB-XL have several records of some people.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from lnn_edge.data.layouts.layout import Layout
from lnn_edge.data.readers import wfdb_record
from lnn_edge.data.readers.reader import Entry, Hints
from lnn_edge.data.record import Record

CPSC2018_LABELS = {
    "426783006": "normal",
    "164889003": "AF",
    "270492004": "1dAVb",
    "164909002": "LBBB",
    "59118001": "RBBB",
    "284470004": "PAC",
    "164884008": "PVC",
    "429622005": "STD",
    "164931005": "STE",
}
LABELS = {
    "164889003": "AF", "164890007": "AFL", "6374002": "BBB", "426627000": "Brady",
    "733534002": "LBBB", "164909002": "LBBB", "713427006": "RBBB", "59118001": "RBBB",
    "270492004": "1dAVb", "713426002": "IRBBB", "39732003": "LAD", "445118002": "LAnFB",
    "251146004": "LQRSV", "698252002": "NSIVCB", "426783006": "NSR", "284470004": "PAC",
    "63593006": "PAC", "10370003": "PR", "365413008": "PRWP", "427172004": "PVC",
    "17338001": "PVC", "164947007": "LPR", "111975006": "LQT", "164917005": "QAb",
    "47665007": "RAD", "427393009": "SA", "426177001": "SB", "427084000": "ST",
    "164934002": "TAb", "59931005": "TInv",
}  # fmt: skip
UNSURE = {"IRBBB": ("RBBB",), "BBB": ("RBBB", "LBBB")}
"""What a label leaves unknown."""
UNASKED = ("SB", "ST")
"""Findings that CPSC-2018 does not tell."""
SOURCES = (
    "chapman_shaoxing", "cpsc_2018", "cpsc_2018_extra", "georgia", "ningbo", "ptb", "ptb-xl",
    "st_petersburg_incart",
)  # fmt: skip

_CPSC2018 = re.compile(r"A\d{4}")


def _named(path: Path, name: str, hints: Hints, labels: Mapping[str, str]) -> Iterator[Record]:
    """Name the codes of a record; one without a name keeps its number."""
    for record in wfdb_record.read(path, name, hints):
        said = tuple(dict.fromkeys(labels.get(code, code) for code in record.labels))
        unsure = dict.fromkeys(u for label in said for u in UNSURE.get(label, ()))
        unsure |= dict.fromkeys(UNASKED if _CPSC2018.fullmatch(path.stem) else ())
        unknown = tuple(u for u in unsure if u not in said)
        yield replace(record, labels=said, unknown=unknown)


def _cpsc_place(folder: Path) -> Path:
    """Return the folder of g1, g2 ...; it may be named, or be inside training/."""
    places = (folder / "cpsc_2018", folder / "training" / "cpsc_2018")
    return next((p for p in places if p.is_dir()), folder)


def _is_cpsc2018(folder: Path) -> bool:
    return any(_cpsc_place(folder).glob("g?/A????.hea"))


def _cpsc2018(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    headers = sorted(_cpsc_place(folder).glob("g?/A????.hea"))
    return tuple(Entry(p.stem, partial(_named, p, p.stem, hints, CPSC2018_LABELS)) for p in headers)


def _is_challenge2021(folder: Path) -> bool:
    """Return whether there is a source besides CPSC-2018, which is read by itself."""
    others = (folder / "training" / source for source in SOURCES if source != "cpsc_2018")
    return any(any(place.glob("g*/*.hea")) for place in others)


def _challenge2021(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    headers = [
        (f"{source}/{path.stem}", path)
        for source in SOURCES
        for path in sorted((folder / "training" / source).glob("g*/*.hea"))
    ]
    return tuple(Entry(name, partial(_named, path, name, hints, LABELS)) for name, path in headers)


def _is_chapman(folder: Path) -> bool:
    return any((folder / "WFDBRecords").glob("??/???/JS?????.hea"))


def _chapman(folder: Path, hints: Hints) -> tuple[Entry, ...]:
    headers = sorted((folder / "WFDBRecords").glob("??/???/JS?????.hea"))
    return tuple(Entry(p.stem, partial(_named, p, p.stem, hints, LABELS)) for p in headers)


CPSC2018 = Layout(
    "CPSC-2018 of PhysioNet",
    "6,877 12-lead ECGs with nine findings, labels in the headers",
    _is_cpsc2018,
    _cpsc2018,
    has_seen_it=False,
    licence="CC BY",
)
CHALLENGE2021 = Layout(
    "Challenge 2021",
    "88,253 12-lead ECGs of eight sources, 26 scored findings in the headers",
    _is_challenge2021,
    _challenge2021,
    has_seen_it=False,
    licence="CC BY",
)
CHAPMAN = Layout(
    "Chapman-Shaoxing and Ningbo",
    "45,152 12-lead ECGs of ten seconds, findings in the headers",
    _is_chapman,
    _chapman,
    has_seen_it=False,
    licence="CC BY",
)
