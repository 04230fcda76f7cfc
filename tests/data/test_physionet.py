"""Downloads from a local server that breaks off, sends what is not in its list, and recovers."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lnn_edge.data import fetch as fetching
from lnn_edge.data.open_records import find_records, read_records
from lnn_edge.data.physionet import PUBLISHED, RETRIES, SUMS
from lnn_edge.errors import DataError, UsageError
from tests.cli.command import call, call_json, refusal, untouched
from tests.support.wfdb_files import write_small


@dataclass
class Server:
    """Files, how often each was asked for, and which answers are spoiled for how long."""

    files: dict[str, bytes]
    asked: Counter[str] = field(default_factory=Counter)
    broken: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)

    def answer(self, name: str) -> tuple[bytes, int]:
        """Return what is sent, and how many bytes are promised."""
        self.asked[name] += 1
        data = self.files[name]
        if self.asked[name] <= self.broken.get(name, 0):
            return data[: len(data) // 2], len(data)
        if self.asked[name] <= self.wrong.get(name, 0):
            return b"\0" * len(data), len(data)
        return data, len(data)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve two small recordings as svdb."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("800", "801"):
        write_small(source, name)
    files = {p.name: p.read_bytes() for p in sorted(source.iterdir())}
    files |= {"RECORDS": b"800\n801\n", "notes.pdf": b"pdf"}
    lines = [f"{hashlib.sha256(data).hexdigest()} {name}" for name, data in files.items()]
    lines += [f"{'0' * 64} ../evil.hea", f"{'0' * 64} sub/deep.dat", "no sum at all"]
    found = Server({**files, SUMS: "\n".join(lines).encode()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data, promised = found.answer(self.path.rpartition("/")[2])
            self.send_response(200)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{http.server_address[1]}/svdb/"
    monkeypatch.setitem(PUBLISHED, "svdb", replace(PUBLISHED["svdb"], home=home))
    yield found
    http.shutdown()
    http.server_close()


def test_recordings_arrive_and_are_read(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = fetching.fetch("svdb", tmp_path / "data", lambda *at: seen.append(at))
    assert seen == [(i, 7) for i in range(1, 8)]
    assert [r.name for r in read_records(find_records(folder))] == ["800", "801"]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        name: data for name, data in server.files.items() if name not in (SUMS, "notes.pdf")
    }
    fetching.fetch("svdb", tmp_path / "data")
    assert server.asked[SUMS] == 2
    assert server.asked.total() == 7 + 2  # nothing came twice but the list


def test_what_breaks_off_or_is_wrong_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.broken, server.wrong = {"800.dat": RETRIES}, {"801.dat": 1}
    folder = fetching.fetch("svdb", tmp_path / "data")
    assert (server.asked["800.dat"], server.asked["801.dat"]) == (RETRIES + 1, 2)
    assert (folder / "800.dat").read_bytes() == server.files["800.dat"]


@pytest.mark.parametrize("trouble", ["broken", "wrong"])
def test_what_stays_wrong_is_one_sentence_and_the_next_call_goes_on(
    trouble: str, server: Server, tmp_path: Path
) -> None:
    setattr(server, trouble, {"801.dat": 99})
    with pytest.raises(DataError, match=r"801.dat could not be downloaded .* goes on") as caught:
        fetching.fetch("svdb", tmp_path / "data")
    assert "\n" not in str(caught.value)
    there = {p.name for p in (tmp_path / "data" / "svdb").iterdir()}
    assert there
    assert "801.dat" not in there
    before = server.asked.copy()
    setattr(server, trouble, {})
    fetching.fetch("svdb", tmp_path / "data")
    assert all(server.asked[name] == before[name] for name in there)


def test_a_file_of_the_users_stays(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "svdb"
    folder.mkdir(parents=True)
    (folder / "800.hea").write_text("mine")
    with pytest.raises(UsageError, match=r"800.hea is there and holds something else"):
        fetching.fetch("svdb", tmp_path / "data")
    assert (folder / "800.hea").read_text() == "mine"


def test_a_list_without_recordings_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files[SUMS] = b"<html>busy</html>"
    with untouched(tmp_path / "source"), pytest.raises(DataError, match="lists no recording"):
        fetching.fetch("svdb", tmp_path / "data")
    assert not (tmp_path / "data" / "svdb").exists()


def test_the_command_says_the_licence(server: Server, tmp_path: Path) -> None:
    outcome = call("data", "fetch", "svdb", "--data-dir", tmp_path / "a")
    assert outcome.code == 0
    assert "licence ODC-By 1.0; cite Greenwald" in " ".join(outcome.out.split())
    found = call_json("data", "fetch", "svdb", "--data-dir", tmp_path / "a")
    assert (found["licence"], found["folder"]) == ("ODC-By 1.0", str(tmp_path / "a" / "svdb"))
    server.broken = {SUMS: 99}
    said = refusal(call("data", "fetch", "svdb", "--data-dir", tmp_path / "b"))
    assert f"{SUMS} could not be downloaded" in said


def test_the_list_says_whose_reader_never_saw_the_real_set() -> None:
    said = call("data", "list").out
    assert "HAPT, RawData" in said
    assert "never saw the real set" in said
    assert "EDF (.edf)" in said or "EDF" in said
    listed = call_json("data", "list")
    assert {"CinC 2017"} <= {x.get("layout") for x in listed if x.get("has_seen_it")}
    homes = {x["fetch"]: x["licence"] for x in listed if "fetch" in x}
    assert {"svdb", "nstdb", "ecg-arrhythmia", "challenge-2021", "challenge-2012", "ptbxl",
            "cinc2017", "hapt", "uci-har", "pamap2", "opportunity", "person-activity",
            "speech-commands"} == set(homes)  # fmt: skip
    assert all(homes.values())


def test_wanted_files_of_subfolders_are_known_by_their_paths() -> None:
    def wants(name: str, path: str) -> bool:
        return re.fullmatch(PUBLISHED[name].wanted, path) is not None

    assert wants("svdb", "800.hea")
    assert not wants("svdb", "sub/800.hea")
    assert wants("ecg-arrhythmia", "WFDBRecords/01/010/JS00001.mat")
    assert wants("challenge-2021", "training/ptb-xl/g1/HR00001.hea")
    assert not wants("challenge-2021", "training/../g1/HR00001.hea")
    assert wants("challenge-2012", "set-a/132539.txt")
    assert wants("ptbxl", "records500/00000/00001_hr.dat")
    assert not wants("ptbxl", "records100/00000/00001_lr.dat")
