"""The cache: opt-in by `gateway.cache_mb`, read on every request, so that it follows the settings.

Owns when an answer is looked for and kept, and how much disk uploads may take on their way. Refuses
to fail a request: a disk that does not answer is a miss.
"""

import asyncio
from collections.abc import AsyncIterable, Callable
from pathlib import Path

from server.base.logs import get_logger
from server.config.gateway import Gateway
from server.gateway.cache.key import FORM_ROUTES, ROUTES, named, of_json, wishes
from server.gateway.cache.model import Kept, Key, Spooled
from server.gateway.cache.shelf import Shelf
from server.gateway.cache.spool import Spool
from server.gateway.model import Caller, Operation, Route
from server.gateway.wire import Header, header

LONGEST_ANSWER = 16 << 20
_KEEP = frozenset({b"content-type", b"content-encoding", b"content-language"})


class Recorder:
    """An answer being kept. Without a key it keeps nothing."""

    def __init__(
        self, cache: "DiskCache", key: Key | None, status: int, headers: list[Header]
    ) -> None:
        self._cache = cache
        self._key = key
        self._status = status
        self._headers = tuple((k.lower(), v) for k, v in headers if k.lower() in _KEEP)
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        if self._key is None:
            return
        self._size += len(chunk)
        if self._size > LONGEST_ANSWER:
            self._key, self._parts = None, []
        else:
            self._parts.append(chunk)

    async def keep(self) -> None:
        if self._key is not None:
            body = b"".join(self._parts)
            await self._cache.store(self._key, Kept(self._status, self._headers, body, 0.0))


class DiskCache:
    """`folder` is its own; uploads on their way lie in `spools`. `identity` says which upstreams
    a route leads to (address and model), so that another engine's answer is another one. `now` is
    wall seconds: ages outlive a restart."""

    def __init__(
        self,
        folder: Path,
        spools: Path,
        *,
        settings: Callable[[], Gateway],
        identity: Callable[[Route], str],
        now: Callable[[], float],
    ) -> None:
        self._shelf = Shelf(folder)
        self._folder = folder
        self._spools = spools
        self._settings = settings
        self._identity = identity
        self._now = now
        self._open = False
        self._spooled = 0
        self._log = get_logger("cache")

    async def start(self) -> None:
        """Know what is there; what crashed writers left is removed, also while the cache is off."""
        if self._limit or await asyncio.to_thread(self._folder.exists):
            await self._ready()
            await asyncio.to_thread(self._shelf.shrink, self._limit)

    @property
    def _limit(self) -> int:
        return self._settings().cache_mb << 20

    @property
    def on(self) -> bool:
        return self._limit > 0

    async def _ready(self) -> bool:
        if not self._open:
            try:
                await asyncio.to_thread(self._shelf.open)
            except OSError as error:
                self._log.warning("the cache cannot be used", problem=error.strerror)
                return False
            self._open = True
        return True

    def covers(self, operation: Operation, headers: list[Header]) -> bool:
        return operation.path in ROUTES and self.on and "no-store" not in wishes(headers)

    def spool(self, headers: list[Header], source: AsyncIterable[bytes]) -> Spooled | None:
        """None when the length is not told, or uploads under way fill what the cache may take."""
        length = header(headers, b"content-length") or b""
        boundary = _boundary(header(headers, b"content-type") or b"")
        if not length.isdigit() or not boundary or self._spooled + int(length) > self._limit:
            return None
        size = int(length)
        self._spooled += size

        def released() -> None:
            self._spooled -= size

        return Spool(self._spools, boundary, source, released)

    def key(
        self,
        operation: Operation,
        route: Route,
        caller: Caller,
        headers: list[Header],
        body: bytes | Spooled,
    ) -> Key | None:
        if not self.covers(operation, headers):
            return None
        if isinstance(body, bytes):
            content = None if operation.path in FORM_ROUTES else of_json(body)
        else:
            digest = body.digest()
            content = None if digest is None else digest.encode()
        if content is None:
            return None
        accept = header(headers, b"accept")
        identity = self._identity(route)
        digest = named(operation.path, route, caller, (identity.encode(), content, accept or b""))
        return Key(digest, look="no-cache" not in wishes(headers))

    async def lookup(self, key: Key | None) -> Kept | None:
        if key is None or not key.look or not await self._ready():
            return None
        lifetime = self._settings().cache_seconds
        return await asyncio.to_thread(self._shelf.get, key.digest, self._now(), lifetime)

    def record(self, key: Key | None, status: int, headers: list[Header]) -> Recorder:
        """Only a 200 is kept, and never a stream or what its upstream forbids to keep."""
        lowered = [(name.lower(), value) for name, value in headers]
        kind = (header(lowered, b"content-type") or b"").lower()
        good = status == 200 and not kind.startswith(b"text/event-stream")
        return Recorder(self, key if good and not _forbidden(lowered) else None, status, headers)

    async def store(self, key: Key, kept: Kept) -> None:
        if not await self._ready():
            return
        try:
            await asyncio.to_thread(self._shelf.put, key.digest, kept, self._now(), self._limit)
        except OSError as error:
            self._log.warning("an answer was not kept", problem=error.strerror)


def _forbidden(headers: list[Header]) -> bool:
    return not {"no-store", "private"}.isdisjoint(wishes(headers))


def _boundary(value: bytes) -> bytes | None:
    media, _, rest = value.partition(b";")
    if media.strip().lower() != b"multipart/form-data":
        return None
    for word in rest.split(b";"):
        name, _, given = word.partition(b"=")
        if name.strip().lower() == b"boundary":
            return given.strip().strip(b'"') or None
    return None
