"""The outermost layer: request id, the headers every answer has, one log line, the request metrics.

Pure ASGI, one pass, no task per request; WebSockets are counted and logged like requests. Owns what
happens to an error that nobody expected: it is logged once with its traceback and answered without
it.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.base.clock import Clock
from server.base.ids import Stream
from server.base.logs import bind
from server.gateway.handover import HANDOVER, Handover
from server.gateway.lane.model import Done
from server.gateway.operations import find
from server.gateway.wire import NOTES, REQUEST_ID, Header, error_answer, header, sane_request_id
from server.web.errors import UnexpectedError
from server.web.metrics import RequestMetrics

API_VERSION = b"1"
_QUIET = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
_V1_LISTING = "/v1/models"
_EXTRA: tuple[Header, ...] = (
    (b"api-version", API_VERSION),
    (b"x-content-type-options", b"nosniff"),
)


class Log(Protocol):
    """`base.lines.Lines`; `request_id` is that of the task as well."""

    def info(self, event: str, **fields: Any) -> Any: ...

    def debug(self, event: str, **fields: Any) -> Any: ...

    def exception(self, event: str, **fields: Any) -> Any: ...


class _Seen:
    """What went out of one request, noted on the way."""

    __slots__ = ("_extra", "_send", "complete", "size", "status")

    def __init__(self, send: Send, extra: list[Header]) -> None:
        self._send = send
        self._extra = extra
        self.status = 0
        self.complete = False
        self.size = 0

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            self.size += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif kind == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._extra]}
        await self._send(message)

    async def send_socket(self, message: Message) -> None:
        """Of a WebSocket: 101 once it was accepted, else the status of the refusal."""
        kind = message["type"]
        if kind in {"websocket.accept", "websocket.http.response.start"}:
            self.status = message.get("status", 101)
            message = {**message, "headers": [*message.get("headers", ()), *self._extra]}
        elif kind == "websocket.send":
            self.size += len(message.get("bytes") or message.get("text") or b"")
        elif kind == "websocket.close":
            # Before it was accepted a server makes a 403 of it.
            self.status = self.status or 403
        await self._send(message)


class Observed:
    """Wraps the whole app. `log` writes the lines; `clock` tells ids and durations."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Clock,
        metrics: RequestMetrics,
        log: Log,
        request_id: Callable[[], str] | None = None,
    ) -> None:
        self._app = app
        self._clock = clock
        self._metrics = metrics
        self._log = log
        # A request is under way; `left` when it is not, or no longer by this way.
        self.entered, self.left = metrics.enter, metrics.leave
        ids = Stream("req")
        self._new_id = request_id or (lambda: ids.next(clock.now()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        begun: Handover | None = scope.get(HANDOVER)
        if begun is None:
            request_id = self.request_id(header(scope["headers"], b"x-request-id"))
            began = self._clock.monotonic()
        else:
            request_id, began = begun.passage.request_id, begun.passage.arrived
        # A copy, because the server itself still reads the method of its own (HEAD has no body).
        scope = {**scope, REQUEST_ID: request_id, NOTES: {}}
        seen = _Seen(send, self.always(request_id))
        with bind(request_id=request_id):
            self._metrics.enter()
            try:
                if scope["type"] == "http":
                    await self._http(scope, receive, seen, request_id)
                else:
                    await self._socket(scope, receive, seen)
            finally:
                self._metrics.leave()
                self._ended(scope, seen, request_id, self._clock.monotonic() - began)

    # Of a request, whichever way it goes.

    def request_id(self, given: bytes | None) -> str:
        """The caller's own when it is sane, else a new one."""
        return (given and sane_request_id(given)) or self._new_id()

    @staticmethod
    def always(request_id: str) -> list[Header]:
        """What every answer has in its head."""
        return [(b"x-request-id", request_id.encode("ascii")), *_EXTRA]

    def ended(self, done: Done) -> None:
        """The one line and the metrics of a request that is over."""
        self._metrics.observe(done.method, done.route, done.status, done.seconds)
        write = self._log.debug if done.path in _QUIET else self._log.info
        write(
            "request",
            request_id=done.request_id,
            method=done.method,
            path=done.path,
            status=done.status,
            seconds=round(done.seconds, 6),
            bytes=done.size,
            client=done.client,
            **done.notes,
        )

    # Of a request that comes through here.

    async def _http(self, scope: Scope, receive: Receive, seen: _Seen, request_id: str) -> None:
        try:
            await self._app(scope, receive, seen.send)
        except Exception:
            self._log.exception("request failed", method=scope["method"], path=scope["path"])
            if not seen.status:
                await _answer_unexpected(seen.send, request_id)

    async def _socket(self, scope: Scope, receive: Receive, seen: _Seen) -> None:
        try:
            await self._app(scope, receive, seen.send_socket)
        except Exception:
            self._log.exception("websocket failed", path=scope["path"])
            with suppress(OSError):
                await seen.send_socket({"type": "websocket.close", "code": 1011})

    def _ended(self, scope: Scope, seen: _Seen, request_id: str, seconds: float) -> None:
        socket = scope["type"] == "websocket"
        path, client = scope["path"], scope.get("client")
        notes: dict[str, Any] = scope[NOTES]
        if not seen.complete and seen.status and not socket and "error" not in notes:
            notes["error"] = "cut_off"
        self.ended(
            Done(
                "WEBSOCKET" if socket else scope["method"],
                path,
                route_of(scope, path),
                request_id,
                client[0] if client else None,
                seen.status or 499,
                seconds,
                seen.size,
                notes,
            )
        )


async def _answer_unexpected(send: Send, request_id: str) -> None:
    status, headers, body = error_answer(UnexpectedError(), request_id)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def route_of(scope: Scope, path: str) -> str:
    """The route as a label: a template, never the path itself, so that labels stay few."""
    route = getattr(scope.get("route"), "path", None)
    if isinstance(route, str):
        return route
    operation = find(path.rstrip("/"))
    if operation is not None:
        return operation.path
    return _V1_LISTING if path.startswith(_V1_LISTING) else "other"
