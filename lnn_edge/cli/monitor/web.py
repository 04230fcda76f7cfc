"""The monitor on a page of this machine: a page, and its events over a WebSocket, by aiohttp.

Who can read the stream: the address holds a token that no other page can guess; the Host header
must name this server, so that no name that resolves to 127.0.0.1 stands in for it; and the Origin
of the WebSocket must be the page's own.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler

from lnn_edge.errors import UsageError
from lnn_edge.verify.monitor.events import Event, Started, document
from lnn_edge.verify.monitor.pace import Pace

HOST = "127.0.0.1"
KEPT, WAITING = 400, 2000  # events: what a page opened late gets, what may wait for a slow one
_LONGEST = 1024  # bytes of a message from the page
_PAGE = Path(__file__).with_name("page.html")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "connect-src {socket}; frame-ancestors 'none'; base-uri 'none'"
)


class MonitorServer:
    """A page that shows events.

    Args:
        pace: Paused from the page.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._token = secrets.token_urlsafe(24)
        self._started: str | None = None
        self._kept: deque[str] = deque(maxlen=KEPT)
        self._pages: dict[web.WebSocketResponse, asyncio.Queue[str]] = {}
        self._origin = ""
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """What a browser opens."""
        return f"{self._origin}/{self._token}/"

    async def open(self, port: int) -> None:
        """Listen, on any free port if it is 0.

        Raises:
            UsageError: The port is taken.
        """
        app = web.Application(middlewares=[self._check])
        app.router.add_get("/{token}/", self._page)
        app.router.add_get("/{token}/events", self._stream)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port).start()
        except OSError:
            raise UsageError(f"port {port} is taken; give another one after --web") from None
        self._origin = f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Send what is waiting, tell the pages that it is over, and end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(q.join() for q in self._pages.values())), 1.0)
        for page in list(self._pages):
            await page.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def show(self, event: Event) -> None:
        """Give an event to every page; one that is too slow misses the oldest."""
        message = json.dumps(document(event), allow_nan=False)
        if isinstance(event, Started):
            self._started = message
        else:
            self._kept.append(message)
        for queue in self._pages.values():
            if queue.full():
                queue.get_nowait()
                queue.task_done()
            queue.put_nowait(message)

    @web.middleware
    async def _check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse a request that does not come by the address in the terminal."""
        token = request.match_info.get("token", "")
        own = self._origin.removeprefix("http://")
        is_known = hmac.compare_digest(token.encode(), self._token.encode())
        if not is_known or request.headers.get("Host") != own:
            raise web.HTTPNotFound
        return await handler(request)

    async def _page(self, _request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(12)
        policy = _POLICY.format(nonce=nonce, socket=self._origin.replace("http", "ws"))
        return web.Response(
            text=_PAGE.read_text(encoding="utf-8").replace("NONCE", nonce),
            content_type="text/html",
            headers={**_HEADERS, "Content-Security-Policy": policy},
        )

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        if request.headers.get("Origin") != self._origin:
            raise web.HTTPForbidden
        page = web.WebSocketResponse(max_msg_size=_LONGEST, heartbeat=10.0)
        await page.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue(WAITING)
        self._pages[page] = queue
        for message in [*filter(None, [self._started]), *self._kept]:
            queue.put_nowait(message)
        sending = asyncio.create_task(_send_all(page, queue))
        try:
            async for asked in page:
                if asked.type == WSMsgType.TEXT and asked.data == "pause":
                    self._pace.toggle()
        finally:
            del self._pages[page]
            sending.cancel()
        return page


async def _send_all(page: web.WebSocketResponse, queue: asyncio.Queue[str]) -> None:
    with suppress(ConnectionError):  # the page was closed
        while True:
            await page.send_str(await queue.get())
            queue.task_done()


@contextmanager
def serve(pace: Pace, port: int) -> Iterator[tuple[str, Callable[[Event], None]]]:
    """Serve a page, in a thread; yield its address and what shows an event on it.

    Args:
        pace: Paused from the page.
        port: Of this machine, 0 for any that is free.

    Raises:
        UsageError: The port is taken.
    """
    loop, server = asyncio.new_event_loop(), MonitorServer(pace)
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    def show(event: Event) -> None:
        loop.call_soon_threadsafe(server.show, event)

    try:
        do(server.open(port))
        yield server.address, show
    finally:
        do(server.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
