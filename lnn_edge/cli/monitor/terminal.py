"""The monitor in a terminal: signal, decisions and buffers, by Textual."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Footer, Label, Static

from lnn_edge.cli.monitor.trace import Trace
from lnn_edge.cli.monitor.words import (
    buffer_line,
    columns,
    decision_cells,
    sentence,
    status_line,
)
from lnn_edge.verify.monitor.events import BoardStatus, Decided, Event, Samples, Started
from lnn_edge.verify.monitor.pace import Pace

SHOWN_S, SHOWN = 4.0, 720  # of the signal: seconds, or samples where there is no rate
ROWS = 500  # decisions that can be scrolled back to
CSS = """
#signals { height: 2fr; padding: 0 1; }
#signals Trace { height: 1fr; min-height: 1; color: $primary-lighten-2; }
#signals Label { color: $text-muted; }
#decision { padding: 0 1; text-style: bold; }
#decisions { height: 3fr; }
#status, #buffers, #said { height: auto; padding: 0 1; }
#buffers { color: $text-muted; }
"""


class MonitorApp(App[None]):
    """Shows events.

    Args:
        events: Taken in a thread.
        pace: Paused by p.
    """

    CSS = CSS
    TITLE = "lnn-edge monitor"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("p", "pause", "Pause"),
        ("q", "leave", "Quit"),
        ("ctrl+c", "leave", "Quit"),
    ]

    def __init__(self, events: Iterator[Event], pace: Pace) -> None:
        super().__init__()
        self._events, self._pace = events, pace
        self._started: Started | None = None
        self.error: BaseException | None = None

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static(id="title", markup=False)
        yield Vertical(id="signals")
        yield Static(id="decision", markup=False)
        yield DataTable(id="decisions", cursor_type="none")
        yield Static(id="status", markup=False)
        yield Static(id="buffers", markup=False)
        yield Static(id="said", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self._take()

    def on_unmount(self) -> None:
        """Let the thread end."""
        self._pace.stop()

    @work(thread=True, exclusive=True)
    def _take(self) -> None:
        try:
            for event in self._events:
                self.call_from_thread(self._show, event)  # type: ignore[arg-type]
        except Exception as error:
            if not self._pace.is_stopped:  # else the view has left in the middle of an event
                self.error = error
                self.call_from_thread(self.exit)

    async def _show(self, event: Event) -> None:
        match event:
            case Started():
                await self._begin(event)
            case Samples():
                self._draw(event)
            case Decided() if self._started is not None:
                self._add(self._started, event)
            case BoardStatus() if self._started is not None:
                self._tell("#status", status_line(self._started, event))
                self._tell("#buffers", buffer_line(event))
        said = sentence(event)
        if said:
            self._tell("#title" if isinstance(event, Started) else "#said", said)

    async def _begin(self, started: Started) -> None:
        self._started = started
        kept = round(SHOWN_S * started.rate_hz) if started.rate_hz else SHOWN
        for channel, unit in zip(started.channels, started.units, strict=True):
            name = Label(f"{channel} ({unit})" if unit else channel, markup=False)
            await self.query_one("#signals").mount(name, Trace(kept))
        self.query_one(DataTable).add_columns(*(Text(c) for c in columns(started)))

    def _draw(self, samples: Samples) -> None:
        for trace, values in zip(self.query(Trace), samples.values.T, strict=True):
            trace.add(values)

    def _add(self, started: Started, decided: Decided) -> None:
        table, cells = self.query_one(DataTable), decision_cells(started, decided)
        table.add_row(*(Text(cell) for cell in cells))
        if table.row_count > ROWS:
            table.remove_row(next(iter(table.rows)))
        table.scroll_end(animate=False)
        self._tell("#decision", "  ".join(c for c in cells[:3] if c))

    def _tell(self, place: str, text: str) -> None:
        self.query_one(place, Static).update(text)

    def action_pause(self) -> None:
        """Pause, or go on."""
        self._pace.toggle()

    def action_leave(self) -> None:
        """End the play, then the view."""
        self._pace.stop()
        self.exit()


def run(events: Iterator[Event], pace: Pace) -> None:
    """Show events until they end and the user leaves.

    Raises:
        LnnEdgeError: What the play ended with.
    """
    app = MonitorApp(events, pace)
    app.run()
    if app.error is not None:
        raise app.error
