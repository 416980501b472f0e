"""One WebSocket's way: name, resolve, allow, admit, tunnel; its lease is held for its whole life.

Owns that a WebSocket is let in, counted and ended like any other request, that its caller is
charged while it goes on, and that one which carries nothing does not keep its place.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from server.base.errors import ClientClosed, SessionExpired, SparkError, UpstreamError
from server.config.gateway import Gateway
from server.gateway.client.tunnel import ACCEPTED, MESSAGE_BYTES, refuse
from server.gateway.intake.request import named, target
from server.gateway.keys.gate import resolved
from server.gateway.model import Ask, Grant, Operation, Outcome, Passage, Route
from server.gateway.sockets.dialect import error_event, realtime, takes_events
from server.gateway.sockets.meter import Meter, meter
from server.gateway.sockets.waiting import Early, Standing, size_of
from server.gateway.way import Crew, Way
from server.gateway.wire import Header, queue_seconds, request_headers

SWITCHED = 101
_CHARGED_SECONDS = 1.0
"""Sound is charged by the second, not by the message."""
_AMID_SECONDS = 60.0
"""One may stay for days: what it costs is told meanwhile."""


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

    __slots__ = (
        "_booking",
        "_charged",
        "_early",
        "_last",
        "_meter",
        "_opening",
        "_out",
        "_realtime",
        "_settings",
        "_timer",
        "_tunnel",
        "_waited",
    )

    def __init__(
        self,
        crew: Crew,
        tunnel: Tunnel,
        operation: Operation,
        passage: Passage,
        asgi: tuple[Scope, Receive, Send],
    ) -> None:
        scope, receive, self._out = asgi
        self._early = Early(receive, crew.held)
        super().__init__(crew, operation, passage, scope, self._early.hear)
        passage.stream = True
        self._settings = crew.settings()
        self._tunnel = tunnel
        self._realtime = realtime(operation, scope["path"])
        self._opening: Message | None = None
        self._meter: Meter | None = None
        self._charged = (0.0, 0)
        self._last = 0.0
        self._waited: list[Header] = []
        self._timer: asyncio.TimerHandle | None = None
        self._booking: asyncio.TimerHandle | None = None

    async def _fail(self, error: SparkError) -> None:
        passage = self._passage
        passage.error = error.code
        passage.status = passage.status or error.status
        if isinstance(error, ClientClosed):
            return
        if self._realtime and self._scope.get(ACCEPTED):
            with suppress(OSError):
                text = error_event(error, passage.request_id)
                await self._out({"type": "websocket.send", "text": text})
        await refuse(self._scope, self._out, error)

    def _account(self) -> None:
        for timer in (self._timer, self._booking):
            if timer is not None:
                timer.cancel()
        self._timer = self._booking = None
        self._early.forget()
        if self._meter is not None:
            self._passage.used = self._meter.used()
        super()._account()

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
        grant = await self._admitted(route)
        outcome: Outcome = "left"
        try:
            with grant.lease.endable():
                outcome = await self._carried(grant)
            if outcome == "failed":
                passage.error = UpstreamError.code
        except SparkError as error:
            # What its caller sent (a path with dots) says nothing of the upstream.
            if error.status >= 500 and self._ended is None and grant.lease.ended is None:
                outcome = "failed"
            raise
        finally:
            grant.report(outcome)
            grant.lease.release()

    async def _admitted(self, route: Route) -> Grant:
        passage, settings, scope = self._passage, self._settings, self._scope
        ask = Ask(
            route,
            self._operation,
            passage.caller,
            passage.request_id,
            passage.arrived,
            settings.queue_seconds,
        )
        standing = Standing(
            scope,
            self._out,
            self._accepted,
            request_id=passage.request_id,
            events=self._realtime and takes_events(scope["headers"], scope.get("subprotocols", ())),
            accept_after=settings.socket_accept_seconds,
            every=settings.keepalive_seconds,
        )
        grant: Grant | None = None
        try:
            grant = await self._crew.router.admit(ask, standing.heard)
        finally:
            try:
                await standing.stop()
            except BaseException:
                # It may leave just as its turn has come: what was granted goes back then.
                if grant is not None:
                    grant.report("left")
                    grant.lease.release()
                raise
            if standing.last is not None:
                waited = self._crew.monotonic() - passage.arrived
                self._notes["waited"] = round(waited, 3)
                self._waited = [queue_seconds(waited)]
        return grant

    async def _carried(self, grant: Grant) -> Outcome:
        scope = self._scope
        await self._presence.pause()
        name = self._let_in(grant)
        self._meter = meter(self._operation, grant.upstream, scope["query_string"])
        return await self._tunnel(
            scope,
            self._messages,
            self._send,
            url=grant.upstream.base_url + target(self._operation, scope),
            headers=request_headers(scope["headers"], self._passage.request_id),
            name=name,
            max_message=MESSAGE_BYTES,
        )

    def _accepted(self) -> None:
        self._passage.status = SWITCHED

    # -- what passes

    async def _messages(self) -> Message:
        """What the client says, the opening that was heard already first."""
        if self._opening is not None:
            opening, self._opening = self._opening, None
            return opening
        message = await self._early.next()
        if message["type"] == "websocket.receive":
            self._last = self._crew.monotonic()
            self._passage.bytes_in += size_of(message)
            meter, text = self._meter, message.get("text")
            if meter is not None:
                if text is not None:
                    meter.sent_text(text)
                else:
                    meter.sent_bytes(message["bytes"])
                self._charge(meter)
        return message

    async def _send(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            await self._open(message)
            return
        await self._out(message)
        if message["type"] != "websocket.send":
            return
        passage, meter, now = self._passage, self._meter, self._crew.monotonic()
        self._last = now
        if passage.first_byte is None:
            passage.first_byte = now
        passage.bytes_out += size_of(message)
        text = message.get("text")
        if text is not None and meter is not None:
            meter.told_text(text)
            self._charge(meter)

    async def _open(self, message: Message) -> None:
        """The upstream has agreed."""
        passage = self._passage
        self._last = passage.opened = self._crew.monotonic()
        self._wait()
        self._later()
        if not passage.status:
            self._accepted()
            await self._out({**message, "headers": self._waited})

    def _charge(self, meter: Meter) -> None:
        """Raises what the caller is told when something of its own is used up."""
        audio, tokens = self._charged
        if meter.tokens == tokens and meter.audio - audio < _CHARGED_SECONDS:
            return
        self._charged = meter.audio, meter.tokens
        self._passage.used = meter.used()
        error = self._crew.gatekeeper.spend(self._passage, self._operation)
        if error is not None:
            raise error

    def _later(self) -> None:
        self._booking = asyncio.get_running_loop().call_later(_AMID_SECONDS, self._book)

    def _book(self) -> None:
        if self._meter is not None:
            self._passage.used = self._meter.used()
        for observer in self._crew.amid:
            observer(self._passage)
        self._later()

    # -- how long it stays

    def _wait(self) -> None:
        """Until the first moment at which it could have stayed too long."""
        self._timer = None
        opened, settings = self._passage.opened, self._settings
        bounds = []
        if settings.socket_idle_seconds:
            bounds.append((self._last + settings.socket_idle_seconds, _idle(settings)))
        if settings.socket_seconds and opened is not None:
            bounds.append((opened + settings.socket_seconds, _long(settings)))
        if not bounds:
            return
        due, error = min(bounds, key=lambda bound: bound[0])
        left = due - self._crew.monotonic()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._wait)
        else:
            self.end(error)


def _idle(settings: Gateway) -> SessionExpired:
    return SessionExpired(
        f"Nothing was said for {settings.socket_idle_seconds:g} s (gateway.socket_idle_seconds)."
    )


def _long(settings: Gateway) -> SessionExpired:
    return SessionExpired(
        f"It was open for {settings.socket_seconds:g} s (gateway.socket_seconds): connect again."
    )
