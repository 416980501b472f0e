"""The gateway's application: pure ASGI, one table of routes, nothing of FastAPI.

Owns which part answers a path: a call that is relayed, a WebSocket, the list of models. Errors of
this floor become JSON here and in `Answer`, nowhere else.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.types import Receive, Scope, Send

from server.base.errors import MethodNotAllowed, ModelNotFound, NotFound, SparkError
from server.config.gateway import Gateway as GatewaySettings
from server.gateway.cache.model import AnswerCache
from server.gateway.call import Call
from server.gateway.client.tunnel import refuse, tunnel
from server.gateway.front import Front
from server.gateway.gate import OpenGate
from server.gateway.handover import HANDOVER, Handover
from server.gateway.intake.head import check_headers
from server.gateway.intake.held import Held
from server.gateway.listing import Entries, anthropic_entry, anthropic_page, find
from server.gateway.model import (
    Caller,
    Gatekeeper,
    Observer,
    Operation,
    Passage,
    Router,
    UpstreamClient,
)
from server.gateway.operations import OPERATIONS, methods_of
from server.gateway.operations import find as operation_of
from server.gateway.relay import MakeTap, no_tap
from server.gateway.sockets.call import SocketCall, Tunnel
from server.gateway.way import Crew
from server.gateway.wire import CALLER, JSON, NOTES, REQUEST_ID, error_answer, header

_MODELS = "/v1/models"
_READ = ("GET", "HEAD", "OPTIONS")


_utc = partial(datetime.now, UTC)


class Gateway:
    """An ASGI application. Every argument is a part that tests may replace.

    `began` see each passage at its beginning, `ended` at its end, `amid` now and then those that
    last (WebSockets); `entries` gives `/v1/models`.
    `fronts` answer routes of the table in their own way, by path.
    `crew` are the parts that every request works with.
    """

    def __init__(
        self,
        *,
        router: Router,
        upstream: UpstreamClient,
        settings: Callable[[], GatewaySettings],
        entries: Entries,
        gatekeeper: Gatekeeper | None = None,
        began: Sequence[Observer] = (),
        ended: Sequence[Observer] = (),
        amid: Sequence[Observer] = (),
        tap: MakeTap = no_tap,
        cache: AnswerCache | None = None,
        tunnel: Tunnel = tunnel,
        held: Held | None = None,
        fronts: Mapping[str, Front] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc,
    ) -> None:
        gate = gatekeeper or OpenGate()
        self.crew = Crew(
            router,
            upstream,
            gate,
            settings,
            monotonic,
            now,
            tap,
            cache,
            tuple(began),
            tuple(ended),
            held or Held(),
            tuple(amid),
        )
        self._entries = entries
        self._tunnel = tunnel
        self._fronts = dict(fronts or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun: Handover | None = scope.get(HANDOVER)
        if begun is not None:
            asgi = scope, receive, send
            await Call(self.crew, begun.operation, begun.passage, asgi, begun).run()
            return
        path: str = scope["path"]
        operation = OPERATIONS.get(path) or operation_of(path.rstrip("/"))
        scope.setdefault(NOTES, {})
        if scope["type"] == "websocket":
            await self._socket(operation, scope, receive, send)
            return
        try:
            caller = self._enter(operation, path, scope)
            if scope["method"] == "OPTIONS" and (operation is None or operation.methods):
                await _send(send, 204, [(b"allow", _allowed(operation))], b"")
            elif operation is not None:
                await self._call(operation, caller, scope, receive, send)
            else:
                await self._models(path.rstrip("/"), caller, scope, send)
        except SparkError as error:
            scope[NOTES]["error"] = error.code
            status, headers, body = error_answer(
                error, scope.get(REQUEST_ID), anthropic=_speaks_anthropic(operation, scope)
            )
            if isinstance(error, MethodNotAllowed):
                headers.append((b"allow", _allowed(operation)))
            await _send(send, status, headers, body)

    def _enter(self, operation: Operation | None, path: str, scope: Scope) -> Caller:
        """What is looked at before anything is read. Raises what the caller is told."""
        caller = self._identified(scope)
        method = scope["method"]
        if operation is None or operation.socket:
            if operation is None and (
                path.rstrip("/") == _MODELS or path.startswith(_MODELS + "/")
            ):
                if method not in _READ:
                    raise MethodNotAllowed(f"{path} does not answer {method}.")
                return caller
            raise NotFound(
                f"There is no {path[:200]} here."
                if operation is None
                else f"{path} is a WebSocket: connect to it with ws://.",
                advice="GET /v1/models, " + ", ".join(OPERATIONS) + " are.",
            )
        if operation.methods and method not in operation.methods and method != "OPTIONS":
            raise MethodNotAllowed(f"{path} does not answer {method}.")
        return caller

    def _identified(self, scope: Scope) -> Caller:
        headers, client = scope["headers"], scope.get("client")
        check_headers(headers)
        known: Caller | None = scope.get(CALLER)
        if known is not None:
            return known
        return self.crew.gatekeeper.identify(headers, client[0] if client else "")

    def _passage(self, operation: Operation, caller: Caller, scope: Scope) -> Passage:
        crew, request_id = self.crew, scope.get(REQUEST_ID, "")
        return Passage(request_id, crew.now(), crew.monotonic(), operation.path, caller)

    async def _call(
        self, operation: Operation, caller: Caller, scope: Scope, receive: Receive, send: Send
    ) -> None:
        passage = self._passage(operation, caller, scope)
        asgi = scope, receive, send
        front = self._fronts.get(operation.path)
        if front is not None:
            await front(self.crew, operation, passage, asgi)
        else:
            await Call(self.crew, operation, passage, asgi).run()

    async def _socket(
        self, operation: Operation | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        path = scope["path"]
        try:
            caller = self._identified(scope)
            if operation is None or not (operation.socket or operation.named):
                sockets = [each.path for each in OPERATIONS.values() if each.socket]
                raise NotFound(
                    f"There is no WebSocket at {path[:200]}.",
                    advice=f"{', '.join(sockets)} and /upstream/{{name}}/… are.",
                )
        except SparkError as error:
            scope[NOTES]["error"] = error.code
            await refuse(scope, send, error)
            return
        passage = self._passage(operation, caller, scope)
        asgi = scope, receive, send
        front = self._fronts.get(operation.path)
        if front is not None:
            await front(self.crew, operation, passage, asgi)
        else:
            await SocketCall(self.crew, self._tunnel, operation, passage, asgi).run()

    async def _models(self, path: str, caller: Caller, scope: Scope, send: Send) -> None:
        self.crew.gatekeeper.enter(caller)
        sees = self.crew.gatekeeper.sees
        entries = [entry for entry in self._entries() if sees(caller, _names(entry))]
        anthropic = _speaks_anthropic(None, scope)
        answer: dict[str, Any] | None
        if path == _MODELS:
            answer = anthropic_page(entries) if anthropic else {"object": "list", "data": entries}
        else:
            name = unquote(path.removeprefix(_MODELS + "/"))
            answer = find(entries, name)
            if answer is None:
                raise ModelNotFound(
                    f"The model {name[:100]!r} does not exist. GET /v1/models lists all.",
                    param="model",
                )
            answer = anthropic_entry(answer) if anthropic else answer
        body = orjson.dumps(answer)
        length = str(len(body)).encode()
        await _send(send, 200, [(b"content-type", JSON), (b"content-length", length)], body)


def _names(entry: dict[str, Any]) -> list[str]:
    """All names that lead to it."""
    return [entry["id"], *entry["aliases"], *([entry["parent"]] if entry["parent"] else [])]


def _allowed(operation: Operation | None) -> bytes:
    return ", ".join(_READ if operation is None else methods_of(operation)).encode()


def _speaks_anthropic(operation: Operation | None, scope: Scope) -> bool:
    if operation is not None:
        return operation.named_events
    return header(scope["headers"], b"anthropic-version") is not None


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
