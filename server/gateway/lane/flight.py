"""One request on the lane: sent already, its answer under way.

    sent ── head ──┬─ chunks ─┬─ end                          the good way
     │             │          ├─ broken: a stream gets its last frame, anything else is cut
     │             │          └─ its caller left: the upstream is given up at once
     │             └─ not a plain one ───────► handed over
     ├─ broke, or somebody ends it ──────────► handed over
     └─ its caller left

Owns back-pressure in both directions: while the caller is slow what came is kept, and above the
connection's high water nothing more is read from the upstream. Owns that every way out reports how
the upstream did, releases the lease and tells everybody who counts, once.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from server.base.errors import ClientClosed, SparkError, UpstreamError
from server.base.logs import get_logger
from server.gateway.blame import broken_off, so_far
from server.gateway.client.answer import Answer
from server.gateway.client.connection import Connection
from server.gateway.handover import Handover
from server.gateway.lane.head import NotPlain, written
from server.gateway.lane.heads import Heads
from server.gateway.lane.model import Client, Done
from server.gateway.model import Grant, Outcome
from server.gateway.relay import last_frame
from server.gateway.usage.tap import Tap
from server.gateway.way import Crew, account, name_of
from server.gateway.wire import Header

_LAST = b"0\r\n\r\n"


class Flight:
    """What a connection of the pool tells (`Taker`) becomes what the caller is sent.

    `name`: how its upstream is spoken of. `keep_alive` is set to False by who shuts down.
    `response_complete` is what the server asks of a request under way: when it is complete, the
    flight is gone.
    """

    __slots__ = (
        "_begun",
        "_broken",
        "_chunked",
        "_client",
        "_connection",
        "_crew",
        "_events",
        "_head",
        "_heads",
        "_last",
        "_over",
        "_parts",
        "_passage",
        "_sent",
        "_settled",
        "_started",
        "_tap",
        "_token",
        "_watch",
        "grant",
        "keep_alive",
        "name",
        "size",
    )
    response_complete = False

    def __init__(
        self,
        crew: Crew,
        heads: Heads,
        client: Client,
        begun: Handover,
        grant: Grant,
    ) -> None:
        self._crew = crew
        self._heads = heads
        self._watch = heads.watch
        self._client = client
        self._begun = begun
        self._passage = begun.passage
        self.grant = grant
        self.name = name_of(grant)
        self.keep_alive = True
        self.size = 0
        self._connection: Connection | None = None
        self._parts: list[bytes] = []
        self._head = b""
        self._started = self._chunked = self._events = self._token = self._over = False
        self._settled = False
        self._broken: SparkError | None = None
        self._tap: Tap | None = None
        self._sent = 0
        self._last = b""

    def departed(self, connection: Connection) -> None:
        """The request is on its way over `connection`."""
        self._connection = connection
        self._passage.stop = self.stop
        self.grant.lease.stop = self.stop

    # ---- what the upstream does

    def begin(self, status: int, headers: list[Header]) -> None:
        passage, crew = self._passage, self._crew
        try:
            if status != 200:
                raise NotPlain
            shape = self._heads.like(self.name, headers)
            length = shape.length(headers)
            self._head = written(
                shape,
                length,
                self._heads.ours(self._client.default_headers),
                self._heads.more(passage.request_id, self._extra()),
                closes=not self.keep_alive,
            )
        except NotPlain:
            self._give_away(status, headers)
            return
        self._started = True
        self._chunked = length is None
        self._events = shape.events
        self._tap = crew.tap(self._begun.operation, shape.kind, shape.events)
        self._token = self._tap is not None
        passage.status, passage.opened = status, crew.monotonic()

    def _extra(self) -> list[Header]:
        limits = self._crew.gatekeeper.headers_for(self._passage.caller)
        return [*self.grant.notes, *limits] if self.grant.notes else limits

    def _give_away(self, status: int, headers: list[Header]) -> None:
        """This answer is for the ordinary way, which reads it from the same connection."""
        connection = self._connection
        if connection is None:
            return
        answer = Answer(self.name, connection, asyncio.get_running_loop(), retried=False)
        answer.begin(status, headers)
        connection.hand_to(answer)
        self._hand_over(response=answer)

    def feed(self, part: bytes) -> None:
        self._parts.append(part)
        self.size += len(part)

    def wake(self) -> None:
        if self._started:
            self.flush()

    def end(self) -> None:
        self._connection = None
        self._over = True
        self.flush()

    def fail(self, error: BaseException) -> None:
        connection, self._connection = self._connection, None
        if not isinstance(error, SparkError):
            error = UpstreamError(f"The engine of {self.name} could not be asked.")
        if not self._started:
            stale = connection is not None and connection.stale
            self._hand_over(error=None if stale else error, again=stale)
            return
        self._broken = error
        self.flush()

    # ---- what the caller does

    def flush(self) -> None:
        """Send what came, unless the caller is slow. Called again when it no longer is."""
        client = self._client
        if client.paused:
            return
        try:
            data = self._due()
            if data:
                client.send(data)
            if self._over:
                self._finish("answered")
            elif self._broken is not None:
                self._break(self._broken, broken_off(self._passage.status, answered=True))
            elif self._connection is not None:
                self._connection.consumed()
        except Exception:
            self._bug()

    def _due(self) -> bytes:
        head, self._head = self._head, b""
        parts = self._parts
        if parts:
            chunk = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self.size = 0
            head += self._framed(chunk)
        return head + _LAST if self._over and self._chunked else head

    def _framed(self, chunk: bytes) -> bytes:
        """`chunk` as it goes out, seen by who counts."""
        passage, tap = self._passage, self._tap
        if not self._sent:
            passage.first_byte = self._crew.monotonic()
        self._sent = passage.bytes_out = self._sent + len(chunk)
        self._last = chunk
        if tap is not None:
            tap.feed(chunk)
            if self._token and tap.first_token:
                self._token = False
                passage.first_token = self._crew.monotonic()
        return b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk

    def left(self) -> None:
        """The caller is gone: its upstream need not go on."""
        passage = self._passage
        error = ClientClosed("The client left before the answer was complete.")
        passage.error = error.code
        passage.status = passage.status or error.status
        self._give_up()
        self._settle("left")

    # ---- what somebody else does

    def stop(self, error: SparkError) -> None:
        """End this with `error`, wherever it is."""
        self._give_up()
        if self._started:
            self._parts.clear()
            self._break(error, so_far(self._passage.status))
        else:
            self._hand_over(error=error, ended=True)

    # ---- the ways out

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.give_up()

    def _hand_over(self, **came: Any) -> None:
        """Nothing was sent: the ordinary way goes on from here."""
        passage, client = self._passage, self._client
        passage.stop = None
        self.grant.lease.stop = None
        self._connection = None
        self._watch.left()
        client.hand_over(replace(self._begun, grant=self.grant, **came))

    def _finish(self, outcome: Outcome) -> None:
        self._settle(outcome)
        self._client.over()

    def _break(self, error: SparkError, outcome: Outcome) -> None:
        """Its beginning is out: a stream gets one frame, anything else is cut."""
        passage, client = self._passage, self._client
        passage.error = error.code
        if not (self._events and self._chunked):
            self._settle(outcome)
            client.cut()
            return
        named = self._begun.operation.named_events
        frame = last_frame(error, passage.request_id, self._last, named=named)
        self._sent += len(frame)
        client.send(self._head + b"%x\r\n%b\r\n%b" % (len(frame), frame, _LAST))
        self._finish(outcome)

    def _bug(self) -> None:
        """Of ours: nobody's place may be lost by it, and nobody take a part for the whole."""
        get_logger("gateway").exception("fast lane failed", request=self._passage.request_id)
        self._give_up()
        if not self._settled:
            self._passage.error, self._tap = "internal", None
            with suppress(Exception):
                self._settle("left")
        self._client.cut()

    def _settle(self, outcome: Outcome) -> None:
        """Once, at the end: the place is free, and everybody hears of it."""
        passage, crew, grant = self._passage, self._crew, self.grant
        if self._tap is not None:
            passage.used = self._tap.used()
        self._settled = True
        passage.stop = None
        grant.lease.stop = None
        grant.report(outcome)
        grant.lease.release()
        crew.held.give_back(self._begun.reserved)
        notes: dict[str, Any] = {}
        now = crew.monotonic()
        self._watch.left()
        account(crew, passage, notes, now)
        self._watch.ended(
            Done(
                "POST",
                self._begun.operation.path,
                self._begun.operation.path,
                passage.request_id,
                self._client.address or None,
                passage.status,
                now - passage.arrived,
                self._sent,
                notes,
            )
        )
