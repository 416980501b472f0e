"""The outermost layer: request id, the headers every answer has, one log line, the request metrics.

Pure ASGI, one pass, no task per request. Owns what happens to an error that nobody expected: it is
logged once with its traceback and answered without it.
"""

from collections.abc import Callable
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.base.clock import Clock
from server.base.ids import new_id
from server.base.logs import bind
from server.gateway.operations import OPERATIONS
from server.gateway.wire import NOTES, REQUEST_ID, error_answer, header, sane_request_id
from server.web.errors import UnexpectedError
from server.web.metrics import RequestMetrics

API_VERSION = b"1"
_QUIET = frozenset({"/healthz", "/livez", "/readyz", "/metrics"})
_V1_LISTING = "/v1/models"


class _Seen:
    """What went out of one request, noted on the way."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._extra = [
            (b"x-request-id", request_id.encode("ascii")),
            (b"api-version", API_VERSION),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.status = 0
        self.complete = False
        self.size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._extra]}
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)


class Observed:
    """Wraps the whole app. `log` is `logs.get_logger("web")`; `clock` tells ids and durations."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Clock,
        metrics: RequestMetrics,
        log: structlog.stdlib.BoundLogger,
        request_id: Callable[[], str] | None = None,
    ) -> None:
        self._app = app
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._new_id = request_id or (lambda: new_id("req", clock.now()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = sane_request_id(header(scope["headers"], b"x-request-id")) or self._new_id()
        # A copy, because the server itself still reads the method of its own (HEAD has no body).
        scope = {**scope, REQUEST_ID: request_id, NOTES: {}}
        method, path = scope["method"], scope["path"]
        seen = _Seen(send, request_id)
        began = self._clock.monotonic()
        with bind(request_id=request_id), self._metrics.in_flight():
            try:
                await self._app(scope, receive, seen.send)
            except Exception:
                self._log.exception("request failed", method=method, path=path)
                if not seen.status:
                    await _answer_unexpected(seen.send, request_id)
            finally:
                seconds = self._clock.monotonic() - began
                status = seen.status or 499
                self._metrics.observe(method, route_of(scope, path), status, seconds)
                self._write(scope, seen, method=method, path=path, status=status, seconds=seconds)

    def _write(
        self, scope: Scope, seen: _Seen, *, method: str, path: str, status: int, seconds: float
    ) -> None:
        fields: dict[str, Any] = dict(scope[NOTES])
        if not seen.complete and seen.status:
            fields.setdefault("error", "cut_off")
        client = scope.get("client")
        write = self._log.debug if path in _QUIET else self._log.info
        write(
            "request",
            method=method,
            path=path,
            status=status,
            seconds=round(seconds, 6),
            bytes=seen.size,
            client=client[0] if client else None,
            **fields,
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
    if path in OPERATIONS:
        return path
    return _V1_LISTING if path.startswith(_V1_LISTING) else "other"
