"""The aiohttp implementation of `UpstreamClient`: pooled connections, bytes unchanged and at once.

Owns sockets to engines, the one retry on a stale connection and the translation of transport
errors. Refuses to decode, to follow redirects, to keep cookies and to tell a client what broke
inside an upstream.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from types import SimpleNamespace

import aiohttp
from yarl import URL

from server.base.errors import SparkError
from server.gateway.client.failure import broke, malformed, no_answer, too_slow, unreachable
from server.gateway.client.request import address, check_headers, check_line, measured
from server.gateway.client.sockets import open_socket
from server.gateway.model import UpstreamRequest
from server.gateway.wire import Header

AUTO_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
# vLLM's server closes an idle connection after 5 s; giving ours up first avoids most stale ones.
_KEEP_ALIVE_SECONDS = 4.0
# aiohttp warns about, and blocks on, plain bytes above this size; a file-like body is cut up.
_WHOLE_BYTES = 1 << 20
_HEAD_BYTES = 64 * 1024
_HEADERS = 256


async def _note_reuse(
    session: aiohttp.ClientSession,
    context: SimpleNamespace,
    params: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx["reused"] = True


class _Upload:
    """A streamed body. aiohttp hides what its source raised, so that is kept in `error`."""

    def __init__(self, body: AsyncIterable[bytes], length: int | None) -> None:
        self._body = measured(body, length)
        self.error: SparkError | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._body:
                yield part
        except SparkError as error:
            self.error = error
            raise


class _Response:
    """One open answer. At its end the connection has gone back to the pool by itself."""

    def __init__(
        self, inner: aiohttp.ClientResponse, name: str, upload: _Upload | None, *, retried: bool
    ) -> None:
        self._inner = inner
        self._name = name
        self._upload = upload
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
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise translate(error, self._name, self._upload) from None

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

    def __init__(
        self,
        *,
        connect_seconds: float = 5.0,
        idle_seconds: float = 1800.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._tls: ssl.SSLContext | bool = tls or True
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    def _session(self, *, pooled: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        connector = (
            aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
                socket_factory=open_socket,
                ssl=self._tls,
            )
            if pooled
            else aiohttp.TCPConnector(
                limit=0, force_close=True, socket_factory=open_socket, ssl=self._tls
            )
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=AUTO_HEADERS,
            timeout=self._timeout(self._idle_seconds),
            trace_configs=[trace] if pooled else None,
            raise_for_status=False,
            trust_env=False,
            max_line_size=_HEAD_BYTES,
            max_field_size=_HEAD_BYTES,
            max_headers=_HEADERS,
        )

    async def open(self, request: UpstreamRequest) -> _Response:
        """Send, and return when the head of the answer is here. See `UpstreamClient`."""
        body = request.body
        if not isinstance(body, bytes):
            # It cannot be sent twice, so it must not meet a stale connection.
            upload = _Upload(body, request.length)
            return await self._anew(request, upload, retried=False)
        if self._pooled is None:
            self._pooled = self._session(pooled=True)
        context: dict[str, bool] = {}
        try:
            inner = await self._send(self._pooled, request, None, context)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not _stale(error, reused="reused" in context):
                raise translate(error, request.name, None) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise translate(error, request.name, None) from None
        else:
            return _answer(inner, request.name, None, retried=False)
        return await self._anew(request, None, retried=True)

    async def _anew(
        self, request: UpstreamRequest, upload: _Upload | None, *, retried: bool
    ) -> _Response:
        """On a connection of its own."""
        if self._fresh is None:
            self._fresh = self._session(pooled=False)
        try:
            inner = await self._send(self._fresh, request, upload, {})
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise translate(error, request.name, upload) from None
        return _answer(inner, request.name, upload, retried=retried)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        request: UpstreamRequest,
        upload: _Upload | None,
        context: dict[str, bool],
    ) -> aiohttp.ClientResponse:
        origin, target = address(request)
        check_headers(request.headers)
        target = check_line(request.method, target)
        headers = [
            (key.decode("latin-1"), value.decode("latin-1")) for key, value in request.headers
        ]
        body = request.body
        data: object = upload
        if isinstance(body, bytes):
            data = body if len(body) < _WHOLE_BYTES else io.BytesIO(body)
        elif request.length is not None:
            headers.append(("Content-Length", str(request.length)))
        patience = min(request.patience or self._idle_seconds, self._idle_seconds)
        try:
            answer = await session.request(
                request.method,
                # Encoded already: yarl would write it in another way than the caller did.
                URL(origin + target, encoded=True),
                data=data,
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=context,
                timeout=self._timeout(patience),
            )
        except aiohttp.SocketTimeoutError:
            if request.patience is None:
                raise
            raise no_answer(request.name, patience) from None
        connection = answer.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._idle_seconds
            connection.protocol.start_timeout()
        return answer

    def _timeout(self, silent: float) -> aiohttp.ClientTimeout:
        """`silent` seconds count from the end of what was sent."""
        return aiohttp.ClientTimeout(
            total=None, sock_connect=self._connect_seconds, sock_read=silent
        )

    async def close(self) -> None:
        sessions = [session for session in (self._pooled, self._fresh) if session is not None]
        self._pooled = self._fresh = None
        await asyncio.gather(*(session.close() for session in sessions))


def _answer(
    inner: aiohttp.ClientResponse, name: str, upload: _Upload | None, *, retried: bool
) -> _Response:
    if inner.status < 200:
        # Switched protocols without being asked to: what follows is not for us to relay.
        inner.close()
        raise malformed(name)
    return _Response(inner, name, upload, retried=retried)


def _stale(error: aiohttp.ServerDisconnectedError | aiohttp.ClientOSError, *, reused: bool) -> bool:
    """Pure. Only a connection that had idled can be stale; a new one that broke is a real failure,
    and so is one that wrote back: aiohttp then keeps what it has of the head as `message`."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return reused and isinstance(error.message, str)
    return reused and not isinstance(error, aiohttp.ClientConnectorError)


def translate(error: BaseException, name: str, upload: _Upload | None) -> SparkError:
    """Pure. Class names, addresses and texts of the transport stay here."""
    if upload is not None and upload.error is not None:
        return upload.error
    if isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | ssl.SSLError
    ):
        return unreachable(name)
    if isinstance(error, TimeoutError):
        return too_slow(name)
    return broke(name)
