"""uvicorn's HTTP/1.1 connection, with the bounds that it lacks.

Owns how much a client may send without getting anywhere (64 KiB of head, chunk extensions or
trailers), that trailers are not taken for headers: they come behind the checks, and that an answer
goes out in one piece (`Joined`). An offer of HTTP/2 is passed over, as it may be; any other change
of protocol than WebSocket is refused, since the parser would take the body for the next request.
Refuses to parse: that is llhttp's, strict.
"""

import asyncio
import logging
import re
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from server.web.joined import Joined

OVERHEAD_BYTES = 64 * 1024
_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n)", re.IGNORECASE)
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Joined(transport, self.loop))

    def data_received(self, data: bytes) -> None:
        if self._heading and b"h2c" in data:
            data = _without_offer(data)
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > OVERHEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request header fields too large.")

    def on_headers_complete(self) -> None:
        upgrade = self.parser.should_upgrade()
        if upgrade and not self._should_upgrade():
            raise _NotSpoken
        super().on_headers_complete()
        self._overhead = 0
        self._heading = False
        if not upgrade:
            # What comes from here on is a trailer: the list that the app was given is complete.
            self.headers = []

    def on_message_complete(self) -> None:
        self._heading = True
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
