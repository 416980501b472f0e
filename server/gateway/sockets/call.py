"""One WebSocket's way: name, resolve, allow, admit, tunnel; its lease is held for its whole life.

Owns that a WebSocket is let in, counted and ended like any other request. Refuses to look into
messages: the tunnel carries them.
"""

from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from server.base.errors import ClientClosed, SparkError
from server.gateway.client.tunnel import MESSAGE_BYTES, refuse
from server.gateway.intake.request import named, target
from server.gateway.keys.gate import resolved
from server.gateway.model import Ask, Operation, Outcome, Passage, Route
from server.gateway.way import Crew, Way
from server.gateway.wire import Header, request_headers

SWITCHED = 101


class Tunnel(Protocol):
    """`client.tunnel.tunnel`."""

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        url: str,
        headers: list[Header],
        name: str,
        max_message: int = ...,
    ) -> Outcome: ...


class SocketCall(Way):
    """One WebSocket."""

    __slots__ = ("_opening", "_out", "_tunnel")

    def __init__(
        self,
        crew: Crew,
        tunnel: Tunnel,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        scope, receive, self._out = asgi
        super().__init__(crew, operation, passage, scope, receive)
        passage.stream = True
        self._tunnel = tunnel
        self._opening: Message | None = None

    async def _fail(self, error: SparkError) -> None:
        passage = self._passage
        passage.error = error.code
        passage.status = passage.status or error.status
        if not isinstance(error, ClientClosed):
            await refuse(self._scope, self._out, error)

    async def _go(self) -> None:
        crew, passage, operation = self._crew, self._passage, self._operation
        name = named(operation, self._scope)
        passage.asked = name or ""
        route = resolved(crew.router, operation, name, passage.caller)
        passage.model = route.model
        crew.gatekeeper.allow(passage.caller, operation, route)
        # Before anything else a server tells that a client wants to connect.
        self._opening = await self._receive()
        if self._opening["type"] != "websocket.connect":
            raise ClientClosed("The client left before it was connected.")
        self._presence.listen()
        await self._admitted(route)

    async def _admitted(self, route: Route) -> None:
        crew, passage = self._crew, self._passage
        patience = crew.settings().queue_seconds
        ask = Ask(
            route, self._operation, passage.caller, passage.request_id, passage.arrived, patience
        )
        grant = await crew.router.admit(ask, lambda _waiting: None)
        outcome: Outcome = "left"
        try:
            with grant.lease.endable():
                await self._presence.pause()
                name = self._let_in(grant)
                outcome = await self._tunnel(
                    self._scope,
                    self._messages,
                    self._send,
                    url=grant.upstream.base_url + target(self._operation, self._scope),
                    headers=request_headers(self._scope["headers"], passage.request_id),
                    name=name,
                    max_message=MESSAGE_BYTES,
                )
        except SparkError as error:
            # What its caller sent (a path with dots) says nothing of the upstream.
            if error.status >= 500 and self._ended is None and grant.lease.ended is None:
                outcome = "failed"
            raise
        finally:
            grant.report(outcome)
            grant.lease.release()

    async def _messages(self) -> Message:
        """What the client says, the opening that was heard already first."""
        if self._opening is not None:
            opening, self._opening = self._opening, None
            return opening
        message = await self._receive()
        self._passage.bytes_in += _size(message)
        return message

    async def _send(self, message: Message) -> None:
        passage = self._passage
        if message["type"] == "websocket.accept":
            passage.status = SWITCHED
            passage.opened = self._crew.monotonic()
        elif message["type"] == "websocket.send":
            if passage.first_byte is None:
                passage.first_byte = self._crew.monotonic()
            passage.bytes_out += _size(message)
        await self._out(message)


def _size(message: Message) -> int:
    return len(message.get("bytes") or message.get("text") or b"")
