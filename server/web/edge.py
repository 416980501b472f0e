"""uvicorn's HTTP/1.1 connection, with the bounds that it lacks.

Owns how much a client may send without getting anywhere (64 KiB of head, chunk extensions or
trailers), that trailers are not taken for headers: they come behind the checks, and that an answer
goes out in one piece (`Joined`). Refuses to parse: that is llhttp's, strict.
"""

import asyncio
import logging
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server.web.joined import Joined

OVERHEAD_BYTES = 64 * 1024
_TOLD_BY_US = ('%s - "WebSocket', "ASGI callable returned without completing handshake")


def is_news(record: logging.LogRecord) -> bool:
    """uvicorn writes the path of every WebSocket with its query, where a key may be, and takes one
    that was refused with a status for a mistake. There is a line of ours for both."""
    return not str(record.msg).startswith(_TOLD_BY_US)


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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Joined(transport, self.loop))

    def data_received(self, data: bytes) -> None:
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > OVERHEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request header fields too large.")

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._overhead = 0
        if not self.parser.should_upgrade():
            # What comes from here on is a trailer: the list that the app was given is complete.
            self.headers = []

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)
