"""Values of the cache and its seam, `AnswerCache`. How a request uses it:

    if not cache.covers(operation, headers):         off, another route, or `no-store`: as always,
        …                                            with `X-Spark-Cache: bypass` when `cache.on`
    JSON   key = cache.key(operation, route, caller, headers, body)
    form   spool = cache.spool(headers, source)      None: no room, stream as always (bypass)
           async with spool:                         the upload goes to disk while it is hashed
               await spool.fill()
               key = cache.key(operation, route, caller, headers, spool)
               … miss: UpstreamRequest(body=spool.chunks(), length=spool.length)
    kept = await cache.lookup(key)                   a hit: answer it, `mark("hit", kept.age)`
    recording = cache.record(key, status, headers)   a miss: feed every chunk to it …
    await recording.keep()                           … and keep it once the answer was whole

`key` is None when this request must not be kept (a stream, a temperature, a body that cannot be
read): a bypass. `lookup(None)` is None and `record(None, …)` records nothing, so that a caller
needs no branches. Nothing here raises because of a disk: a cache that cannot write is a slower
gateway, not a broken one. `no-cache` of a caller skips the look and keeps the new answer.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from server.gateway.model import Caller, Operation, Route
from server.gateway.wire import Header

Verdict = Literal["hit", "miss", "bypass"]


@dataclass(frozen=True, slots=True)
class Key:
    """Who and what an answer is for. `look` is False when the caller wants a new answer."""

    digest: str
    look: bool = True


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was kept. `age` is in seconds."""

    status: int
    headers: tuple[Header, ...]
    body: bytes
    age: float


def mark(verdict: Verdict, age: float | None = None) -> list[Header]:
    """The headers that tell a caller what the cache did."""
    headers = [(b"x-spark-cache", verdict.encode())]
    if age is not None:
        headers.append((b"age", str(max(0, int(age))).encode()))
    return headers


class Spooled(Protocol):
    """An upload on its way to disk. Leaving its `async with` removes it, on every path."""

    @property
    def length(self) -> int | None:
        """Bytes of the body; None when not all of it is on disk (then it goes chunked)."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def fill(self) -> None:
        """Read the source to its end, or until the disk takes no more: then `chunks` goes on with
        the source where this stopped. What the source raises is passed on."""
        ...

    def digest(self) -> str | None:
        """Of the form's fields, whatever its boundary; None: not to be kept."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it came. May be asked for again only when `length` is known."""
        ...


class Recording(Protocol):
    """An answer being kept while it is relayed. Bounded: one that is too long is let go."""

    def feed(self, chunk: bytes) -> None: ...

    async def keep(self) -> None:
        """The answer was whole. Never raises because of the disk."""
        ...


class AnswerCache(Protocol):
    """One per app."""

    @property
    def on(self) -> bool: ...

    def covers(self, operation: Operation, headers: list[Header]) -> bool: ...

    def spool(self, headers: list[Header], source: AsyncIterable[bytes]) -> Spooled | None: ...

    def key(
        self,
        operation: Operation,
        route: Route,
        caller: Caller,
        headers: list[Header],
        body: bytes | Spooled,
    ) -> Key | None: ...

    async def lookup(self, key: Key | None) -> Kept | None: ...

    def record(self, key: Key | None, status: int, headers: list[Header]) -> Recording: ...
