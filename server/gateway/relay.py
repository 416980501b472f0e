"""The way back: an upstream's answer carried to the caller, bytes unchanged and at once.

nothing sent ─┬─ head ── chunks ─┬─ end
              │                  └─ broken: a stream gets one error frame, anything else is cut
              ├─ error: ours, as JSON
              └─ remark (SSE comments of a wait) ─┬─ chunks, without the upstream's head
                                                  └─ error: one error frame
Owns what of an answer is out, so that no error is ever written into the middle of one as if it
were a part of it. Refuses to look at what it carries; a `Tap` may.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Send

from server.base.errors import ClientClosed, SparkError, UpstreamError
from server.gateway.model import Operation, Passage, UpstreamResponse
from server.gateway.reply import from_upstream, seconds
from server.gateway.usage.tap import Tap
from server.gateway.wire import Header, error_answer, error_frame, header, response_headers

_ERROR_BYTES = 64 * 1024
# A sick upstream may not finish its sentence; its caller, and whoever could answer instead, wait.
_ERROR_SECONDS = 5.0
_FRAME_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
EVENTS = b"text/event-stream"
_EVENT_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_BODYLESS = frozenset({204, 304})


MakeTap = Callable[[Operation, bytes, bool], Tap | None]


def no_tap(_operation: Operation, _content_type: bytes, _streaming: bool) -> Tap | None:
    """Nothing is counted."""
    return None


class Record(Protocol):
    """Keeps a copy of an answer as it passes; `feed` is quick."""

    def feed(self, chunk: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who sees an answer pass. They change nothing."""

    tap: Tap | None
    record: Record | None = None


class Answer:
    """What one caller is sent. `extra` are headers for its head, whatever that turns out to be."""

    __slots__ = (
        "_last",
        "_passage",
        "_send",
        "_sized",
        "events",
        "extra",
        "finished",
        "named",
        "relayed",
        "started",
    )

    def __init__(self, send: Send, passage: Passage, *, named: bool) -> None:
        self._send = send
        self._passage = passage
        self._last = b""
        self._sized = False
        self.named = named
        self.extra: list[Header] = []
        self.started = False
        self.finished = False
        self.relayed = False
        self.events = False

    async def head(self, status: int, headers: list[Header]) -> None:
        self.started = True
        self._passage.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def remark(self, comment: bytes) -> None:
        """One SSE comment; begins the answer when nothing was sent yet."""
        if not self.started:
            self.events = True
            await self.head(200, _EVENT_HEADERS)
        await self._send({"type": "http.response.body", "body": comment, "more_body": True})

    async def over(self) -> None:
        """The end of a stream that was made of remarks."""
        self.finished = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: list[Header], body: bytes) -> None:
        """An answer of ours in one piece."""
        await self.head(status, headers + self.extra)
        self.finished = True
        self._passage.bytes_out += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def carry(
        self,
        response: UpstreamResponse,
        witnesses: Callable[[int, list[Header], bytes, bool], Witnesses],
        clock: Callable[[], float],
    ) -> None:
        """All of an upstream's answer. The `witnesses` for its status, headers, content type and
        whether it is SSE see each chunk before it is sent."""
        passage, send = self._passage, self._send
        headers = response_headers(response.headers)
        kind = header(headers, b"content-type") or b""
        length = await self._begin(response.status, headers, kind.startswith(EVENTS))
        seen_by = witnesses(response.status, headers, kind, self.events)
        tap, record = seen_by.tap, seen_by.record
        tokens = tap is not None
        size = 0
        async for chunk in response.chunks():
            if not size:
                passage.first_byte = clock()
            size += len(chunk)
            passage.bytes_out = size
            self._last = chunk
            if tap is not None:
                tap.feed(chunk)
                if tokens and tap.first_token:
                    tokens = False
                    passage.first_token = clock()
            if record is not None:
                record.feed(chunk)
            if size == length:
                self.finished = True
            await send({"type": "http.response.body", "body": chunk, "more_body": size != length})
        if not self.finished:
            self.finished = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, status: int, headers: list[Header], events: bool) -> int:
        """Send the head; the length of the body, -1 when it is not told."""
        if self.started:
            if not events:
                raise UpstreamError("It was asked for a stream and answered with something else.")
            self.relayed = True
            return -1
        self.events, self.relayed = events, True
        length = header(headers, b"content-length")
        if status in _BODYLESS and length is not None:
            headers = [(key, value) for key, value in headers if key != b"content-length"]
            length = None
        await self.head(status, headers + self.extra if self.extra else headers)
        self._sized = length is not None
        return int(length) if length is not None and length.isdigit() else -1

    async def fail(self, error: SparkError, request_id: str) -> None:
        """Tell the caller. After the first byte the status is out: a stream gets one frame,
        anything else is cut.

        Cutting means to return without the end of the body: the server then closes the connection
        and the client sees an incomplete answer instead of a short one that looks whole.
        """
        self._passage.error = error.code
        if isinstance(error, ClientClosed) or self.finished:
            if not self.started:
                self._passage.status = error.status
        elif not self.started:
            status, headers, body = error_answer(error, request_id, anthropic=self.named)
            await self.whole(status, headers, body)
        elif self.events and not self._sized:
            frame = last_frame(error, request_id, self._last, named=self.named)
            self.finished = True
            await self._send({"type": "http.response.body", "body": frame, "more_body": False})


def last_frame(error: SparkError, request_id: str, last: bytes, *, named: bool) -> bytes:
    """What ends a broken stream; `last` is the chunk that was sent before it."""
    whole = not last or last.endswith(_FRAME_ENDS)
    return error_frame(error, request_id, named=named, whole=whole)


async def refused(response: UpstreamResponse, name: str, path: str) -> tuple[SparkError, bytes]:
    """Our error for an upstream's status of 400 and above, and what it said."""
    body = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(_ERROR_SECONDS):
            body = await response.read(_ERROR_BYTES)
    lowered = [(key.lower(), value) for key, value in response.headers]
    wait = seconds(header(lowered, b"retry-after"))
    return from_upstream(response.status, body, name, path, wait), body
