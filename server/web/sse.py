"""The event stream: a snapshot first, then what changes, heartbeats between, a word at the end.

Owns the wire form of Server-Sent Events and the life of one subscription. A reader that falls
behind gets the newest of each thing, then a new snapshot. Events carry keys and values, never HTML.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.base.bus import RESYNC, EventBus, Subscription

KINDS = frozenset({"swap", "host", "service", "model", "job", "notice"})
SNAPSHOT = "snapshot"
HEARTBEAT = b": heartbeat\n\n"
_RETRY = b"retry: 2000\n\n"


def frame(kind: str, data: Mapping[str, Any], seq: int) -> bytes:
    """One event. JSON has no bare newlines, so one `data:` line is always enough."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (seq, kind.encode("ascii"), orjson.dumps(data))


class EventStream(Response):
    """An endless answer. `snapshot` is called after subscribing, so that nothing falls between."""

    media_type = "text/event-stream"

    def __init__(
        self,
        bus: EventBus,
        snapshot: Callable[[], Mapping[str, Any]],
        *,
        heartbeat_seconds: float,
        kinds: frozenset[str] | None = None,
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._bus = bus
        self._snapshot = snapshot
        self._heartbeat_seconds = heartbeat_seconds
        self._kinds = kinds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._bus.subscribe(self._kinds) as events:
            watcher = asyncio.create_task(leave(receive, events))
            try:
                start = {"status": self.status_code, "headers": self.raw_headers}
                await send({"type": "http.response.start", **start})
                await self._tell(events, send)
                if not watcher.done():
                    await self._farewell(send)
            finally:
                watcher.cancel()
                await asyncio.wait({watcher})

    async def _tell(self, events: Subscription, send: Send) -> None:
        await _body(send, _RETRY + self._first())
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_seconds):
                    event = await anext(events)
            except TimeoutError:
                await _body(send, HEARTBEAT)
            except StopAsyncIteration:
                return
            else:
                resync = event.kind == RESYNC
                await _body(
                    send, self._first() if resync else frame(event.kind, event.data, event.seq)
                )

    def _first(self) -> bytes:
        return frame(SNAPSHOT, self._snapshot(), self._bus.seq)

    async def _farewell(self, send: Send) -> None:
        notice = {
            "level": "info",
            "code": "shutting_down",
            "message": "Spark Control is shutting down; engines go on. Connect again in a moment.",
        }
        await send(
            {
                "type": "http.response.body",
                "body": frame("notice", notice, self._bus.seq),
                "more_body": False,
            }
        )


async def _body(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def leave(receive: Receive, events: Subscription) -> None:
    """The reader is gone: end the iteration it was waiting in."""
    while (await receive())["type"] != "http.disconnect":
        pass
    events.close()
