"""uvicorn's HTTP/1.1 connection, with the bounds that it lacks.

Owns how much a client may send without getting anywhere (64 KiB of head, chunk extensions or
trailers) and how long it may take (30 s for a head, 60 s without a byte of a body that would be
read; a host that is gone is noticed by TCP), that trailers are not taken for headers: they come
behind the checks, and that an answer goes out in one piece (`Joined`). An offer of HTTP/2 is passed
over, as it may be; any other change of protocol than WebSocket is refused, since the parser would
take the body for the next request.
Refuses to parse: that is llhttp's, strict.
"""

import asyncio
import logging
import re
import socket
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from server.gateway.client.sockets import accepted
from server.web.joined import Joined

OVERHEAD_BYTES = 64 * 1024
HEAD_SECONDS = 30.0
STALLED_SECONDS = 60.0
_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n)", re.IGNORECASE)
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_IP = frozenset({socket.AF_INET, socket.AF_INET6})
_TOLD_BY_US = ('%s - "WebSocket', "ASGI callable returned without completing handshake")


def is_news(record: logging.LogRecord) -> bool:
    """uvicorn writes the path of every WebSocket with its query, where a key may be, and takes one
    that was refused with a status for a mistake. There is a line of ours for both."""
    return not str(record.msg).startswith(_TOLD_BY_US)


def _without_offer(data: bytes) -> bytes:
    """Java's client offers HTTP/2 in every request."""
    end = data.find(b"\r\n\r\n") + 2
    return _OFFER.sub(b"", data[:end]) + data[end:] if end > 1 else data


class _NotSpoken(Exception):
    """Raised through the parser: the server answers 400 and ends the connection."""


class Edge(HttpToolsProtocol):
    """One connection of a client. Given to uvicorn as its `http`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._overhead = 0
        self._heading = True
        # Whether a request has begun and not ended, and since when it is the client's turn.
        self._open = True
        self._since = 0.0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Joined(transport, self.loop))
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in _IP:
            accepted(sock)
        self._since = self.loop.time()
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._heading and b"h2c" in data:
            data = _without_offer(data)
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > OVERHEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request header fields too large.")
        elif self._open:
            if not self._heading:
                self._since = self.loop.time()
            if self._patience is None:
                self._wait(HEAD_SECONDS)

    def _wait(self, seconds: float) -> None:
        self._patience = self.loop.call_later(seconds, self._waited)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _waited(self) -> None:
        """Too long without getting on: whoever listens to the client is told that it left."""
        self._patience = None
        if not self._open or self.transport.is_closing():
            return
        now = self.loop.time()
        cycle: RequestResponseCycle | None = self.cycle
        answering = cycle is not None and not cycle.response_complete
        if self.flow.read_paused or (self._heading and answering):
            self._since = now  # It is our turn, or the head is that of the request after this one.
        left = self._since + (HEAD_SECONDS if self._heading else STALLED_SECONDS) - now
        if left > 0:
            self._wait(left)
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._open = True
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        upgrade = self.parser.should_upgrade()
        if upgrade and not self._should_upgrade():
            raise _NotSpoken
        super().on_headers_complete()
        self._overhead = 0
        self._heading = False
        if upgrade:
            self._open = False
            self._wait_no_more()
        else:
            # What comes from here on is a trailer: the list that the app was given is complete.
            self.headers = []

    def on_message_complete(self) -> None:
        self._heading = True
        self._open = False
        super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)


class EdgeSocket(WebSocketsSansIOProtocol):
    """One WebSocket of a client. Given to uvicorn as its `ws`."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            # It never was a WebSocket (it has a body, or too many headers). uvicorn would leave it
            # open, and could then not end itself.
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(_BAD_REQUEST)
            self.transport.close()
