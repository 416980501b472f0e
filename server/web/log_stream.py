"""The log of one swap as an event stream: the kept end first, then each line as it is heard.

Owns the pace: a reader gets what is new at most a few times a second, in one piece, and who is slow
misses what the ring has dropped meanwhile (`first` says so). The swap's own events tell that there
is something new; nothing is read from a host for a reader.
"""

import asyncio
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.base.bus import Subscription
from server.swap.model import SwapRecord
from server.web.api.views import log_view
from server.web.parts import Parts
from server.web.sse import HEARTBEAT, frame, leave


class LogStream(Response):
    """Ends, with an `end` event, when the swap has."""

    media_type = "text/event-stream"

    def __init__(
        self, parts: Parts, record: SwapRecord, *, heartbeat_seconds: float, most: int
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._parts = parts
        self._record = record
        self._heartbeat_seconds = heartbeat_seconds
        self._most = most
        self._next = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._parts.bus.subscribe(frozenset({"swap"})) as events:
            watcher = asyncio.create_task(leave(receive, events))
            try:
                start = {"status": self.status_code, "headers": self.raw_headers}
                await send({"type": "http.response.start", **start})
                await self._tell(events, send)
                with suppress(OSError):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                watcher.cancel()
                await asyncio.wait({watcher})

    async def _tell(self, events: Subscription, send: Send) -> None:
        while not await self._news(send):
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat_seconds):
                        event = await anext(events)
                except TimeoutError:
                    await send(_body(HEARTBEAT))
                except StopAsyncIteration:
                    return
                else:
                    if event.key in {"", self._record.id}:
                        break

    async def _news(self, send: Send) -> bool:
        """Whether that was the end."""
        swaps = self._parts.swaps
        record = await swaps.get(self._record.id)
        log = await swaps.log(record.id)
        if log.next > self._next or self._next == 0:
            body = log_view(record, log, self._next, self._most)
            self._next = log.next
            await send(_body(frame("log", body, log.next)))
        if record.state.final:
            end = {"id": record.id, "state": record.state.value}
            await send(_body(frame("end", end, log.next)))
        return record.state.final


def _body(data: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": True}
