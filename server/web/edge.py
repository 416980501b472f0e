"""uvicorn's HTTP/1.1 connection, with the bounds that it lacks.

Owns how much a client may send without getting anywhere (64 KiB of head, chunk extensions or
trailers) and how long it may take (30 s for a head, 60 s without a byte of a body that would be
read; a host that is gone is noticed by TCP), that trailers are not taken for headers: they come
behind the checks, and that an answer goes out in one piece (`Joined`). An offer of HTTP/2 is passed
over, as it may be; any other change of protocol than WebSocket is refused, since the parser would
take the body for the next request.
A plain request is offered to the gateway's fast lane when its small body is here; one that it does
not take, or hands over, goes the server's own way as if nothing had been. One whose head is byte
for byte the one before it, and which is here in one piece, is offered without being parsed again.
Refuses to parse: that is llhttp's, strict.
"""

import asyncio
import logging
import re
import socket
from functools import partial
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from server.gateway.client.again import Again, known
from server.gateway.client.sockets import accepted
from server.gateway.handover import HANDOVER, Handover
from server.gateway.lane.model import Flying
from server.gateway.lane.plain import LONGEST, Plain
from server.gateway.lane.service import Lane
from server.gateway.wire import Header, error_answer
from server.web.attended import Attended
from server.web.errors import UnexpectedError
from server.web.joined import Joined

OVERHEAD_BYTES = 64 * 1024
HEAD_SECONDS = 30.0
STALLED_SECONDS = 60.0
PIPELINED = 8
"""How many requests may wait behind the one that is answered before nothing more is read."""
PLAIN_SECONDS = 0.05
"""How long the body of a plain request may take until the request is an ordinary one."""
_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n)", re.IGNORECASE)
_NO_SOCKET = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 26\r\nconnection: close\r\n\r\nInvalid WebSocket request."
)
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
    """One connection of a client."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        lane: Lane | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._lane = lane
        # A plain head whose body is not whole yet, and the request that flies.
        self._plain: Plain | None = None
        self._before: Plain | None = None
        self._body = b""
        self._soon: asyncio.TimerHandle | None = None
        self._flying: Flying | None = None
        self._said = False
        self._flown = self.scope
        # The bytes of `_before`, and whether the parser stands between two messages.
        self._again: Again | None = None
        self._between = True
        # What the server answers now: its own `cycle` is the one that came last.
        self._answered: RequestResponseCycle | None = None
        self._overhead = 0
        self._heading = True
        # Whether a request has begun and not ended, and since when it is the client's turn.
        self._open = True
        self._since = 0.0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._joined = Joined(transport, self.loop)
        super().connection_made(self._joined)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in _IP:
            accepted(sock)
        self.address = self.client[0] if self.client else ""
        self._since = self.loop.time()
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        if self._plain is not None:
            self._ordinary(whole=False)
        answered, flying = self._answered, self._flying
        if answered is not None and not answered.response_complete:
            # The server tells the request that came last only.
            answered.disconnected = True
            answered.message_event.set()
        try:
            if flying is not None:
                self._landed(flying)
                flying.left()
        finally:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        again, before, between = self._again, self._before, self._between
        if again is not None and between and self._flies_again(again, data):
            return
        if self._heading and b"h2c" in data:
            data = _without_offer(data)
        self._overhead += len(data)
        super().data_received(data)
        if self._before is not before:
            self._again = known(data) if between else None
        if self._overhead > OVERHEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request header fields too large.")
        elif self._open:
            if not self._heading:
                self._since = self.loop.time()
            if self._patience is None:
                self._wait(HEAD_SECONDS)
            if self._plain is not None and self._soon is None:
                self._soon = self.loop.call_later(PLAIN_SECONDS, self._late)
        elif self._idles():
            # What came began no request (an empty line, the rest of a body that was refused), and
            # the server forgot that it is not to wait for ever.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

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
        if self.flow.read_paused or (self._heading and self._answering()):
            self._since = now  # It is our turn, or the head is that of the request after this one.
        left = self._since + (HEAD_SECONDS if self._heading else STALLED_SECONDS) - now
        if left > 0:
            self._wait(left)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Not into the answer to the request before: there it could be taken for a part of it."""
        one = self._answered
        amid = one is not None and one.response_started and not one.response_complete
        if amid or (self._flying is not None and self._said):
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _idles(self) -> bool:
        """Whether nothing is under way and nobody waits for it to begin. What has become a
        WebSocket is no connection of the server's any more."""
        return (
            not self._answering()
            and self.timeout_keep_alive_task is None
            and self in self.connections
            and not self.transport.is_closing()
        )

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._between = False
        self._open = True
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        upgrade = self.parser.should_upgrade()
        if upgrade and (self._answering() or not self._should_upgrade()):
            raise _NotSpoken
        self._overhead = 0
        self._heading = False
        if self._lane is not None and self._may_fly():
            self._plain = self._lane.plain(self.url, self.headers, self._before)
            if self._plain is not None:
                self._before = self._plain
                return
        super().on_headers_complete()
        if upgrade:
            self._open = False
            self._wait_no_more()
        else:
            # What comes from here on is a trailer: the list that the app was given is complete.
            self.headers = []
        if 0 < len(self.pipeline) <= PIPELINED:
            # Who does not read does not hear that the client left.
            self.flow.resume_reading()

    def on_message_complete(self) -> None:
        self._between = self._heading = True
        self._open = False
        plain = self._plain
        if plain is None or self._lane is None:
            super().on_message_complete()
            return
        self._flown = self.scope  # That of the next request may be here before this one is over.
        if self._taken_up(self._lane, plain, self._body):
            self._no_longer_plain()
        else:
            self._ordinary(whole=True)

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        if self._plain is None:
            super().on_body(body)
        else:
            self._body += body

    def shutdown(self) -> None:
        if self._plain is not None:
            self._ordinary(whole=False)
        super().shutdown()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._flying is not None:
            self._flying.flush()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    # ---- the fast lane

    def _may_fly(self) -> bool:
        """Whether anything but its head speaks against it."""
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and not self._answering()
            and not self.expect_100_continue
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
        )

    def _flies_again(self, again: Again, data: bytes) -> bool:
        """Whether `data` was the whole of a request with the head of the one before it, and is on
        its way. The parser stands between two messages and notices nothing."""
        plain, lane = self._before, self._lane
        if plain is None or lane is None or self._answering():
            return False
        body = again.body(data)
        if body is None or len(body) > LONGEST:
            return False
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self.url = plain.url
        self.headers += plain.headers
        self.headers[plain.at] = (plain.headers[plain.at][0], b"%d" % len(body))
        self._flown = self.scope
        return self._taken_up(lane, plain, body)

    def _taken_up(self, lane: Lane, plain: Plain, body: bytes) -> bool:
        """Whether nothing more has to be done."""
        try:
            return lane.take(plain, body, self)
        except Exception:
            # A bug of ours: the parser would make the client's mistake of it, and tell nobody.
            self.logger.exception("fast lane failed")
            self._no_longer_plain()
            self._fail()
            return True

    def _late(self) -> None:
        self._soon = None
        self._ordinary(whole=False)

    def _no_longer_plain(self) -> None:
        self._plain, self._body = None, b""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _ordinary(self, *, whole: bool) -> None:
        """The request goes the server's own way, with what came of its body."""
        body = self._body
        self._no_longer_plain()
        super().on_headers_complete()
        self.headers = []
        if body:
            super().on_body(body)
        if whole:
            super().on_message_complete()

    def _fail(self) -> None:
        status, headers, body = error_answer(UnexpectedError(), None)
        head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self.transport.write(STATUS_LINE[status] + head + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def _landed(self, flying: Flying) -> None:
        self._flying = None
        if cast("object", self.cycle) is flying:
            self.cycle = cast("RequestResponseCycle", None)

    # What the lane asks and tells (`lane.model.Client`).

    @property
    def paused(self) -> bool:
        return self.flow.write_paused

    @property
    def default_headers(self) -> list[Header]:
        return self.server_state.default_headers

    def flies(self, flying: Flying) -> None:
        self._flying, self._said = flying, False
        # It says what the server asks of a cycle: a request that comes meanwhile waits.
        self.cycle = cast("RequestResponseCycle", flying)

    def send(self, data: bytes) -> None:
        self._said = True
        self._joined.now(data)

    def over(self) -> None:
        flying = self._flying
        if flying is not None:
            self._landed(flying)
            if not flying.keep_alive:
                self.transport.close()
            self.on_response_complete()

    def cut(self) -> None:
        if self._flying is not None:
            self._landed(self._flying)
        self.transport.close()

    def hand_over(self, begun: Handover) -> None:
        """A cycle of the server's own for a request whose body was read."""
        flying, path = self._flying, begun.operation.path
        scope = cast("dict[str, Any]", self._flown)
        scope |= {"method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        scope[HANDOVER] = begun
        cycle = RequestResponseCycle(
            scope=self._flown,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=flying is None or flying.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        if flying is not None:
            self._landed(flying)
        if not self._answering():
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)


def edge(lane: Lane | None) -> type[Edge]:
    """What is given to uvicorn as its `http`: it makes one for each connection."""
    return cast("type[Edge]", partial(Edge, lane=lane))


class EdgeSocket(Attended):
    """One WebSocket of a client. Given to uvicorn as its `ws`."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            # It never was a WebSocket (it has a body, or too many headers). uvicorn would leave it
            # open, and could then not end itself.
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(_NO_SOCKET)
            self.transport.close()
