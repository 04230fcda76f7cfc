"""What the views of the monitor show of one and the same stream of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import pytest
from textual.widgets import DataTable, Static

from lnn_edge.cli.monitor import terminal
from lnn_edge.cli.monitor.plain import PlainView
from lnn_edge.cli.monitor.terminal import MonitorApp
from lnn_edge.cli.monitor.trace import Trace, braille
from lnn_edge.cli.monitor.web import serve
from lnn_edge.errors import LinkError, UsageError
from lnn_edge.verify.monitor.events import (
    BoardStatus,
    Decided,
    Event,
    LineLost,
    Paused,
    RecordingBegan,
    RecordingEnded,
    Samples,
    Started,
    Waiting,
)
from lnn_edge.verify.monitor.pace import Pace
from tests.support.browser import browse

STARTED = Started(
    "toy", "a board", "virtual", ("MLII", "V5"), ("mV", "mV"), 100.0, ("N", "V"), (), ("N", "V"),
    "instructions", 216_000_000,
)  # fmt: skip
DECIDED = Decided("a <b>record</b>", 150, 1.5, "V", (-300, 1000), (-0.3, 1.0), (), 61_460)
STATUS = BoardStatus(200, 1, 2.0, 91.5, 3, 4, 5, 6, 3736, 7, 8)
WAVE = np.sin(np.arange(400) / 20).reshape(200, 2)
EVENTS: list[Event] = [
    STARTED,
    RecordingBegan("a <b>record</b>", 200),
    Samples(0, WAVE),
    DECIDED,
    LineLost(7, "it must hold numbers only"),
    Waiting(3.2),
    STATUS,
    RecordingEnded("a <b>record</b>", 200, 1),
]


# --- plain lines --------------------------------------------------------------------------------


def test_a_pipe_gets_a_line_for_each_decision(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(as_json=False)
    for event in EVENTS:
        view.show(event)
    out, err = capsys.readouterr()
    assert out == "a <b>record</b>  1.500 s  V  N -0.30  V +1.00  61,460 instructions\n"
    assert err.splitlines() == [
        "toy on a board (virtual)",
        "a <b>record</b>: 200 samples",
        "line 7 is lost: it must hold numbers only",
        "the board has been silent for 3 s; waiting for it",
        "a <b>record</b>: 200 samples, 1 decisions",
    ]


def test_json_is_an_object_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(as_json=True)
    for event in EVENTS:
        view.show(event)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [f["event"] for f in found] == [
        "started", "recording_began", "samples", "decided", "line_lost", "waiting",
        "board_status", "recording_ended",
    ]  # fmt: skip
    assert found[2]["values"] == WAVE.tolist()
    assert found[3]["steps"] == [-300, 1000]


def test_what_is_wrong_with_the_signal_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    names, words = ("signal", "signal MLII", "signal V5"), ("flat", "flat+saturated", "good")
    events = [replace(STARTED, signal=names), replace(DECIDED, signal=words)]
    view = PlainView(as_json=False)
    for event in events:
        view.show(event)
    assert "  V +1.00  signal flat  signal MLII flat+saturated  signal V5 good  61,460" in (
        capsys.readouterr().out
    )
    (row,) = run_app(events).rows
    assert row[3:] == ["-0.30", "+1.00", *words, "61,460"]


# --- the terminal -------------------------------------------------------------------------------


@dataclass
class Screen:
    """What a screen shows."""

    pace: Pace
    is_paused: bool = False
    is_left: bool = False
    said: dict[str, str] = field(default_factory=dict)
    rows: list[list[str]] = field(default_factory=list)
    lines: list[list[float]] = field(default_factory=list)


def run_app(events: list[Event], *keys: str) -> Screen:
    """Show events, press keys, and return what the screen then shows."""
    screen = Screen(Pace())

    async def run() -> None:
        app = MonitorApp(iter(events), screen.pace)
        async with app.run_test(size=(100, 40)) as pilot:
            await app.workers.wait_for_complete()
            await pilot.pause()
            table = app.query_one(DataTable)
            screen.said = {s.id: str(s.content) for s in app.query(Static) if s.id}
            screen.rows = [list(map(str, table.get_row(key))) for key in table.rows]
            screen.lines = [list(trace.values) for trace in app.query(Trace)]
            await pilot.press(*keys)
            await pilot.pause()
            screen.is_paused = screen.pace.is_paused
            screen.is_left = screen.pace.is_stopped

    asyncio.run(run())
    return screen


def test_the_terminal_shows_signal_decisions_and_buffers() -> None:
    screen = run_app(EVENTS[:-1])
    assert screen.rows == [["a <b>record</b>", "1.500 s", "V", "-0.30", "+1.00", "61,460"]]
    assert screen.lines == WAVE.T.tolist()
    said = screen.said
    assert said["title"] == "toy on a board (virtual)"
    assert said["decision"] == "a <b>record</b>  1.500 s  V"
    assert said["status"].startswith("200 samples, 1 decisions, 2.0 x real time, 92 instructions")
    assert "bytes lost in receiving 4, events lost 5, samples missing 6" in said["buffers"]
    assert "silent for 3 s" in said["said"]


def test_a_curve_is_drawn_from_left_to_right_and_upwards() -> None:
    assert braille(np.arange(4.0), 2, 1) == "⣠⠞"
    assert braille(np.array([0.0, 3.0, 0.0, 0.0]), 2, 1) == "⣸⣇"
    assert braille(np.zeros(9), 3, 2) == "⠀⠀⠀\n⣀⣀⣀"
    assert braille(np.zeros(0), 2, 1) == "⠀⠀"


def test_markup_in_a_name_is_text() -> None:
    strange = "[red]x[/red] [/"
    screen = run_app([STARTED, RecordingBegan(strange, 3), replace(DECIDED, recording=strange)])
    assert screen.said["said"] == f"{strange}: 3 samples"
    assert screen.rows[0][0] == strange


@pytest.mark.parametrize(("keys", "paused", "left"), [("p", 1, 0), ("pp", 0, 0), ("pq", 1, 1)])
def test_keys_pause_and_end_the_play(keys: str, paused: int, left: int) -> None:
    screen = run_app(EVENTS, *keys)
    assert (screen.is_paused, screen.is_left) == (paused, left)


def test_the_terminal_keeps_the_newest_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ROWS", 2)
    screen = run_app([STARTED, *(replace(DECIDED, time_s=float(t)) for t in range(4))])
    assert [row[1] for row in screen.rows] == ["2.000 s", "3.000 s"]


def test_an_error_of_the_play_ends_the_terminal() -> None:
    def play() -> Iterator[Event]:
        yield STARTED
        raise LinkError("the board fell silent")

    async def run(app: MonitorApp) -> None:
        async with app.run_test():
            while app.error is None:
                await asyncio.sleep(0.01)

    app = MonitorApp(play(), Pace())
    asyncio.run(run(app))
    assert str(app.error) == "the board fell silent"


# --- the page -----------------------------------------------------------------------------------


def test_a_page_needs_the_address_that_the_terminal_told() -> None:
    async def statuses(address: str) -> dict[str, int]:
        parts = urlsplit(address)
        origin, elsewhere = f"http://{parts.netloc}", {"Host": "evil.example"}
        asked = {
            "right": (address, {}),
            "no token": (f"{origin}/", {}),
            "wrong token": (f"{origin}/{'x' * 32}/", {}),
            "wrong token, events": (f"{origin}/{'x' * 32}/events", {"Origin": origin}),
            "rebound name": (address, elsewhere),
            "no origin": (f"{address}events", {}),
            "wrong origin": (f"{address}events", {"Origin": "http://evil.example"}),
            "other port": (f"{address}events", {"Origin": "http://127.0.0.1:1"}),
        }
        found = {}
        async with aiohttp.ClientSession() as session:
            for name, (url, headers) in asked.items():
                async with session.get(url, headers=headers) as answer:
                    found[name] = answer.status
        return found

    with serve(Pace(), 0) as (address, show):
        show(STARTED)
        found = asyncio.run(statuses(address))
    assert urlsplit(address).hostname == "127.0.0.1"
    assert found == {
        "right": 200, "no token": 404, "wrong token": 404, "wrong token, events": 404,
        "rebound name": 404, "no origin": 403, "wrong origin": 403, "other port": 403,
    }  # fmt: skip


def test_a_page_gets_every_event_and_pauses_the_play() -> None:
    pace = Pace()

    async def listen(address: str, count: int) -> list[dict[str, object]]:
        origin = f"http://{urlsplit(address).netloc}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{address}events", origin=origin) as socket,
        ):
            found = [await socket.receive_json(timeout=20) for _ in range(count)]
            await socket.send_str("pause")
            await socket.send_str("nonsense")
            while not pace.is_paused:
                await asyncio.sleep(0.01)
        return found

    with serve(pace, 0) as (address, show):
        for event in EVENTS:
            show(event)
        found = asyncio.run(listen(address, len(EVENTS)))
    assert [f["event"] for f in found][:4] == ["started", "recording_began", "samples", "decided"]


def test_a_port_that_is_taken_is_refused() -> None:
    with serve(Pace(), 0) as (address, _):
        port = urlsplit(address).port
        with (
            pytest.raises(UsageError, match=f"port {port} is taken"),
            serve(Pace(), port or 0),
        ):
            pass


@pytest.mark.parametrize(("scheme", "paper"), [("light", 255), ("dark", 18)])
def test_a_browser_shows_the_play(tmp_path: Path, scheme: str, paper: int) -> None:
    pace = Pace()

    async def look(address: str, show: object) -> None:
        async with browse(address, tmp_path) as page:
            await page.show(375, 812, scheme)
            await page.until("document.querySelectorAll('#status dd').length > 5")
            rows = await page.value("document.querySelector('#rows').innerText")
            assert rows.split("\t")[:3] == ["a <b>record</b>", "1.500 s", "V"]
            assert "61,460" in rows
            assert await page.value("document.querySelector('#title').innerText") == (
                "toy on a board (virtual)"
            )
            assert await page.value("document.documentElement.scrollWidth") <= 375
            color = await page.value("getComputedStyle(document.body).backgroundColor")
            assert color.startswith(f"rgb({paper}, ")
            await page.until(
                "(d => d.some((v, i) => i % 4 == 3 && v))([...document.querySelector('canvas')"
                ".getContext('2d').getImageData(0, 0, 300, 100).data])"
            )
            await page.value("document.querySelector('#pause').click()")
            while not pace.is_paused:
                await asyncio.sleep(0.01)

    with serve(pace, 0) as (address, show):
        for event in [*EVENTS, Paused(False)]:
            show(event)
        asyncio.run(look(address, show))
