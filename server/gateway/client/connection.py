"""One connection of the pool: HTTP/1.1 spoken strictly, one request at a time.

    idle ──begin──> head ──head complete──> body ──message complete──> idle (or closed)
                     │ ^                     │
                     └─┘ 1xx                 └─ close of the peer: the end of an answer that has
                                                neither length nor chunks, else it broke

Owns parsing, flow control in both directions and the decision whether this connection may carry
another request. Refuses whatever two readers could take for two things: that is an error and the
end of the connection, never a shorter answer. Anything that comes while it is idle ends it.
A streamed request body is sent by a task of its own, since the answer may come before its end: a
refusal (3xx and above) stops it, an answer that goes on does not.
A whole answer whose head is byte for byte the last one's is not parsed again (`again`).
"""

import asyncio
from collections.abc import AsyncIterable
from contextlib import aclosing
from enum import Enum
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from server.gateway.client.again import Again, known
from server.gateway.client.answer import Taker
from server.gateway.client.failure import broke, malformed, no_answer, too_slow
from server.gateway.client.request import measured
from server.gateway.client.sockets import uploading
from server.gateway.wire import Header

HEAD_BYTES = 64 * 1024
"""Longest head, and the most that may come between two parts of a body (chunk extensions, 1xx,
trailers)."""
HEADERS = 256
HIGH_WATER = 256 * 1024
"""Nothing more is read from the upstream while its reader has this much before it."""
_JOINED_BYTES = 64 * 1024
_INTERIM = frozenset({100, 102, 103})
_TRIES = 8
"""How many heads in a row may be new before it is no longer looked whether they come again."""


class _Phase(Enum):
    IDLE = 0
    HEAD = 1
    BODY = 2
    WHOLE = 3


class _Refused(Exception):
    """Raised through the parser, which then is of no use any more."""


class Home(Protocol):
    """Whom the connection belongs to."""

    def released(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """`since` is when something last happened here, in the loop's time. `stale`: the peer ended it
    without a byte written back to the request under way."""

    def __init__(self, key: str, home: Home, loop: asyncio.AbstractEventLoop) -> None:
        self.key = key
        self.since = loop.time()
        self.stale = False
        self.upload: asyncio.Task[None] | None = None
        self._home = home
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._answer: Taker | None = None
        self._phase = _Phase.IDLE
        self._headers: list[Header] = []
        self._overhead = 0
        self._status = 0
        self._bodyless = False
        self._chunked = False
        self._sized = False
        self._keep = False
        self._once = False
        self._used_up = False
        self._large = False
        self._silent = True
        self._patience: float | None = None
        self._asked = self.since  # since when it is the upstream's turn to begin its answer
        self._paused = False
        self._drained: asyncio.Future[None] | None = None
        # The head of the last whole answer, as bytes and as headers.
        self._again: Again | None = None
        self._heard: list[Header] = []
        self._tries = _TRIES

    # Of the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._home.lost(self)
        self.resume_writing()
        answer = self._answer
        if answer is None:
            return
        to_the_end = self._phase is _Phase.BODY and not self._chunked and not self._sized
        self._detach()
        if to_the_end and exc is None:
            answer.end()
        else:
            self.stale = self._silent
            answer.fail(broke(answer.name))

    def pause_writing(self) -> None:
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self._abort()
            return
        first, self._silent = self._silent, False
        self.since = self._loop.time()
        if first and self._is_again(data):
            return
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if self._phase is not _Phase.WHOLE:
                self._fail(malformed(answer.name))
                return
            self._keep = False
        answer = self._answer  # Whoever took it may have given it to somebody else.
        if answer is None:
            return
        if self._phase is _Phase.WHOLE:
            if first and self._tries:
                self._remember(data)
            self._finish(answer)
        elif self._overhead > HEAD_BYTES:
            self._fail(malformed(answer.name))
        else:
            answer.wake()
            if answer.size >= HIGH_WATER and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()

    # A head that comes again.

    def _remember(self, data: bytes) -> None:
        """`data` was the whole of an answer: its head may be that of the next one as well."""
        self._tries -= 1
        good = self._status == 200 and self._sized and not self._chunked and not self._bodyless
        self._again = known(data) if good and self._keep and not self._used_up else None

    def _is_again(self, data: bytes) -> bool:
        """Whether `data` was the whole of an answer with the last one's head, which is over now.
        The parser stands between two messages and notices nothing."""
        again = self._again
        if again is None or self._bodyless or self.upload is not None:
            return False
        body = again.body(data)
        if body is None or self._answer is None:
            return False
        self._tries = _TRIES
        self._keep, self._phase = True, _Phase.BODY
        length = b"%d" % len(body)
        self._answer.begin(
            200,
            [
                (name, length if name.lower() == b"content-length" else value)
                for name, value in self._heard
            ],
        )
        answer = self._answer  # Whoever took it may have given it to somebody else, or up.
        if answer is not None:
            answer.feed(body)
            self._phase = _Phase.WHOLE
            self._finish(answer)
        return True

    # Of the parser.

    def on_message_begin(self) -> None:
        if self._phase is not _Phase.HEAD:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is not _Phase.HEAD:
            self._used_up = True  # A trailer: the parser may hold on to its last one.
            return
        self._headers.append((name, value))
        if len(name) == 17 and name.lower() == b"transfer-encoding":
            if self._chunked or value.strip().lower() != b"chunked":
                raise _Refused
            self._chunked = True
        elif len(name) == 14 and name.lower() == b"content-length":
            self._sized = True

    def on_headers_complete(self) -> None:
        if self._phase is not _Phase.HEAD:
            return
        parser, headers = self._parser, self._headers
        status = self._status = parser.get_status_code()
        self._headers, self._heard = [], headers
        if len(headers) > HEADERS or (
            self._overhead > HEAD_BYTES
            and sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_BYTES
        ):
            raise _Refused
        if status < 200:
            if status not in _INTERIM or self._chunked or self._sized:
                raise _Refused
            return
        self._keep = parser.should_keep_alive()
        if self._chunked or not self._keep:
            self._check_version(parser.get_http_version())
        self._phase = _Phase.BODY
        answer = self._answer
        if answer is None:
            raise _Refused
        answer.begin(status, headers)
        if self.upload is not None and status >= 300:
            self._stop_upload()
        if self._bodyless:
            # The parser waits for a body that does not come; it cannot be told that this was HEAD.
            self._used_up = True
            self._phase = _Phase.WHOLE

    def _check_version(self, version: str) -> None:
        """HTTP/1.0 knows no chunks: whoever sends them says two things about the length."""
        if version != "1.1" and (version != "1.0" or self._chunked):
            raise _Refused

    def on_body(self, body: bytes) -> None:
        if self._phase is _Phase.BODY and self._answer is not None:
            self._answer.feed(body)
            self._overhead = 0
        else:
            self._keep = False

    def on_message_complete(self) -> None:
        if self._phase is _Phase.BODY:
            self._phase = _Phase.WHOLE

    # Of the pool.

    @property
    def usable(self) -> bool:
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._answer is None

    def begin(
        self,
        answer: Taker,
        head: bytes,
        body: bytes | AsyncIterable[bytes],
        length: int | None = None,
        *,
        bodyless: bool = False,
        patience: float | None = None,
    ) -> None:
        """Send a request whose answer goes to `answer`. `length` of a body that is not whole;
        `bodyless` says that the answer to HEAD has no body whatever its head says; `patience` is
        in seconds, until that head is here."""
        transport = self._transport
        if transport is None:
            answer.fail(broke(answer.name))
            return
        self._answer = answer
        self._phase = _Phase.HEAD
        self._overhead = 0
        self._chunked = self._sized = self._keep = self._large = False
        self._bodyless = bodyless
        self._silent = True
        self._patience = patience
        self.since = self._asked = self._loop.time()
        if self._used_up:
            self._used_up = False
            self._parser = HttpResponseParser(self)
        if self._paused:
            self._resume()
        if not isinstance(body, bytes):
            transport.write(head)
            self.upload = self._loop.create_task(self._send(body, length))
        elif len(body) < _JOINED_BYTES:
            transport.write(head + body)
        else:
            self._large = True
            transport.write(head)
            transport.write(body)

    def overdue(self, now: float, idle_seconds: float) -> bool:
        """Whether the upstream has been silent for too long while it was its turn to do something.

        It is not while its reader is slow, and not while the caller is still sending.
        """
        if self._answer is None:
            return False
        sending = self.upload is not None and not self.upload.done()
        if self._paused or (sending and self._drained is None):
            self.since = now
        if sending:
            self._asked = now
        return self._unanswered(now) or now - self.since >= idle_seconds

    def _unanswered(self, now: float) -> bool:
        patience = self._patience
        return patience is not None and self._phase is _Phase.HEAD and now - self._asked >= patience

    def expire(self) -> None:
        answer, patience = self._answer, self._patience
        if answer is None:
            return
        if patience is not None and self._unanswered(self._loop.time()):
            self._fail(no_answer(answer.name, patience))
        else:
            self._fail(too_slow(answer.name))

    def close(self) -> None:
        """Also of an idle connection; an answer under way breaks."""
        answer = self._answer
        if answer is not None:
            self._fail(broke(answer.name))
        else:
            self._abort()

    # Of the answer.

    def consumed(self) -> None:
        if self._paused:
            self.since = self._loop.time()
            self._resume()

    def give_up(self) -> None:
        self._detach()
        self._abort()

    def hand_to(self, answer: Taker) -> None:
        """The answer under way is somebody else's from now on."""
        self._answer = answer

    # Our own.

    async def _send(self, body: AsyncIterable[bytes], length: int | None) -> None:
        """The streamed body of the request under way, as fast as the upstream takes it."""
        self._wait_longer()
        try:
            async with aclosing(measured(body, length)) as parts:
                async for part in parts:
                    if self._transport is None:
                        return
                    if length is None:
                        self._transport.writelines((b"%x\r\n" % len(part), part, b"\r\n"))
                    else:
                        self._transport.write(part)
                    self.since = self._loop.time()
                    if self._drained is not None:
                        await self._drained
            if length is None and self._transport is not None:
                self._transport.write(b"0\r\n\r\n")
            self.upload = None
        except Exception as error:
            self.upload = None
            self._fail(error)

    def _wait_longer(self) -> None:
        """Until the connection ends: it was opened for this upload, and is not used again."""
        self._once = True
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if sock is not None:
            uploading(sock)

    def _finish(self, answer: Taker) -> None:
        transport = self._transport
        unsent = self.upload is not None or (
            self._large and transport is not None and transport.get_write_buffer_size() > 0
        )
        self._detach()
        if self._paused:
            self._resume()
        if unsent:
            self._abort()
        elif transport is not None:
            self.since = self._loop.time()
            if self._keep and not self._once and not transport.is_closing():
                self._home.released(self)
            else:
                transport.close()
        answer.end()

    def _fail(self, error: BaseException) -> None:
        answer = self._answer
        self._detach()
        self._abort()
        if answer is not None:
            answer.fail(error)

    def _detach(self) -> None:
        self._answer = None
        self._patience = None
        self._phase = _Phase.IDLE
        if self.upload is not None:
            self._stop_upload()

    def _stop_upload(self) -> None:
        """What is not sent yet never is, so this connection carries no other request."""
        upload = self.upload
        if upload is not None:
            self._keep = False
            upload.cancel()

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
