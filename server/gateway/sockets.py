"""One WebSocket's way: name, resolve, allow, admit, tunnel; its lease is held for its whole life.

Owns that a WebSocket is let in, counted and ended like any other request. Refuses to look into
messages: the tunnel carries them.
"""

import asyncio
from typing import Any, Protocol

from starlette.types import Message, Receive, Scope, Send

from server.base.errors import ClientClosed, SparkError
from server.gateway.call import Crew
from server.gateway.client.tunnel import MESSAGE_BYTES, refuse
from server.gateway.intake.request import named, target
from server.gateway.keys.gate import resolved
from server.gateway.model import Ask, Operation, Outcome, Passage, Route
from server.gateway.presence import Presence
from server.gateway.wire import NOTES, Header, request_headers

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


class SocketCall:
    """One WebSocket. `run` is awaited once."""

    def __init__(
        self,
        crew: Crew,
        tunnel: Tunnel,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        self._crew = crew
        self._tunnel = tunnel
        self._operation = operation
        self._passage = passage
        self._scope, self._receive, self._out = asgi
        self._notes: dict[str, Any] = self._scope[NOTES]
        self._presence = Presence(self._receive, self.end)
        self._opening: Message | None = None
        self._ended: SparkError | None = None
        self._task: asyncio.Task[Any] | None = None

    def end(self, error: SparkError) -> None:
        """Stop this with `error`, wherever it is. The first reason stands."""
        if self._ended is None and self._task is not None:
            self._ended = error
            self._task.cancel()

    async def run(self) -> None:
        task = self._task = asyncio.current_task()
        passage = self._passage
        passage.stop = self.end
        passage.stream = True
        for observer in self._crew.began:
            observer(passage)
        try:
            try:
                await self._go()
            except asyncio.CancelledError:
                if self._ended is None or task is None or task.uncancel() > 0:
                    raise
                raise self._ended from None
        except SparkError as error:
            self._task = None
            await self._presence.pause()
            passage.error = error.code
            passage.status = passage.status or error.status
            if not isinstance(error, ClientClosed):
                await refuse(self._scope, self._out, error)
        finally:
            self._task = None
            await self._presence.pause()
            self._account()

    def _account(self) -> None:
        passage, notes = self._passage, self._notes
        passage.ended = self._crew.monotonic()
        passage.status = passage.status or 499
        told = {"error": passage.error, "model": passage.asked, "upstream": passage.upstream}
        notes.update({key: value for key, value in told.items() if value})
        if passage.caller.key_id is not None:
            notes["key"] = passage.caller.name
        for observer in self._crew.ended:
            observer(passage)

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
                passage.admitted = crew.monotonic()
                passage.attempts = 1
                upstream = grant.upstream
                passage.upstream, passage.kind = upstream.name, upstream.kind
                passage.host, passage.model = upstream.host, grant.route.model
                outcome = await self._tunnel(
                    self._scope,
                    self._messages,
                    self._send,
                    url=upstream.base_url + target(self._operation, self._scope),
                    headers=request_headers(self._scope["headers"], passage.request_id),
                    name=grant.route.model if upstream.engine else upstream.name,
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
