"""The `/v1` application: pure ASGI, one table of routes, nothing of FastAPI.

Owns the order in which a call is looked at: method, media type, size, JSON, model, admission,
relay. Errors of this floor become JSON here and nowhere else.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.types import Receive, Scope, Send

from server.base.errors import ClientClosed, MethodNotAllowed, ModelNotFound, NotFound, SparkError
from server.catalog.model import Catalog
from server.gateway.intake import check_type, model_of, parse, read_body, renamed
from server.gateway.listing import find, listing
from server.gateway.metrics import GatewayMetrics
from server.gateway.model import (
    ANYONE,
    Ask,
    Operation,
    Router,
    UpstreamClient,
    UpstreamRequest,
)
from server.gateway.operations import OPERATIONS
from server.gateway.relay import relay
from server.gateway.wire import JSON, NOTES, REQUEST_ID, error_answer, request_headers
from server.swap.model import Serving, SwapRecord

_MODELS = "/v1/models"
_READ = (b"GET, HEAD, OPTIONS", frozenset({"GET", "HEAD"}))
_CALL = (b"POST, OPTIONS", frozenset({"POST"}))


class Gateway:
    """An ASGI application for `/v1/*`. Every argument is a part that tests may replace."""

    def __init__(
        self,
        *,
        router: Router,
        upstream: UpstreamClient,
        catalog: Callable[[], Catalog],
        serving: Callable[[], Serving | None],
        swaps: Callable[[], Sequence[SwapRecord]],
        max_body: Callable[[], int],
        metrics: GatewayMetrics,
        started: datetime,
    ) -> None:
        self._router = router
        self._upstream = upstream
        self._catalog = catalog
        self._serving = serving
        self._swaps = swaps
        self._max_body = max_body
        self._metrics = metrics
        self._started = started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"].rstrip("/")
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no such stream"})
            return
        try:
            await self._answer(path, scope, receive, send)
        except ClientClosed as error:
            scope.setdefault(NOTES, {})["error"] = error.code
        except SparkError as error:
            scope.setdefault(NOTES, {})["error"] = error.code
            operation = OPERATIONS.get(path)
            status, headers, body = error_answer(
                error,
                scope.get(REQUEST_ID),
                anthropic=operation is not None and operation.named_events,
            )
            if isinstance(error, MethodNotAllowed):
                headers.append((b"allow", self._methods(path)[0]))
            await _send(send, status, headers, body)

    def _methods(self, path: str) -> tuple[bytes, frozenset[str]]:
        if path in OPERATIONS:
            return _CALL
        if path == _MODELS or path.startswith(_MODELS + "/"):
            return _READ
        raise NotFound(
            f"There is no {path} here.",
            advice="GET /v1/models, POST " + ", ".join(sorted(OPERATIONS)) + " are.",
        )

    async def _answer(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        allow, methods = self._methods(path)
        if scope["method"] == "OPTIONS":
            await _send(send, 204, [(b"allow", allow)], b"")
        elif scope["method"] not in methods:
            raise MethodNotAllowed(f"{path} does not answer {scope['method']}.")
        elif path in OPERATIONS:
            await self._call(OPERATIONS[path], scope, receive, send)
        else:
            await self._models(path, send)

    async def _models(self, path: str, send: Send) -> None:
        entries = listing(self._catalog(), self._serving(), self._swaps(), self._started)
        answer: dict[str, Any] | None
        if path == _MODELS:
            answer = {"object": "list", "data": entries}
        else:
            name = unquote(path.removeprefix(_MODELS + "/"))
            answer = find(entries, name)
            if answer is None:
                raise ModelNotFound(
                    f"The model {name[:100]!r} does not exist. GET /v1/models lists all.",
                    param="model",
                )
        body = orjson.dumps(answer)
        length = str(len(body)).encode()
        await _send(send, 200, [(b"content-type", JSON), (b"content-length", length)], body)

    async def _call(self, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        headers, notes = scope["headers"], scope.setdefault(NOTES, {})
        request_id = scope.get(REQUEST_ID, "")
        check_type(headers)
        body = await read_body(headers, receive, self._max_body())
        parsed = parse(body)
        name = model_of(parsed)
        notes["model"] = name
        route = self._router.resolve(operation, name)
        ask = Ask(route, operation, ANYONE, request_id, time.monotonic(), 0.0)
        grant = await self._router.admit(ask, lambda _waiting: None)
        with grant.lease:
            model = grant.route.model
            if grant.rewrite is not None:
                body = renamed(parsed, grant.rewrite)
            del parsed
            request = UpstreamRequest(
                method="POST",
                url=grant.upstream.base_url + (operation.upstream_path or operation.path),
                headers=request_headers(headers, request_id),
                body=body,
                name=model,
            )
            with self._metrics.call(model, operation.path) as measure:
                exchange = await relay(
                    self._upstream,
                    request,
                    grant.lease,
                    operation=operation,
                    receive=receive,
                    send=measure.first_byte(send),
                    notes=notes,
                )
                if exchange.retried:
                    measure.retried()
                    notes["retried"] = True


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
