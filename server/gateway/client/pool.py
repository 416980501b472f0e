"""Our own pool of HTTP/1.1 connections: an `UpstreamClient` that costs a third of aiohttp's.

Owns which connection carries a request (the one used last, so that the others grow old and go),
how long one may idle, the deadlines and the one retry. A single timer looks at all connections now
and then; there is none per request. Refuses to bound how many there are: that is admission's.
"""

import asyncio
import ssl

from server.base.errors import UpstreamError
from server.gateway.client.answer import Answer, Taker
from server.gateway.client.connection import Connection
from server.gateway.client.failure import broke, no_address, unreachable
from server.gateway.client.request import (
    Origin,
    address,
    first_lines,
    head_of,
    origin_of,
    split,
)
from server.gateway.client.sockets import connected
from server.gateway.model import UpstreamRequest

# vLLM's server closes an idle connection after 5 s; giving ours up first avoids most stale ones.
_KEEP_ALIVE_SECONDS = 4.0
_MOST_IDLE = 256
_SWEEP_SECONDS = 1.0


class PooledUpstream:
    """One per app, used from its event loop only. Building one needs no loop."""

    def __init__(
        self,
        *,
        connect_seconds: float = 5.0,
        idle_seconds: float = 1800.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._tls = tls
        self._origins: dict[str, Origin] = {}
        self._starts: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._idle: dict[str, dict[Connection, None]] = {}
        self._open: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._closings = 0

    async def open(self, request: UpstreamRequest) -> Answer:
        """Send, and return when the head of the answer is here. See `UpstreamClient`."""
        key, target = address(request)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._learn(key, request.name)
        head = head_of(request, origin, target)
        loop = asyncio.get_running_loop()
        # A body that cannot be sent twice must not meet a stale connection: it gets a fresh one.
        connection = self._take(key, loop.time()) if isinstance(request.body, bytes) else None
        reused = connection is not None
        if connection is not None:
            try:
                return await _exchange(connection, request, head, loop, retried=False)
            except UpstreamError:
                # Only a connection that had idled can be stale; one that wrote back was alive.
                if not connection.stale:
                    raise
        connection = await self._connect(key, origin, request.name, loop)
        return await _exchange(connection, request, head, loop, retried=reused)

    def post_now(
        self, to: Taker, url: tuple[str, str], lines: bytes, body: bytes, patience: float
    ) -> Connection | None:
        """Send a POST over a connection that idles, and tell `to` of the answer. None, and nothing
        has happened, when there is none. `url` is an upstream's and the path there, `lines` are
        checked headers (`lines_of`)."""
        key, first = self._starts.get(url) or self._start(*url)
        if key not in self._idle:
            return None
        connection = self._take(key, asyncio.get_running_loop().time())
        if connection is not None:
            head = b"%b%b\r\ncontent-length: %d\r\n\r\n" % (first, lines, len(body))
            connection.begin(to, head, body, patience=patience)
        return connection

    def _start(self, base: str, path: str) -> tuple[str, bytes]:
        """The key of an origin that was asked before, and how a POST to it begins."""
        try:
            key, target = split(base + path)
        except ValueError:
            return "", b""
        origin = self._origins.get(key)
        if origin is None:
            return "", b""
        start = self._starts[base, path] = key, first_lines("POST", origin, target)
        return start

    async def close(self) -> None:
        """Ends everything at once, what is still connecting too; returns when no connection and no
        upload is left."""
        self._closings += 1
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        uploads = [one.upload for one in self._open if one.upload is not None]
        for connection in list(self._open):
            connection.close()
        await asyncio.gather(*uploads, return_exceptions=True)
        if self._open:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied
        self._origins.clear()

    # Of the connections.

    def released(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.key, {})
        if len(idle) >= _MOST_IDLE:
            connection.close()
        else:
            idle[connection] = None

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        idle = self._idle.get(connection.key)
        if idle is not None:
            idle.pop(connection, None)
        if not self._open and self._emptied is not None:
            if not self._emptied.done():
                self._emptied.set_result(None)
            self._emptied = None

    # Our own.

    def _learn(self, key: str, name: str) -> Origin:
        try:
            origin = origin_of(key)
        except ValueError:
            raise no_address(name) from None
        self._origins[key] = origin
        return origin

    def _take(self, key: str, now: float) -> Connection | None:
        """The connection used last, when it is young enough; the older ones are for the sweep."""
        idle = self._idle.get(key)
        while idle:
            connection, _ = idle.popitem()
            if connection.usable and now - connection.since < _KEEP_ALIVE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connect(
        self, key: str, origin: Origin, name: str, loop: asyncio.AbstractEventLoop
    ) -> Connection:
        if origin.tls and self._tls is None:
            # It reads a file of certificates: 30 ms that no stream should feel.
            self._tls = await loop.run_in_executor(None, ssl.create_default_context)
        began = self._closings
        try:
            async with asyncio.timeout(self._connect_seconds):
                sock = await connected(origin.host, origin.port, loop)
                _transport, connection = await loop.create_connection(
                    lambda: Connection(key, self, loop),
                    sock=sock,
                    ssl=self._tls if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
        except (OSError, UnicodeError):
            raise unreachable(name) from None
        self._open.add(connection)
        if self._closings != began:
            connection.close()
            raise broke(name)
        if self._sweeper is None:
            self._arm(loop)
        return connection

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweeper = loop.call_later(
            min(_SWEEP_SECONDS, self._idle_seconds / 4), self._sweep, loop
        )

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in list(self._open):
            if connection.overdue(now, self._idle_seconds):
                connection.expire()
        for idle in self._idle.values():
            old = [one for one in idle if now - one.since >= _KEEP_ALIVE_SECONDS]
            for connection in old:
                del idle[connection]
                connection.close()
        if self._open:
            self._arm(loop)
        else:
            self._sweeper = None
            self._idle.clear()
            self._origins.clear()
            self._starts.clear()


async def _exchange(
    connection: Connection,
    request: UpstreamRequest,
    head: bytes,
    loop: asyncio.AbstractEventLoop,
    *,
    retried: bool,
) -> Answer:
    answer = Answer(request.name, connection, loop, retried=retried)
    bodyless = request.method == "HEAD"
    connection.begin(
        answer,
        head,
        request.body,
        request.length,
        bodyless=bodyless,
        patience=request.patience,
    )
    try:
        await answer.head
    except BaseException:
        answer.close()
        raise
    return answer
