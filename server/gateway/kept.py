"""How a call uses the cache of answers: the same request may have been answered before.

Owns the order (covered, spooled, looked up, recorded) and the header that says what happened.
Refuses to know what may be kept; that is the cache's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from server.base.errors import SparkError
from server.gateway.cache.model import AnswerCache, Key, Recording, Spooled, mark
from server.gateway.intake.body import Upload
from server.gateway.intake.request import Taken
from server.gateway.model import Operation, Passage, Route
from server.gateway.relay import Answer
from server.gateway.wire import Header


class SpooledUpload:
    """An upload that lies on disk, in the place of the `Upload` that it was."""

    def __init__(self, spool: Spooled, upload: Upload) -> None:
        self._spool = spool
        self._upload = upload
        self._taken = False

    @property
    def complete(self) -> bool:
        return self._upload.complete

    @property
    def begun(self) -> bool:
        """What is whole on disk can be sent again."""
        return self._taken and self._spool.length is None

    async def chunks(
        self, _fail: Callable[[SparkError], None], _sent: Callable[[], None]
    ) -> AsyncIterator[bytes]:
        self._taken = True
        async for chunk in self._spool.chunks():
            yield chunk


class Keeping:
    """One call and the cache. `attempts` asks the upstreams; `recording` is for their answer."""

    def __init__(
        self,
        cache: AnswerCache,
        operation: Operation,
        passage: Passage,
        answer: Answer,
        headers: list[Header],
        *,
        query: bytes = b"",
    ) -> None:
        self._cache = cache
        self._operation = operation
        self._passage = passage
        self._answer = answer
        self._headers = headers
        # It is passed on, and some services listen to it; no key holds it.
        self._query = query
        self._key: Key | None = None

    def record(self, status: int, headers: list[Header]) -> Recording:
        return self._cache.record(self._key, status, headers)

    async def go(
        self,
        route: Route,
        taken: Taken,
        source: Callable[[Upload], Awaitable[AsyncIterator[bytes]]],
        attempts: Callable[[], Awaitable[None]],
    ) -> None:
        """Answer from the cache, else by `attempts`. Of an upload, which `source` reads, `taken` is
        given the copy on disk instead."""
        cache, body = self._cache, taken.body
        if self._query or not cache.covers(self._operation, self._headers):
            await self._passed_by(attempts)
        elif isinstance(body, bytes):
            await self._answered(self._key_of(route, body), attempts)
        elif isinstance(body, Upload):
            spool = cache.spool(self._headers, await source(body))
            if spool is None:
                await self._passed_by(attempts)
                return
            async with spool:
                await spool.fill()
                taken.body, taken.length = SpooledUpload(spool, body), spool.length
                await self._answered(self._key_of(route, spool), attempts)

    def _key_of(self, route: Route, body: bytes | Spooled) -> Key | None:
        caller = self._passage.caller
        return self._cache.key(self._operation, route, caller, self._headers, body)

    async def _passed_by(self, attempts: Callable[[], Awaitable[None]]) -> None:
        self._answer.extra += mark("bypass")
        await attempts()

    async def _answered(self, key: Key | None, attempts: Callable[[], Awaitable[None]]) -> None:
        kept = await self._cache.lookup(key)
        if kept is None:
            self._key = key
            self._answer.extra += mark("bypass" if key is None else "miss")
            await attempts()
            return
        self._passage.cached = True
        self._answer.extra += mark("hit", kept.age)
        await self._answer.whole(kept.status, list(kept.headers), kept.body)
