"""The aiohttp implementation of `UpstreamClient`: pooled connections, bytes unchanged and at once.

Owns sockets to engines, the one retry on a stale connection and the translation of transport
errors. Refuses to decode, to follow redirects, to keep cookies and to tell a client what broke
inside an upstream.
"""

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
from aiohttp.connector import AddrInfoType

from server.base.errors import Unavailable, UpstreamError, UpstreamTimeout
from server.gateway.model import UpstreamRequest
from server.gateway.wire import Header

_AUTO_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# vLLM's server closes an idle connection after 5 s; giving ours up first avoids most stale ones.
_KEEP_ALIVE_SECONDS = 4.0
_RETRY_AFTER = 5.0

# aiohttp warns about, and blocks on, plain bytes above this size; a file-like body is cut up.
_WHOLE_BYTES = 1 << 20


def _socket(address: AddrInfoType) -> socket.socket:
    """A socket that notices a lost host; without this its streams would hang for hours."""
    made = socket.socket(address[0], address[1], address[2])
    made.setblocking(False)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
    return made


async def _note_reuse(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx["reused"] = True


class _Response:
    """One open answer. At its end the connection has gone back to the pool by itself."""

    def __init__(self, inner: aiohttp.ClientResponse, name: str, *, retried: bool) -> None:
        self._inner = inner
        self._name = name
        self.retried = retried

    @property
    def status(self) -> int:
        return self._inner.status

    @property
    def headers(self) -> list[Header]:
        return list(self._inner.raw_headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner.content.iter_any():
                yield chunk
        except TimeoutError:
            raise _too_slow(self._name) from None
        except (aiohttp.ClientError, OSError):
            raise _broke(self._name) from None

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size >= limit:
                break
        return b"".join(parts)[:limit]

    def close(self) -> None:
        self._inner.close()


class AiohttpUpstream:
    """One per app. The sessions are made on first use, so that building parts needs no event loop.

    There is no limit of connections and no total timeout: how much may run at once is decided by
    admission, and how long an answer may take by whoever asked for it.
    """

    def __init__(self, *, connect_seconds: float = 5.0, idle_seconds: float = 1800.0) -> None:
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    def _session(self, *, pooled: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        connector = (
            aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS, socket_factory=_socket
            )
            if pooled
            else aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=_socket)
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTO_HEADERS,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._connect_seconds, sock_read=self._idle_seconds
            ),
            trace_configs=[trace] if pooled else None,
            raise_for_status=False,
            trust_env=False,
        )

    async def open(self, request: UpstreamRequest) -> _Response:
        """Send, and return when the head of the answer is here. See `UpstreamClient`."""
        if self._pooled is None:
            self._pooled = self._session(pooled=True)
        context: dict[str, bool] = {}
        try:
            inner = await self._send(self._pooled, request, context)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            # Only a connection that had idled can be stale; a new one that broke is a real failure.
            if isinstance(error, aiohttp.ClientConnectorError) or not context.get("reused"):
                raise _translate(error, request.name) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translate(error, request.name) from None
        else:
            return _Response(inner, request.name, retried=False)
        if self._fresh is None:
            self._fresh = self._session(pooled=False)
        try:
            inner = await self._send(self._fresh, request, {})
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translate(error, request.name) from None
        return _Response(inner, request.name, retried=True)

    async def _send(
        self, session: aiohttp.ClientSession, request: UpstreamRequest, context: dict[str, bool]
    ) -> aiohttp.ClientResponse:
        body = request.body
        return await session.request(
            request.method,
            request.url,
            data=body if len(body) < _WHOLE_BYTES else io.BytesIO(body),
            headers=[
                (key.decode("latin-1"), value.decode("latin-1")) for key, value in request.headers
            ],
            allow_redirects=False,
            trace_request_ctx=context,
        )

    async def close(self) -> None:
        sessions = [session for session in (self._pooled, self._fresh) if session is not None]
        self._pooled = self._fresh = None
        await asyncio.gather(*(session.close() for session in sessions))


def _translate(error: BaseException, name: str) -> Unavailable | UpstreamError | UpstreamTimeout:
    """Pure. Class names, addresses and texts of the transport stay here."""
    if isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | ssl.SSLError
    ):
        return Unavailable(
            f"The engine of {name} does not accept connections.",
            advice="It may have died or be restarting; see GET /api/v1/swaps/current.",
            retry_after=_RETRY_AFTER,
            source=name,
        )
    if isinstance(error, TimeoutError):
        return _too_slow(name)
    return _broke(name)


def _broke(name: str) -> UpstreamError:
    return UpstreamError(
        f"The engine of {name} closed the connection before its answer was complete.", source=name
    )


def _too_slow(name: str) -> UpstreamTimeout:
    return UpstreamTimeout(f"The engine of {name} sent nothing for too long.", source=name)
