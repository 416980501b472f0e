"""One answer of the pool: what has come of it and was not read yet, between connection and reader.

Owns the buffer and the one waiter. It outlives the connection's part in it: an answer that is whole
is read from here while the connection already carries the next request. Refuses to know HTTP.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from server.gateway.client.failure import broke
from server.gateway.wire import Header


class Source(Protocol):
    """Where the parts come from, until the answer is whole."""

    def consumed(self) -> None: ...

    def give_up(self) -> None: ...


class Taker(Protocol):
    """Whom a connection tells of the answer to the request that it carries. `begin` once, then
    parts; `wake` when no more come in this turn of the loop; at last `end`, or `fail` at any time.
    `size`: what was fed and not taken yet. After `end` and `fail` the connection is not its own.
    """

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def begin(self, status: int, headers: list[Header]) -> None: ...

    def feed(self, part: bytes) -> None: ...

    def wake(self) -> None: ...

    def end(self) -> None: ...

    def fail(self, error: BaseException) -> None: ...


class Answer:
    """An `UpstreamResponse` and its own iterator. `head` is done when status and headers are here,
    or fails with what broke."""

    __slots__ = (
        "_ended",
        "_error",
        "_loop",
        "_parts",
        "_source",
        "_waiter",
        "head",
        "headers",
        "name",
        "retried",
        "size",
        "status",
    )

    def __init__(
        self, name: str, source: Source, loop: asyncio.AbstractEventLoop, *, retried: bool
    ) -> None:
        self.name = name
        self.retried = retried
        self.status = 0
        self.headers: list[Header] = []
        self.size = 0
        self.head: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._source: Source | None = source
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: BaseException | None = None

    # What the connection tells.

    def begin(self, status: int, headers: list[Header]) -> None:
        self.status = status
        self.headers = headers
        if not self.head.done():
            self.head.set_result(None)

    def feed(self, part: bytes) -> None:
        """Keep a part; `wake` when no more come in this turn of the loop."""
        self._parts.append(part)
        self.size += len(part)

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and (self._parts or self._source is None):
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def end(self) -> None:
        """The answer is whole."""
        self._ended = True
        self._source = None
        self.wake()

    def fail(self, error: BaseException) -> None:
        """The answer broke. What came before is still read first."""
        if self._source is None:
            return
        self._error = error
        self._source = None
        if not self.head.done():
            self.head.set_exception(error)
            # Whoever waits for the head may have been cancelled in this very turn.
            self.head.exception()
        self.wake()

    # What the reader asks.

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Everything that came since the last call, as one."""
        while not self._parts:
            if self._ended:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            await self._waiter
        parts = self._parts
        part = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        if self._source is not None:
            self._source.consumed()
        return part

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in self:
            parts.append(part)
            size += len(part)
            if size >= limit:
                break
        return b"".join(parts)[:limit]

    def close(self) -> None:
        """An answer that is not whole ends its connection at once, so that the engine stops."""
        source = self._source
        if source is not None:
            self.fail(broke(self.name))
            source.give_up()
