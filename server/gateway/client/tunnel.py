"""WebSockets through the gateway: one upstream connection for one of ours, messages unchanged.

    connecting ──upstream agrees──> open ──either side closes──> closed
        └─ refused, unreachable, too slow: a `SparkError`; `refuse` tells the client with a status

Owns both directions, the close codes and that neither side outlives the other. Pings are answered
by each hop for itself; a host that is gone is noticed by TCP, since a service at work may answer
nothing for minutes. There is no queue of ours: a message is taken from one side when the one before
it was handed to the other, so a slow reader slows its writer.

The upstream side is aiohttp's: measured, a frame through it and uvicorn's sans-IO server costs
32 us, through `websockets` 40 us.
"""

import asyncio
import math
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohappyeyeballs import AddrInfoType
from starlette.types import Receive, Scope, Send
from yarl import URL

from server.base.errors import RateLimited, SessionExpired, SparkError, UpstreamError
from server.gateway.client.aiohttp import AUTO_HEADERS, translate
from server.gateway.client.failure import broke, too_slow
from server.gateway.client.request import check_headers
from server.gateway.client.sockets import lost, open_socket, uploading
from server.gateway.keys.token import without_key
from server.gateway.model import Outcome
from server.gateway.reply import from_upstream, seconds
from server.gateway.wire import REQUEST_ID, Header, error_answer

MESSAGE_BYTES = 16 << 20
"""Longest message that is let through, in either direction."""
ACCEPTED = "spark_control.accepted"
"""Key in an ASGI scope: the client was accepted, so that an end is a close frame."""
_HANDSHAKE_SECONDS = 15.0
_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_LOOK_SECONDS = 5.0
_OURS = b"sec-websocket-"
_REASON_BYTES = 123

_NONE, _LOST, _GOING, _FAILED, _LATER, _TOO_BIG = 1005, 1006, 1001, 1011, 1013, 1009
_POLICY = 1008
_UNSENDABLE = frozenset({0, 1004, _NONE, _LOST, 1015})


@dataclass(frozen=True, slots=True)
class Farewell:
    """How one side ended it: the code it sent, 1005 when it sent none, 1006 when it was lost."""

    code: int
    reason: str = ""


_GONE = Farewell(_GOING)


def for_upstream(said: Farewell) -> Farewell:
    """What the upstream is told when our client ended it. Codes that stand for the lack of a close
    frame must not be sent in one."""
    if said.code == _NONE:
        return Farewell(1000)
    return _GONE if said.code in _UNSENDABLE else said


def for_client(said: Farewell, name: str) -> Farewell:
    """What our client is told when the upstream ended it."""
    if said.code in {_NONE, 0}:
        return Farewell(1000)
    if said.code in _UNSENDABLE:
        return Farewell(_FAILED, _reason(broke(name).message))
    return Farewell(said.code, _reason(said.reason))


def close_code(error: SparkError) -> int:
    """1008: its caller's own limit; 1001: it stayed too long; 1013: later; 1011: it failed."""
    if error.code == RateLimited.code:
        return _POLICY
    if isinstance(error, SessionExpired):
        return _GOING
    return _LATER if error.retryable else _FAILED


def _reason(text: str) -> str:
    """As much of `text` as a close frame holds, in whole words where it has some."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= _REASON_BYTES:
        return raw.decode()
    cut = raw[: _REASON_BYTES - 3].decode("utf-8", "ignore")
    words = cut.rpartition(" ")[0]
    return (words if len(words) > len(cut) // 2 else cut) + "…"


def _why(error: SparkError) -> str:
    """The message, and when to come again where there is room for it."""
    wait = error.retry_after
    again = "" if wait is None else f" Again in {max(1, math.ceil(wait))} s."
    whole = error.message + again
    return whole if len(whole.encode()) <= _REASON_BYTES else _reason(error.message)


async def tunnel(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    url: str,
    headers: list[Header],
    name: str,
    max_message: int = MESSAGE_BYTES,
) -> Outcome:
    """Carry one WebSocket to `url` (`http` or `ws`) until either side ends it.

    Raises a `SparkError` while the client was not accepted yet; hand it to `refuse`. A cancellation
    ends the upstream's side at once; whoever cancelled tells the client by `refuse` as well. The
    answer says how the upstream did.
    """
    asked = scope.get("subprotocols", ())
    offered = without_key(asked)
    upstream = await Tunnel.open(url, headers, offered, name=name, max_message=max_message)
    try:
        if (await receive())["type"] != "websocket.connect":
            return "left"
        scope[ACCEPTED] = True
        chosen = upstream.subprotocol
        if chosen is None and offered and len(offered) < len(asked):
            chosen = offered[0]  # who puts a key there is a browser, and it hangs up on none
        try:
            await send({"type": "websocket.accept", "subprotocol": chosen})
        except OSError:
            return "left"
        return await upstream.carry(receive, send)
    finally:
        await upstream.end()


async def refuse(scope: Scope, send: Send, error: SparkError) -> None:
    """Tell the client of a WebSocket why not: an HTTP answer before it was accepted, where the
    server can send one, else a close frame."""
    reason, code = _why(error), close_code(error)
    with suppress(OSError):  # The client may be gone.
        if scope.get(ACCEPTED) or "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": code, "reason": reason})
            return
        status, headers, body = error_answer(error, scope.get(REQUEST_ID))
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})


class Tunnel:
    """The upstream's side. Its session is its own, so that ending it ends nothing else."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse,
        name: str,
        made: list[socket.socket],
    ) -> None:
        self._session = session
        self._socket = socket
        self._name = name
        self._made = made
        self._looking: asyncio.TimerHandle | None = None

    @property
    def subprotocol(self) -> str | None:
        return self._socket.protocol

    @classmethod
    async def open(
        cls,
        url: str,
        headers: list[Header],
        subprotocols: tuple[str, ...] | list[str] = (),
        *,
        name: str,
        max_message: int = MESSAGE_BYTES,
        tls: ssl.SSLContext | None = None,
    ) -> "Tunnel":
        """Raises a `SparkError` when the upstream cannot be reached or does not agree."""
        check_headers(headers)
        made: list[socket.socket] = []
        session = _session(made, tls)
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                agreed = await session.ws_connect(
                    URL(url, encoded=True),
                    headers=_sent(headers),
                    protocols=tuple(subprotocols),
                    max_msg_size=max_message,
                    compress=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                )
        except BaseException as error:
            await session.close()
            if isinstance(error, aiohttp.ClientError | OSError | ValueError):
                raise _not_agreed(error, name, URL(url, encoded=True).path) from None
            raise
        return cls(session, agreed, name, made)

    async def carry(self, receive: Receive, send: Send) -> Outcome:
        """Messages both ways until one side is done; then the other one is told."""
        up = asyncio.create_task(self._upward(receive), name="websocket to the upstream")
        down = asyncio.create_task(self._downward(send), name="websocket to the client")
        self._look()
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            left = up.result() if up.done() else None
            if left is not None:
                down.cancel()
                await asyncio.wait({down})
                await self.end(for_upstream(left))
                return "left"
            # What could not be sent up says that the upstream is gone; its own word is still read.
            ended = await down
        finally:
            if self._looking is not None:
                self._looking.cancel()
            up.cancel()
            down.cancel()
            # Of two that failed at once one is told.
            await asyncio.gather(up, down, return_exceptions=True)
        if ended is None:
            return "left"
        told = for_client(ended, self._name)
        with suppress(OSError):
            await send({"type": "websocket.close", "code": told.code, "reason": told.reason})
        return "failed" if ended.code in {_LOST, _FAILED} else "answered"

    def _look(self) -> None:
        """Now and then: whether the upstream's host is still there."""
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(_LOOK_SECONDS, self._look)
        for made in self._made:
            if lost(made):
                made.shutdown(socket.SHUT_RDWR)

    async def _upward(self, receive: Receive) -> Farewell | None:
        """How the client ended it; None when the upstream takes nothing more."""
        upstream = self._socket
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return Farewell(message.get("code") or _NONE, message.get("reason") or "")
            if message["type"] != "websocket.receive":
                continue
            text = message.get("text")
            try:
                if text is not None:
                    await upstream.send_str(text)
                else:
                    await upstream.send_bytes(message["bytes"])
            except (aiohttp.ClientError, OSError):
                return None

    async def _downward(self, send: Send) -> Farewell | None:
        """How the upstream ended it; None when the client takes nothing more."""
        upstream = self._socket
        while True:
            message = await upstream.receive()
            kind = message.type
            if kind is aiohttp.WSMsgType.TEXT:
                event: dict[str, Any] = {"type": "websocket.send", "text": message.data}
            elif kind is aiohttp.WSMsgType.BINARY:
                event = {"type": "websocket.send", "bytes": message.data}
            elif kind is aiohttp.WSMsgType.CLOSE:
                return Farewell(message.data or _NONE, message.extra or "")
            elif kind is aiohttp.WSMsgType.ERROR:
                return _broken(message.data, self._name)
            else:
                return Farewell(_LOST)
            try:
                await send(event)
            except OSError:
                return None

    async def end(self, said: Farewell = _GONE) -> None:
        """Tell the upstream, and end what is left of the connection, whether it hears it or not.
        May be called any number of times; the first word counts."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._socket.close(code=said.code, message=_reason(said.reason).encode())
        finally:
            await self._session.close()


def _session(made: list[socket.socket], tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """For one connection. `made` is told of its sockets."""

    def make(address: AddrInfoType) -> socket.socket:
        made.append(open_socket(address))
        uploading(made[-1])
        return made[-1]

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0, force_close=True, socket_factory=make, ssl=tls or True
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=AUTO_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        trust_env=False,
    )


def _sent(headers: list[Header]) -> list[tuple[str, str]]:
    """Without what belongs to the handshake of the client's own hop."""
    return [
        (key.decode("latin-1"), value.decode("latin-1"))
        for key, value in headers
        if not key.lower().startswith(_OURS)
    ]


def _broken(error: object, name: str) -> Farewell:
    """The upstream broke the protocol, or sent more at once than is let through."""
    if isinstance(error, aiohttp.WebSocketError) and error.code == _TOO_BIG:
        return Farewell(_TOO_BIG, f"A message of {name} is too big.")
    return Farewell(_LOST)


def _not_agreed(error: BaseException, name: str, path: str) -> SparkError:
    if isinstance(error, aiohttp.WSServerHandshakeError):
        if error.status < 400:
            return UpstreamError(
                f"The engine of {name} does not speak WebSocket at {path}.", source=name
            )
        retry_after = error.headers.get("Retry-After") if error.headers else None
        return from_upstream(
            error.status,
            b"",
            name,
            path,
            seconds(retry_after.encode("latin-1") if retry_after is not None else None),
        )
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return too_slow(name)
    return translate(error, name, None)
